"""Planning a restart: rolling, drained, and honest about what goes away meanwhile."""

from __future__ import annotations

import pytest

from console.domain.plans import Risk
from console.domain.policy import Policy
from console.domain.services import Role
from console.errors import NotSupported, Refused, UsageError
from console.operations.request import PlanRequest
from console.operations.restart import plan_restart
from tests.fakes.clock import FakeClock
from tests.fakes.stack import ModelStack


@pytest.fixture
def stack() -> ModelStack:
    return ModelStack(FakeClock())


def test_replicas_are_restarted_one_after_the_other(stack: ModelStack) -> None:
    plan = stack.plan("restart", {"services": ["app"]})

    assert [s.name for s in plan.steps] == [
        "restart-app-1",
        "gate-app-1",
        "restart-app-2",
        "gate-app-2",
    ]
    assert plan.warnings == ()
    assert plan.expects == {"app": ["app-1", "app-2"]}


def test_behind_a_proxy_a_replica_gets_no_requests_while_it_restarts(stack: ModelStack) -> None:
    stack.routed, stack.members = {"app"}, {"app-1", "app-2"}

    plan = stack.plan("restart", {"services": ["app"]})

    assert [s.name for s in plan.steps][:4] == [
        "unroute-app-1",
        "restart-app-1",
        "gate-app-1",
        "route-app-1",
    ]
    assert [s.name for s in plan.undo][-2:] == ["recover-app-1", "reroute-app-1"]


def test_a_worker_is_drained_first_and_its_undo_lets_it_work_again(stack: ModelStack) -> None:
    plan = stack.plan("restart", {"services": ["worker-llm"]})

    assert [s.name for s in plan.steps] == [
        "drain-worker-llm-1",
        "restart-worker-llm-1",
        "gate-worker-llm-1",
    ]
    assert [s.name for s in plan.undo] == ["undrain-worker-llm-1", "recover-worker-llm-1"]
    assert any("one replica" in warning for warning in plan.warnings)


def test_one_replica_alone_is_restarted_by_its_name(stack: ModelStack) -> None:
    plan = stack.plan("restart", {"services": ["app-2"]})

    assert [s.name for s in plan.steps] == ["restart-app-2", "gate-app-2"]
    assert plan.summary == "app-2"
    assert plan.steps[0].risk is Risk.LOW  # the other one serves meanwhile
    assert plan.warnings == ()


def test_services_are_restarted_in_the_order_they_are_named(stack: ModelStack) -> None:
    plan = stack.plan("restart", {"services": ["worker-rl", "app", "app-1", "worker-rl"]})

    assert plan.summary == "worker-rl ×1, app ×2"


def test_a_worker_that_does_not_answer_is_not_asked_to_drain(stack: ModelStack) -> None:
    stack.unwell = {"worker-llm-1"}

    plan = stack.plan("restart", {"services": ["worker-llm"]})

    assert [s.kind for s in plan.steps] == ["restart_replica", "gate_replica"]


def test_everything_is_restarted_from_the_ground_up(stack: ModelStack) -> None:
    plan = stack.plan("restart", {"all": True})

    restarts = [s for s in plan.steps if s.kind == "restart_replica"]
    assert [s.arguments["replica"] for s in restarts] == [
        "postgres-1",
        "redis-1",
        "app-1",
        "app-2",
        "worker-llm-1",
        "worker-rl-1",
    ]
    assert restarts[0].risk is restarts[1].risk is Risk.HIGH
    assert sum("shared by everything" in warning for warning in plan.warnings) == 2


@pytest.mark.parametrize("wish", [{}, {"services": []}, {"services": "app"}, {"services": ["x"]}])
def test_a_wish_that_makes_no_sense_is_a_usage_error(
    stack: ModelStack, wish: dict[str, object]
) -> None:
    with pytest.raises(UsageError) as error:
        stack.plan("restart", wish)

    assert error.value.remedy


def test_a_service_without_replicas_cannot_be_restarted() -> None:
    stack = ModelStack(FakeClock(), (("app", Role.APP, 0),))

    with pytest.raises(Refused, match="no replica"):
        stack.plan("restart", {"services": ["app"]})


def test_a_runtime_without_the_capability_refuses(stack: ModelStack) -> None:
    class Poor:
        name = "poor"

    with pytest.raises(NotSupported, match="poor cannot restart"):
        plan_restart(
            PlanRequest(
                stack.snapshot(),
                Policy(),
                Poor(),  # type: ignore[arg-type]  # a runtime that can do next to nothing
                {"all": True},
            )
        )
