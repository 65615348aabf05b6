"""The complete restart: the ground first, nothing in between, and everything runs at the end."""

from __future__ import annotations

from pathlib import Path

import pytest

from console.domain.operations import OperationState
from console.domain.services import Role
from tests.fakes.clock import FakeClock
from tests.fakes.runtime import PRODUCT
from tests.fakes.stack import ModelStack
from tests.unit.test_runner import Bench, boundaries

COMPLETE = {"complete": True}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    bench = Bench(tmp_path)
    services = (*PRODUCT, ("nginx", Role.PROXY, 1), ("grafana", Role.MONITORING, 1))
    bench.stack = ModelStack(bench.clock, services)
    bench.stack.page = True
    return bench


def pids(stack: ModelStack) -> dict[str, int | None]:
    return {r.name: r.pid for s in stack.snapshot().services for r in s.replicas}


def test_everything_stops_before_the_ground_is_restarted(bench: Bench) -> None:
    plan = bench.stack.plan("restart", COMPLETE)

    assert [s.name for s in plan.steps] == [
        "maintenance-on",
        "drain-requests",
        "pause-worker-llm-1",
        "pause-worker-rl-1",
        "stop-worker-llm-1",
        "stop-worker-rl-1",
        "stop-app-1",
        "stop-app-2",
        "restart-postgres-1",
        "restart-redis-1",
        "gate-postgres-1",
        "gate-redis-1",
        "start-app-2",
        "start-app-1",
        "start-worker-rl-1",
        "start-worker-llm-1",
        "gate-app-2",
        "gate-app-1",
        "gate-worker-rl-1",
        "gate-worker-llm-1",
        "restart-nginx-1",
        "gate-nginx-1",
        "maintenance-off",
    ]
    assert "nothing is served" in plan.warnings[0]
    assert any("grafana" in warning for warning in plan.warnings)


def test_every_process_is_another_one_at_the_end(bench: Bench) -> None:
    before, names = pids(bench.stack), bench.stack.world()

    ended = bench.run(bench.stack.plan("restart", COMPLETE))

    assert (ended.state, ended.verified) == (OperationState.DONE, True), ended.outcome_message
    after = pids(bench.stack)
    assert [name for name in before if after[name] == before[name]] == ["grafana-1"]
    assert bench.stack.world() == names
    assert bench.stack.snapshot().maintenance is False


def test_a_crash_at_every_boundary_ends_with_everything_running(bench: Bench) -> None:
    world = bench.stack.world()
    for at in boundaries(bench.stack.plan("restart", COMPLETE).steps):
        for mode, state in (("run", OperationState.DONE), ("undo", OperationState.UNDONE)):
            crashed = bench.crash(bench.stack.plan("restart", COMPLETE), at)
            ended = bench.again(crashed, mode)
            assert (ended.state, ended.verified) == (state, True), (at, ended.outcome_message)
            assert bench.stack.world() == world, at
            assert bench.stack.snapshot().maintenance is False, at


def test_a_broker_that_does_not_answer_is_no_obstacle(bench: Bench) -> None:
    bench.stack.failed_sources = {"broker": "no answer"}
    plan = bench.stack.plan("restart", COMPLETE)
    bench.clock.on_sleep.append(
        lambda: (
            bench.stack.failed_sources.clear()
            if any(c[:2] == ("restart", "redis-1") for c in bench.stack.commands)
            else None
        )
    )

    ended = bench.run(plan)

    assert "drain_replica" not in {step.kind for step in plan.steps}
    assert any("not drained" in warning for warning in plan.warnings)
    assert ended.state is OperationState.DONE, ended.outcome_message


def test_a_page_that_is_shown_already_stays(bench: Bench) -> None:
    bench.stack.set_maintenance(on=True)

    ended = bench.run(bench.stack.plan("restart", COMPLETE))

    assert ended.state is OperationState.DONE
    assert bench.stack.snapshot().maintenance is True


def test_the_page_stays_while_what_is_behind_it_is_not_well(bench: Bench) -> None:
    plan = bench.stack.plan("restart", COMPLETE)
    bench.stack.unwell = {"app-1"}

    ended = bench.run(plan)

    assert ended.state is OperationState.FROZEN
    assert bench.stack.snapshot().maintenance is True
    bench.stack.unwell = set()
    assert bench.again(ended, "run").state is OperationState.DONE
    assert bench.stack.snapshot().maintenance is False


def test_without_a_page_and_a_proxy_it_is_the_same_without_them() -> None:
    stack = ModelStack(FakeClock())

    plan = stack.plan("restart", COMPLETE)

    assert {s.kind for s in plan.steps} == {
        "drain_replica",
        "stop_replica",
        "start_replica",
        "restart_replica",
        "gate_replica",
    }
