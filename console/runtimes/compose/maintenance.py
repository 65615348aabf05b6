"""
The maintenance page: a file that every nginx looks for at each request.

Each running proxy is asked whether it sees what is written; from one that does not say
so, whatever it answers, it is not known.
"""

from __future__ import annotations

import http.client
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from console.domain.services import Maintenance
from console.errors import Unreachable
from console.runtimes.compose.containers import Container
from console.runtimes.files import write_atomic

STATUS_PORT = 8081
ANSWER_SECONDS = 0.5
_SHOWN, _NOT_SHOWN = 503, 204


class MaintenancePage:
    """
    The switch of one project's page.

    Args:
        directory: ``STATE/compose/nginx/maintenance``, mounted into the proxy.
    """

    def __init__(self, directory: Path) -> None:
        self.switch_file = directory / "on"
        self._guard = threading.Lock()
        self._proven: object = None

    @property
    def offered(self) -> bool:
        """Whether there is a page to show."""
        return self.switch_file.parent.is_dir()

    def look(self, proxies: Sequence[Container]) -> Maintenance | None:
        """
        Return whether the page is shown; None where there is none.

        Without a running proxy nobody is shown anything: then it is what is meant.
        """
        if not self.offered:
            return None
        try:
            since = datetime.fromtimestamp(self.switch_file.stat().st_mtime, UTC)
        except FileNotFoundError:
            since = None
        except OSError:
            return Maintenance(shown=None)
        key = (since, [(proxy.id, proxy.started_at) for proxy in proxies])
        with self._guard:
            proven = self._proven == key
        if not proven:
            wanted = _NOT_SHOWN if since is None else _SHOWN
            if not all(_ask(proxy) == wanted for proxy in proxies):
                return Maintenance(shown=None, since=since)
            with self._guard:
                self._proven = key
        return Maintenance(shown=since is not None, since=since)

    def switch(self, *, on: bool) -> None:
        """
        Have the page shown from the next request on, or no more.

        Raises:
            Unreachable: If the state directory cannot be written.
        """
        try:
            if not on:
                self.switch_file.unlink(missing_ok=True)
            elif not self.switch_file.exists():
                # Looked for by another user, inside a container.
                write_atomic(self.switch_file, b"", mode=0o644)
        except OSError as error:
            raise Unreachable(
                f"{self.switch_file} cannot be changed: {error.strerror}",
                unchanged="users see what they saw before",
                remedy="fragrance doctor",
            ) from error


def _ask(proxy: Container) -> int | None:
    address = next(iter(proxy.addresses.values()), None)
    if address is None:
        return None
    connection = http.client.HTTPConnection(address, STATUS_PORT, timeout=ANSWER_SECONDS)
    try:
        connection.request("GET", "/maintenance")
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
