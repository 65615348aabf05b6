"""Links: which pages there are, and how another machine reaches them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from console.domain.links import Link, links_of
from console.domain.services import Role
from tests.fakes.pictures import normal


def test_the_products_pages_come_first_and_strangers_last() -> None:
    picture = replace(
        normal(),
        endpoints={
            "zoo": "http://127.0.0.1:1",
            "prometheus": "http://127.0.0.1:9090",
            "api": "https://127.0.0.1:443",
            "grafana": "http://127.0.0.1:3000",
        },
    )
    app = next(s for s in picture.services if s.role is Role.APP)
    labelled = replace(app, labels={"console.health.url": "http://{address}:8000/ready"})
    services = tuple(labelled if s is app else s for s in picture.services)
    told = [(link.title, link.url) for link in links_of(replace(picture, services=services))]
    assert told == [
        ("API", "https://127.0.0.1:443"),
        ("API docs", "https://127.0.0.1:443/docs"),
        ("Grafana", "http://127.0.0.1:3000"),
        ("Prometheus", "http://127.0.0.1:9090"),
        ("zoo", "http://127.0.0.1:1"),
    ]
    assert [x.title for x in links_of(replace(picture, services=()))][:2] == ["API", "Grafana"]


@pytest.mark.parametrize(
    ("url", "command"),
    [
        ("http://127.0.0.1:3000", "ssh -N -L 3000:127.0.0.1:3000 host"),
        ("https://127.0.0.1:443/docs", "ssh -N -L 8443:127.0.0.1:443 host"),
        ("https://fragrance.example", None),
    ],
)
def test_an_address_of_the_host_itself_needs_a_tunnel(url: str, command: str | None) -> None:
    assert Link("x", url).tunnel("host") == command
