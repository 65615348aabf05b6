"""Where else to look: the addresses of the stack's own pages, in words."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from console.domain.services import Role
from console.domain.snapshot import Snapshot

#: A product that says how it is probed is a FastAPI of ours, which has this page.
_DOCS = "/docs"
_SAYS_ITS_HEALTH = "console.health.url"
_TITLES = {
    "api": "API",
    "grafana": "Grafana",
    "prometheus": "Prometheus",
    "alertmanager": "Alertmanager",
    "tensorboard": "TensorBoard",
}


@dataclass(frozen=True, slots=True)
class Link:
    """
    One page.

    Args:
        title: As the operator reads it.
        url: On the stack's own host.
    """

    title: str
    url: str

    def tunnel(self, host: str) -> str | None:
        """
        Return the command that brings the page to another machine, None if none is needed.

        Args:
            host: The stack's host as that machine knows it.
        """
        address = urlsplit(self.url)
        if address.hostname not in {"127.0.0.1", "localhost"} or address.port is None:
            return None
        port = address.port
        # Below 1024 a port of one's own machine is only root's.
        here = port if port >= 1024 else port + 8000
        return f"ssh -N -L {here}:127.0.0.1:{port} {host}"


def links_of(snapshot: Snapshot) -> tuple[Link, ...]:
    """Return every page that is there now, the product's first."""
    found = []
    for name, url in sorted(snapshot.endpoints.items(), key=lambda pair: _place(pair[0])):
        found.append(Link(_TITLES.get(name, name), url))
        if name == "api" and any(
            s.role is Role.APP and _SAYS_ITS_HEALTH in s.labels for s in snapshot.services
        ):
            found.append(Link("API docs", url.rstrip("/") + _DOCS))
    return tuple(found)


def _place(name: str) -> tuple[int, str]:
    known = list(_TITLES)
    return (known.index(name) if name in known else len(known)), name
