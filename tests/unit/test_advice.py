"""What is advised, with which arithmetic, and that unknown is never taken for calm."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.domain.advice import Advice, Direction, advise
from console.domain.metrics import Metrics
from console.domain.policy import Policy, ScalePolicy, ScaleTriggers
from console.domain.queues import Queue
from console.domain.readings import SourceState, SourceStatus
from console.domain.services import Health, Replica, ReplicaState, Role, Service
from console.domain.snapshot import AgentState, Overall, Snapshot
from console.domain.triggers import TriggerState, average_wait_seconds

NOW = datetime(2026, 3, 14, 3, tzinfo=UTC)
SOURCES = ("runtime", "health", "broker", "database", "metrics", "host")


def replica(name: str, **changes: Any) -> Replica:
    made = Replica(
        name, name, ReplicaState.RUNNING, Health.HEALTHY, "", None, NOW, 0.3, 10**8, 0, "",
        active_tasks=1, reserved_tasks=0, accepting=True, task_slots=1,
    )  # fmt: skip
    return replace(made, **changes)


def worker(
    count: int, name: str = "worker-llm", queue: str = "llm", cpu: float | None = 0.3, **each: Any
) -> Service:
    replicas = tuple(replica(f"{name}-{n}", **each) for n in range(1, count + 1))
    return Service(
        name, Role.WORKER, count, count, Health.HEALTHY, "", None, None, cpu, None, None, 0,
        replicas, labels={"console.queue": queue},
    )  # fmt: skip


def app(count: int, cpu: float | None = 0.2, name: str = "app") -> Service:
    return replace(worker(count, name, cpu=cpu), role=Role.APP, labels={})


def queue(depth: int | None = 0, age: float | None = None, **changes: Any) -> Queue:
    made = Queue("llm", depth, 0, age, 0.5, 0.5, 1)
    return replace(made, **changes)


def picture(
    *services: Service,
    queues: tuple[Queue, ...] = (),
    metrics: Metrics | None = None,
    stale: tuple[str, ...] = (),
    running: bool = True,
) -> Snapshot:
    return Snapshot(
        taken_at=NOW,
        environment="dev",
        runtime="fake",
        release=None,
        overall=Overall.HEALTHY,
        endpoints={},
        agent=AgentState.RUNNING,
        services=services,
        queues=queues,
        metrics=metrics or Metrics(),
        sources=tuple(
            SourceStatus(s, SourceState.STALE if s in stale else SourceState.FRESH, 0.0, None)
            for s in SOURCES
        ),
        running=running,
    )


def told(advice: Advice) -> str:
    return " | ".join(advice.arithmetic)


def test_a_backlog_is_turned_into_a_number_with_the_arithmetic_shown() -> None:
    # 4 places busy, 2 tasks a second leave: 2 s a task.
    waiting = queue(120, 48.0, arrived_per_second=2.4, completed_per_second=2.0)
    advice = advise("worker-llm", picture(worker(4), queues=(waiting,)), Policy())

    assert advice.direction is Direction.UP
    assert advice.verdict == "scale up: 120 tasks wait, wait 48 s; 2 of 3 triggers fire"
    assert advice.arithmetic[:3] == (
        "arrivals 2.40/s × 2 s a task ÷ 80 % use = 6.0 tasks at a time",
        "120 wait, 24 may (a wait of 10 s): 96 × 2 s ÷ 10 s = 19.2 more at a time",
        "25.2 ÷ 1 at a time in each replica → 26 replicas",
    )
    assert advice.needed == 26
    assert advice.recommended == 8
    assert advice.clipped_by == "×2 step rule"


def test_the_policy_maximum_clips_after_the_step_rule() -> None:
    waiting = queue(900, 300.0, arrived_per_second=9.0, completed_per_second=3.0)
    advice = advise("worker-llm", picture(worker(6), queues=(waiting,)), Policy())

    assert (advice.recommended, advice.clipped_by) == (10, "policy maximum of 10")


def test_at_the_maximum_it_says_that_more_would_be_needed() -> None:
    waiting = queue(900, 300.0, arrived_per_second=9.0, completed_per_second=3.0)
    advice = advise("worker-llm", picture(worker(10), queues=(waiting,)), Policy())

    assert advice.recommended == 10
    assert advice.verdict.startswith("needs more, but is at its maximum of 10")


def test_what_there_can_be_only_one_of_is_not_advised_to_be_two() -> None:
    only = replace(worker(1), single="it publishes port 8080")
    advice = advise("worker-llm", picture(only, queues=(queue(120, 48.0),)), Policy())

    assert advice.recommended == 1
    assert "it publishes port 8080" in advice.verdict


def test_a_worker_that_runs_many_at_a_time_needs_fewer_replicas() -> None:
    busy = worker(1, active_tasks=32, task_slots=32)
    waiting = queue(120, 48.0, arrived_per_second=2.4, completed_per_second=2.0)

    advice = advise("worker-llm", picture(busy, queues=(waiting,)), Policy())

    assert "32 at a time in each replica" in told(advice)
    assert advice.recommended == 2


def test_an_idle_worker_is_left_alone_and_never_taken_below_one() -> None:
    idle = queue(0, None, arrived_per_second=0.0, completed_per_second=0.0)
    one = advise("worker-llm", picture(worker(1, active_tasks=0), queues=(idle,)), Policy())
    three = advise("worker-llm", picture(worker(3, active_tasks=0), queues=(idle,)), Policy())

    assert (one.direction, one.recommended) == (Direction.LEAVE, 1)
    assert one.verdict.startswith("leave it")
    assert (three.direction, three.recommended) == (Direction.DOWN, 2)
    assert three.verdict == "could be one less"


def test_a_busy_worker_is_not_reduced_though_nothing_waits() -> None:
    steady = queue(0, None, arrived_per_second=1.5, completed_per_second=1.5)
    advice = advise("worker-llm", picture(worker(3), queues=(steady,)), Policy())

    assert advice.direction is Direction.LEAVE
    assert "places busy" in told(advice)


@pytest.mark.parametrize("lacking", ["depth", "stale", "cpu", "queue"])
def test_what_is_unknown_is_never_calm(lacking: str) -> None:
    service = worker(3, cpu=None if lacking == "cpu" else 0.1, active_tasks=0)
    idle = queue(None if lacking == "depth" else 0, None, arrived_per_second=0.0)
    advice = advise(
        "worker-llm",
        picture(
            service,
            queues=() if lacking == "queue" else (idle,),
            stale=("broker",) if lacking == "stale" else (),
        ),
        Policy(),
    )

    assert advice.direction is Direction.UNKNOWN
    assert advice.recommended is None
    assert advice.verdict.startswith("cannot be told: ")
    assert "unknown" in advice.verdict


def test_what_fires_is_said_though_something_else_is_unknown() -> None:
    waiting = queue(80, 30.0, arrived_per_second=None, completed_per_second=None)
    advice = advise("worker-llm", picture(worker(2, cpu=None), queues=(waiting,)), Policy())

    assert advice.direction is Direction.UP
    assert advice.recommended == 3
    assert "CPU unknown" in advice.verdict
    assert "at least one more" in told(advice)


def test_unseen_replicas_and_a_stopped_stack_are_not_decided_about() -> None:
    waiting = queue(80, 30.0)
    unseen = advise(
        "worker-llm", picture(worker(2), queues=(waiting,), stale=("runtime",)), Policy()
    )
    stopped = advise("worker-llm", picture(worker(2), queues=(waiting,), running=False), Policy())

    assert unseen.direction is Direction.UNKNOWN
    assert stopped.direction is Direction.LEAVE
    assert stopped.recommended is None


def test_at_zero_only_what_waits_speaks() -> None:
    def at_zero(depth: int | None) -> Advice:
        return advise("worker-llm", picture(worker(0), queues=(queue(depth),)), Policy())

    assert (at_zero(5).direction, at_zero(5).recommended) == (Direction.UP, 1)
    assert (at_zero(0).direction, at_zero(0).recommended) == (Direction.LEAVE, 0)
    assert at_zero(None).direction is Direction.UNKNOWN


@pytest.mark.parametrize(
    ("metrics", "cpu", "fires", "recommended"),
    [
        (Metrics(request_rate=9.0, p95_seconds=0.62, requests_in_flight=3), 0.4, "p95 620 ms", 3),
        (Metrics(request_rate=9.0, p95_seconds=0.1, requests_in_flight=3), 0.91, "CPU 91 %", 3),
        (Metrics(request_rate=9.0, p95_seconds=0.1, requests_in_flight=99), 0.4, "99 requests", 4),
    ],
)
def test_the_app_is_judged_by_latency_processor_and_requests(
    metrics: Metrics, cpu: float, fires: str, recommended: int
) -> None:
    advice = advise("app", picture(app(2, cpu), metrics=metrics), Policy())

    assert advice.direction is Direction.UP
    assert fires in advice.verdict
    assert "1 of 3 triggers fires" in advice.verdict
    assert advice.recommended == recommended


def test_an_app_that_nobody_asks_is_calm_not_unknown() -> None:
    quiet = Metrics(request_rate=0.0, requests_in_flight=0.0)
    advice = advise("app", picture(app(3, 0.01), metrics=quiet), Policy())

    assert advice.verdict == "could be one less"
    assert advice.recommended == 2


def test_two_apps_share_one_latency_so_it_belongs_to_neither() -> None:
    slow = Metrics(request_rate=9.0, p95_seconds=2.0, requests_in_flight=3)
    policy = Policy(scale={}, scale_others=ScalePolicy())

    advice = advise("app", picture(app(2), app(1, name="shop"), metrics=slow), policy)

    assert advice.direction is Direction.UNKNOWN


def test_a_foreign_worker_is_judged_by_its_role_and_another_service_by_its_processor() -> None:
    policy = Policy(scale={}, scale_others=ScalePolicy())
    jobs = queue(60, 5.0, name="jobs")
    mailer = worker(1, "mailer", "jobs", active_tasks=None, task_slots=None)
    other = replace(app(2, 0.95, "thumbs"), role=Role.OTHER)
    snapshot = picture(mailer, other, queues=(jobs,))

    assert advise("mailer", snapshot, policy).direction is Direction.UP
    assert [t.name for t in advise("thumbs", snapshot, policy).triggers] == ["cpu_ratio"]
    assert advise("thumbs", snapshot, policy).recommended == 3


def test_rl_has_the_backlog_for_its_only_trigger() -> None:
    rl = worker(1, "worker-rl", "rl", cpu=1.0)
    jobs = queue(11, 400.0, name="rl", arrived_per_second=0.01, completed_per_second=0.01)

    advice = advise("worker-rl", picture(rl, queues=(jobs,)), Policy())

    assert advice.verdict == "scale up: 11 tasks wait; 1 of 1 triggers fires"


def test_a_service_without_bounds_is_not_scaled() -> None:
    database = replace(app(1, name="postgres"), role=Role.DATABASE)

    assert advise("postgres", picture(database), Policy()).verdict.startswith("not scaled")
    assert advise("nothing", picture(database), Policy()).direction is Direction.UNKNOWN


def test_a_replica_that_is_coming_up_is_told() -> None:
    two = worker(2)
    starting = replace(two.replicas[1], health=Health.STARTING)
    advice = advise(
        "worker-llm",
        picture(replace(two, replicas=(two.replicas[0], starting)), queues=(queue(80, 30.0),)),
        Policy(),
    )

    assert "worker-llm-2" in advice.notes[0]


def test_the_average_wait_is_never_more_than_the_oldest() -> None:
    assert average_wait_seconds(queue(30, 4.0, completed_per_second=0.05)) == 4.0
    assert average_wait_seconds(queue(30, 400.0, completed_per_second=3.0)) == 10.0
    assert average_wait_seconds(queue(30, None, completed_per_second=0.0)) is None
    assert average_wait_seconds(queue(0, None)) == 0.0


def test_a_policy_may_name_fewer_triggers() -> None:
    policy = Policy(scale={"worker-llm": ScalePolicy(triggers=ScaleTriggers(queue_depth=5))})
    advice = advise("worker-llm", picture(worker(2, cpu=None), queues=(queue(3, 1.0),)), policy)

    assert [t.state for t in advice.triggers] == [TriggerState.CALM]


_maybe = st.none() | st.floats(0, 1000)


@given(
    present=st.integers(0, 12),
    depth=st.none() | st.integers(0, 10_000),
    age=_maybe,
    arrived=_maybe,
    completed=_maybe,
    cpu=st.none() | st.floats(0, 4),
    active=st.none() | st.integers(0, 64),
)
def test_whatever_is_measured_the_number_is_within_step_and_bounds(
    present: int,
    depth: int | None,
    age: float | None,
    arrived: float | None,
    completed: float | None,
    cpu: float | None,
    active: int | None,
) -> None:
    measured = queue(depth, age, arrived_per_second=arrived, completed_per_second=completed)
    service = worker(present, cpu=cpu, active_tasks=active)

    advice = advise("worker-llm", picture(service, queues=(measured,)), Policy())

    assert advice.verdict
    if advice.recommended is None:
        assert advice.direction is Direction.UNKNOWN
        return
    assert advice.recommended <= max(1, 2 * present)
    assert advice.recommended <= max(10, present)
    assert 2 * advice.recommended >= present
    assert (advice.recommended > present) <= (advice.direction is Direction.UP)
    assert (advice.recommended < present) == (advice.direction is Direction.DOWN)
    if depth is None or cpu is None:
        assert advice.direction is not Direction.DOWN
