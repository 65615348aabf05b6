"""What may be taken away and made anew, by what its container has mounted."""

from __future__ import annotations

from typing import Any, cast

import pytest

from console.domain.services import Role
from console.runtimes.compose.anew import why_not_anew
from console.runtimes.compose.containers import Container
from console.runtimes.compose.daemon import Daemon
from console.runtimes.compose.model import ServiceModel

STORE = Container("id", "p-store-1", "store", 1, "running", {})
NAMED = {"Type": "volume", "Name": "p_data", "Destination": "/data", "RW": True}
CONFIG = {"Type": "bind", "Destination": "/etc/store", "RW": False}


class Inspected:
    """An engine with one container."""

    def __init__(self, mounts: list[dict[str, Any]], network: dict[str, Any] | None = None) -> None:
        self._answer = {"Mounts": mounts, "NetworkSettings": {"Networks": {"data": network or {}}}}

    def inspect(self, identity: str) -> dict[str, Any]:
        assert identity == "id"
        return self._answer


@pytest.mark.parametrize(
    ("mounts", "network", "role", "words"),
    [
        ([NAMED, CONFIG], {}, Role.DATABASE, ""),
        ([CONFIG], {}, Role.DATABASE, "its data is in the container itself"),
        ([CONFIG], {}, Role.PROXY, ""),
        ([{**NAMED, "Name": "0" * 64}], {}, Role.BROKER, "/data is in a volume without a name"),
        ([NAMED], {"IPAMConfig": {"IPv4Address": "10.0.0.9"}}, Role.BROKER, "a fixed address"),
    ],
)
def test_what_would_not_come_back_is_told(
    mounts: list[dict[str, Any]], network: dict[str, Any], role: Role, words: str
) -> None:
    daemon = cast(Daemon, Inspected(mounts, network))
    told = why_not_anew(daemon, ServiceModel(name="store", config_hash="", role=role), [STORE])
    assert words in told
    assert bool(told) is bool(words)


def test_a_fixed_name_cannot_be_had_again() -> None:
    service = ServiceModel(name="store", config_hash="", container_name="vault")
    assert "container name vault" in why_not_anew(cast(Daemon, Inspected([])), service, [STORE])
