"""The plan of a scaling against the advice, and what the host has room for."""

from __future__ import annotations

from dataclasses import replace

from console.domain.plans import Json, Observation, Plan
from console.domain.policy import Policy, ScalePolicy
from console.domain.readings import HostReading
from console.domain.snapshot import Snapshot
from console.operations.capacity import capacity_lines, cpu_warnings
from console.operations.request import PlanRequest
from console.operations.scale import plan_scale
from console.steps.watch_service import WatchService
from tests.fakes.clock import FakeClock
from tests.fakes.stack import MIB, ModelStack
from tests.unit.test_advice import picture, queue, worker

GIB = 1024**3


def plan(stack: ModelStack, figures: Snapshot, targets: dict[str, Json]) -> Plan:
    return plan_scale(
        PlanRequest(stack.snapshot(), Policy(), stack, {"targets": targets}, measured=figures)
    )


def test_a_plan_that_the_figures_contradict_says_so_and_keeps_them() -> None:
    stack = ModelStack(FakeClock())
    idle = picture(
        worker(1, active_tasks=0),
        queues=(queue(0, arrived_per_second=0.0, completed_per_second=0.0),),
    )
    flooded = picture(worker(1), queues=(queue(120, 48.0),))

    up = plan(stack, idle, {"worker-llm": 2})
    fitting = plan(stack, flooded, {"worker-llm": 2})
    down = plan(stack, flooded, {"worker-llm": 0})

    assert any(w.startswith("the figures of worker-llm say: leave it") for w in up.warnings)
    assert not any("figures" in w for w in fitting.warnings)
    assert any("120 tasks wait" in w for w in down.warnings)
    assert fitting.before == {
        "worker-llm": {
            "replicas": 1.0,
            "queue_depth": 120.0,
            "wait_seconds": 48.0,
            "cpu_ratio": 0.3,
        }
    }


def test_without_figures_a_plan_has_no_opinion_and_keeps_what_is_unknown_as_unknown() -> None:
    stack = ModelStack(FakeClock())

    made = stack.plan("scale", {"targets": {"worker-llm": 2}})

    assert not any("figures" in w for w in made.warnings)
    assert made.before["worker-llm"]["queue_depth"] is None


def request(limit_cores: float | None, host_cpu: float | None) -> PlanRequest:
    two = worker(2, memory_bytes=2 * GIB)
    measured = replace(two, replica_cpu_limit_cores=limit_cores, cpu_cores=2.0)
    host = HostReading(host_cpu, 0.5, 0.2, 4, 8 * GIB, 10**12)
    snapshot = replace(picture(measured), host=host)
    return PlanRequest(snapshot, Policy(), ModelStack(FakeClock()))


def test_limits_above_the_cores_of_the_host_warn() -> None:
    assert cpu_warnings(request(2.0, 0.1), {"worker-llm": 1}) == [
        "cpu is overcommitted: 6 cores of limits on 4 cores"
    ]
    assert cpu_warnings(request(1.0, 0.1), {"worker-llm": 1}) == []


def test_without_limits_what_a_replica_uses_counts_against_what_is_free() -> None:
    assert cpu_warnings(request(None, 0.9), {"worker-llm": 1}) == [
        "the processor is 90 % used: what is added would use about 1.0 cores, and 0.4 are free"
    ]
    assert cpu_warnings(request(None, 0.5), {"worker-llm": 1}) == []
    assert cpu_warnings(request(None, None), {"worker-llm": 1}) == []


def test_capacity_is_told_and_too_little_memory_is_called_a_refusal() -> None:
    asked = request(2.0, 0.1)
    service = asked.snapshot.services[0]
    tight = replace(
        asked,
        snapshot=replace(asked.snapshot, host=HostReading(0.1, 0.9, 0.2, 4, 500 * MIB, 10**12)),
        policy=Policy(scale={"worker-llm": ScalePolicy()}),
    )

    assert capacity_lines(asked, service)[:2] == [
        "one more needs about 2.0 GiB of memory, up to 2.0 cores",
        "the host has 8.0 GiB of memory available, 3.6 of 4 cores idle",
    ]
    assert any(
        line.startswith("refused: not enough memory") for line in capacity_lines(tight, service)
    )


def test_a_gradual_step_goes_on_only_while_the_figures_are_calm() -> None:
    stack = ModelStack(FakeClock())
    for number in (2, 3):
        stack.start_replica("worker-llm", f"worker-llm-{number}", {})
    made = stack.plan("scale", {"targets": {"worker-llm": 1}, "gradual": True})
    [watch] = [step for step in made.steps if step.kind == "watch_service"]
    calm = picture(worker(2), queues=(queue(3, 1.0),))
    flooded = picture(worker(2), queues=(queue(120, 48.0),))
    unmeasured = picture(worker(2))

    def seen(snapshot: Snapshot) -> Observation:
        return WatchService().observe(watch, snapshot)

    assert seen(calm) == Observation(True, "2 ready, no critical alert, 3 tasks wait, wait 1 s")
    assert seen(flooded).holds is False
    assert "120 tasks wait (limit 50)" in seen(flooded).detail
    assert seen(unmeasured).holds is True
    assert "queue unknown" in seen(unmeasured).detail
