"""No operation is left out of the crashes, on any runtime that can carry it out."""

from __future__ import annotations

import pytest

from console.capabilities import (
    HasLogFiles,
    HasMaintenance,
    HasSettings,
    RemovesReplica,
    RestartsReplica,
    SetsLimits,
    StartsReplicas,
)
from console.operations.table import OPERATIONS
from console.runtimes.compose import ComposeRuntime
from console.runtimes.embedded import EmbeddedRuntime
from tests.faults.cases import CASES

RUNTIMES: dict[str, type] = {"embedded": EmbeddedRuntime, "compose": ComposeRuntime}
#: What a runtime must be able to do for the operation to exist on it.
NEEDED: dict[str, tuple[type, ...]] = {
    "scale": (StartsReplicas, RemovesReplica),
    "restart": (RestartsReplica,),
    "maintenance": (HasMaintenance,),
    "cleanup": (HasLogFiles,),
    "resize": (SetsLimits,),
    "settings": (HasSettings,),
}


@pytest.mark.parametrize("verb", OPERATIONS)
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_an_operation_is_crashed_wherever_it_can_be_carried_out(runtime: str, verb: str) -> None:
    assert verb in NEEDED, "say what it needs, then crash it"
    can = all(issubclass(RUNTIMES[runtime], capability) for capability in NEEDED[verb])
    assert can is (verb in {crashed for crashed, _ in CASES[runtime]})


def test_a_restart_is_crashed_in_part_and_completely() -> None:
    for cases in CASES.values():
        wishes = [wish for verb, wish in cases if verb == "restart"]
        assert {bool(wish.get("complete")) for wish in wishes} == {True, False}
