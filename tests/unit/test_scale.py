"""Planning to scale: what is planned, warned about and refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.domain.plans import Plan
from console.domain.policy import Policy, ScalePolicy
from console.domain.services import Role
from console.domain.snapshot import AgentState
from console.errors import ConsoleError, NotSupported, Refused, Unreachable, UsageError
from console.operations.request import PlanRequest
from console.operations.scale import plan_scale
from tests.fakes.clock import FakeClock
from tests.fakes.stack import MIB, ModelStack


@pytest.fixture
def stack() -> ModelStack:
    return ModelStack(FakeClock())


def names(plan: Plan) -> list[str]:
    return [step.name for step in plan.steps]


def undo_names(plan: Plan) -> list[str]:
    return [step.name for step in plan.undo]


def scale(stack: ModelStack, targets: Any, **wish: Any) -> Plan:
    return stack.plan("scale", {"targets": targets, **wish})


def test_up_starts_everything_and_then_waits_for_everything(stack: ModelStack) -> None:
    plan = scale(stack, {"worker-llm": 3})

    assert plan.summary == "worker-llm 1 → 3"
    assert names(plan) == [
        "start-worker-llm-2",
        "start-worker-llm-3",
        "gate-worker-llm-2",
        "gate-worker-llm-3",
    ]
    assert undo_names(plan) == [
        "drain-worker-llm-3",
        "drain-worker-llm-2",
        "stop-worker-llm-3",
        "stop-worker-llm-2",
    ]
    assert plan.expects == {"worker-llm": ["worker-llm-1"]}
    assert all(step.command for step in (*plan.steps, *plan.undo))


def test_down_drains_a_worker_before_it_stops_it(stack: ModelStack) -> None:
    stack.start_replica("worker-llm", "worker-llm-2", {})

    plan = scale(stack, {"worker-llm": 1})

    assert names(plan) == ["drain-worker-llm-2", "stop-worker-llm-2"]
    assert undo_names(plan) == ["start-worker-llm-2", "undrain-worker-llm-2", "gate-worker-llm-2"]
    assert "python -m workers drain worker-llm-2" in plan.steps[0].command


def test_several_leave_side_by_side(stack: ModelStack) -> None:
    stack.routed, stack.members = {"app"}, {"app-1", "app-2", "app-3"}
    stack.start_replica("app", "app-3", {})
    for number in (2, 3):
        stack.start_replica("worker-llm", f"worker-llm-{number}", {})

    plan = scale(stack, {"worker-llm": 1, "app": 1})

    assert names(plan) == [
        "drain-worker-llm-3",
        "drain-worker-llm-2",
        "stop-worker-llm-3",
        "stop-worker-llm-2",
        "unroute-app-3",
        "unroute-app-2",
        "stop-app-3",
        "stop-app-2",
    ]
    assert undo_names(plan)[:6] == [
        "start-app-2",
        "start-app-3",
        "gate-app-2",
        "gate-app-3",
        "route-app-2",
        "route-app-3",
    ]


def test_down_takes_what_does_not_work_first_then_the_idlest_then_the_newest(
    stack: ModelStack,
) -> None:
    for number in (2, 3, 4, 5):
        stack.start_replica("worker-llm", f"worker-llm-{number}", {})
    stack.active = {"worker-llm-1": 2, "worker-llm-3": 1, "worker-llm-5": 3}
    stack.unwell = {"worker-llm-1"}

    plan = scale(stack, {"worker-llm": 1})

    stopped = [step.arguments["replica"] for step in plan.steps if step.kind == "stop_replica"]
    assert stopped == ["worker-llm-1", "worker-llm-4", "worker-llm-2", "worker-llm-3"]


def test_an_app_is_stopped_without_a_drain_because_it_finishes_its_requests(
    stack: ModelStack,
) -> None:
    assert names(scale(stack, {"app": 1})) == ["stop-app-2"]


def test_behind_a_proxy_the_new_get_requests_last_and_the_old_lose_them_first(
    stack: ModelStack,
) -> None:
    stack.routed, stack.members = {"app"}, {"app-1", "app-2"}

    up, down = scale(stack, {"app": 3}), scale(stack, {"app": 1})

    assert names(up) == ["start-app-3", "gate-app-3", "route-app-3"]
    assert undo_names(up) == ["unroute-app-3", "stop-app-3"]
    assert names(down) == ["unroute-app-2", "stop-app-2"]
    assert undo_names(down) == ["start-app-2", "gate-app-2", "route-app-2"]


def test_gradual_watches_between_removals_but_not_after_the_last(stack: ModelStack) -> None:
    for number in (2, 3):
        stack.start_replica("worker-llm", f"worker-llm-{number}", {})

    plan = scale(stack, {"worker-llm": 1}, gradual=True)

    assert names(plan) == [
        "drain-worker-llm-3",
        "stop-worker-llm-3",
        "watch-worker-llm-at-2",
        "drain-worker-llm-2",
        "stop-worker-llm-2",
    ]
    assert plan.steps[2].arguments["hold_seconds"] == 300


def test_an_emergency_does_not_wait_for_tasks(stack: ModelStack) -> None:
    stack.start_replica("worker-llm", "worker-llm-2", {})

    plan = scale(stack, {"worker-llm": 1}, emergency=True)

    assert names(plan) == ["stop-worker-llm-2"]
    assert any("without draining" in warning for warning in plan.warnings)


def test_several_services_in_one_plan_go_up_before_others_go_down(stack: ModelStack) -> None:
    plan = scale(stack, {"app": 1, "worker-llm": 2})

    assert names(plan) == ["start-worker-llm-2", "gate-worker-llm-2", "stop-app-2"]
    assert undo_names(plan)[0] == "start-app-2"


def test_what_is_already_so_is_an_empty_plan_that_says_so(stack: ModelStack) -> None:
    plan = scale(stack, {"worker-llm": 1})

    assert plan.steps == plan.undo == ()
    assert plan.summary == "worker-llm is already 1"


@pytest.mark.parametrize(
    ("targets", "error", "says"),
    [
        ({"nonsense": 2}, UsageError, "nonsense"),
        ({"worker-llm": -1}, UsageError, "-1"),
        ({"worker-llm": "x"}, UsageError, "x"),
        ({"worker-llm": 1.5}, UsageError, "1.5"),
        ({"worker-llm": True}, UsageError, "True"),
        ({"worker-llm": None}, UsageError, "None"),
        ({}, UsageError, "nothing"),
        ("worker-llm=2", UsageError, "nothing"),
        ({"worker-llm": 11}, Refused, "maximum of 10"),
        ({"app": 0}, Refused, "minimum of 1"),
        ({"postgres": 2}, Refused, "postgres"),
    ],
)
def test_a_wish_that_makes_no_sense_is_refused_with_a_remedy(
    stack: ModelStack, targets: Any, error: type[ConsoleError], says: str
) -> None:
    with pytest.raises(error) as refusal:
        scale(stack, targets)

    assert says in refusal.value.message
    assert refusal.value.unchanged
    assert refusal.value.remedy
    assert stack.commands == []


def test_what_there_can_be_only_one_of_is_refused_beforehand(stack: ModelStack) -> None:
    stack.single = {"worker-llm": "it publishes port 8080 of the host"}

    with pytest.raises(Refused, match="cannot have 2 replicas: it publishes port 8080"):
        scale(stack, {"worker-llm": 2})
    assert names(scale(stack, {"worker-llm": 0}))


def test_a_runtime_that_is_not_seen_is_not_decided_about(stack: ModelStack) -> None:
    stack.failed_sources = {"runtime": "no answer within 2 s"}

    with pytest.raises(Unreachable, match="no answer within 2 s"):
        scale(stack, {"worker-llm": 2})


def test_a_stopped_stack_is_not_scaled(stack: ModelStack) -> None:
    stack.take_down(lambda _: None, 1)

    with pytest.raises(Refused, match="not running"):
        scale(stack, {"worker-llm": 2})


def test_a_runtime_without_the_capability_refuses(stack: ModelStack) -> None:
    class Poor:
        name = "poor"

    request = PlanRequest(
        stack.snapshot(),
        Policy(),
        Poor(),  # type: ignore[arg-type]  # a runtime that can do next to nothing
        {"targets": {"worker-llm": 2}},
    )

    with pytest.raises(NotSupported, match="poor cannot start"):
        plan_scale(request)
    with pytest.raises(NotSupported, match="poor cannot remove"):
        plan_scale(replace(request, wish={"targets": {"worker-llm": 0}}))


def test_what_does_not_fit_into_memory_is_refused(stack: ModelStack) -> None:
    assert stack.host is not None
    # 100 MiB a replica are measured; 5 % of 1,000 MiB are kept.
    stack.host = replace(stack.host, memory_available_bytes=260 * MIB, memory_ratio=0.74)
    assert names(scale(stack, {"worker-llm": 3}))

    with pytest.raises(Refused, match="not enough memory") as refusal:
        scale(stack, {"worker-llm": 4})

    assert "smaller" in refusal.value.remedy


def test_memory_that_cannot_be_told_is_said_and_not_guessed(stack: ModelStack) -> None:
    stack.host = None
    assert any("memory" in w for w in scale(stack, {"worker-llm": 2}).warnings)


def test_memory_of_a_service_without_replicas_is_the_policys_or_unknown() -> None:
    stack = ModelStack(FakeClock(), (("worker-llm", Role.WORKER, 0),))
    assert any("worker-llm" in w for w in scale(stack, {"worker-llm": 2}).warnings)

    policy = Policy(scale={"worker-llm": ScalePolicy(0, 100, 4 * 1024 * MIB)})
    with pytest.raises(Refused, match="not enough memory"):
        stack.plan("scale", {"targets": {"worker-llm": 3}}, policy)


@pytest.mark.parametrize(("target", "warned"), [(4, False), (5, True), (1, False), (0, True)])
def test_more_than_doubling_or_halving_is_warned_about(
    stack: ModelStack, target: int, warned: bool
) -> None:
    stack.start_replica("worker-llm", "worker-llm-2", {})

    warnings = scale(stack, {"worker-llm": target}).warnings

    assert any("×2" in warning for warning in warnings) is warned


def test_production_and_a_missing_agent_are_warned_about(stack: ModelStack) -> None:
    assert scale(stack, {"worker-llm": 2}).warnings == ()
    stack.environment = "prod"
    stack.agent = AgentState.ABSENT

    warnings = scale(stack, {"worker-llm": 2}).warnings

    assert any("prod" in warning for warning in warnings)
    assert any("no agent" in warning for warning in warnings)


@given(
    present=st.dictionaries(
        st.sampled_from(["app", "worker-llm", "worker-rl"]), st.integers(1, 6), min_size=1
    ),
    targets=st.dictionaries(
        st.sampled_from(["app", "worker-llm", "worker-rl"]), st.integers(-2, 8), min_size=1
    ),
    gradual=st.booleans(),
    emergency=st.booleans(),
)
def test_any_plan_has_unique_names_keeps_the_bounds_and_pairs_its_undo(
    present: dict[str, int], targets: dict[str, int], gradual: bool, emergency: bool
) -> None:
    roles = {"app": Role.APP}
    stack = ModelStack(
        FakeClock(), [(name, roles.get(name, Role.WORKER), n) for name, n in present.items()]
    )
    policy = Policy(
        scale={
            "app": ScalePolicy(1, 5),
            "worker-llm": ScalePolicy(0, 6),
            "worker-rl": ScalePolicy(0, 4),
        }
    )
    wish = {"targets": targets, "gradual": gradual, "emergency": emergency}
    try:
        plan = stack.plan("scale", wish, policy)
    except (UsageError, Refused):
        return

    everything = [*names(plan), *undo_names(plan)]
    assert len(everything) == len(set(everything))
    assert {step.undoes for step in plan.undo if step.undoes} <= set(names(plan))
    for name, target in targets.items():
        bounds = policy.scale[name]
        assert bounds.minimum <= target <= bounds.maximum
        count = present[name]
        for step in plan.steps:
            if str(step.arguments.get("replica", "")).rpartition("-")[0] == name:
                count += {"start_replica": 1, "stop_replica": -1}.get(step.kind, 0)
                assert min(target, present[name]) <= count <= max(target, present[name])
        assert count == target
