"""Why a replica is as it is, by what is known and not by a sample."""

from __future__ import annotations

from dataclasses import replace

import pytest

from console.domain.description import ReplicaDescription
from console.domain.services import Health, Replica, ReplicaState, Role
from console.domain.why import is_crash_loop, replica_reasons, service_reasons
from tests.fakes.insight import described
from tests.fakes.pictures import NOW, failed, replica, service

GIB = 1024**3


@pytest.mark.parametrize(
    ("found", "loop"),
    [
        (replica("a", restarts=4, minutes_up=1), True),  # runs at the moment of the sample
        (replica("a", restarts=4, state=ReplicaState.BACKOFF), True),
        (replica("a", restarts=4, minutes_up=60), False),
        (replica("a", restarts=2, minutes_up=1), False),
    ],
)
def test_a_crash_loop_is_told_by_restarts(found: Replica, loop: bool) -> None:
    assert is_crash_loop(found, NOW) is loop


def test_all_is_said_and_the_weightiest_first() -> None:
    crashing = replica(
        "a-1", health=Health.UNHEALTHY, state=ReplicaState.BACKOFF, reason="its process ended",
        restarts=5, memory_bytes=int(0.95 * GIB),
    )  # fmt: skip
    of = ReplicaDescription("a-1", failures=1, out_of_memory=True, exit_code=3)
    assert replica_reasons(crashing, GIB, of, NOW) == [
        "crash loop: restarted 5 times",
        "out of memory: the kernel killed it",
        "its process ended (exit code 3)",
        "its health check failed once",
        "memory at 95% of its limit",
    ]


def test_what_is_well_has_no_reason() -> None:
    assert replica_reasons(replica("a-1"), None, None, NOW) == []
    well = replace(replica("a-1"), reason="draining: takes no new tasks, 1 task left")
    assert replica_reasons(well, None, None, NOW) == ["draining: takes no new tasks, 1 task left"]


def test_a_service_says_what_lacks_and_the_worst_first() -> None:
    found = failed().services[1]
    reasons = service_reasons(found, [None, None], described("worker-llm", failed()), NOW)
    assert [name for name, _ in reasons] == ["worker-llm-2"]
    assert "crash loop" in reasons[0][1]
    short = service("app", Role.APP, replica("app-1"), desired=3)
    assert service_reasons(short, [None], None, NOW) == [("app", "1 of 3 replicas exist")]
