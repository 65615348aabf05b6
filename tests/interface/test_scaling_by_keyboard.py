"""2 → 4 → plan → reason → y → steps → result → undo, and everything that must not happen."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta
from typing import Any, cast

import pytest
from textual.widgets import Input

from console.domain.decisions import Action, Decision
from console.domain.operations import OperationState, OperationSummary, StepPhase
from console.domain.plans import Plan
from console.domain.services import Role
from console.domain.settling import Settling
from console.errors import ConsoleError
from screens.dialogs.scale import ScaleDialog
from screens.follow import FollowScreen
from screens.overview import OverviewScreen
from tests.fakes import operations, pictures
from tests.fakes.engine import FakeEngine
from tests.fakes.pictures import NOW
from tests.interface.conftest import Desk, OpenDesk


async def test_plus_and_digits_draw_the_target_and_esc_drops_it(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.normal()) as desk:
        await desk.press("down", "plus", "plus")
        await desk.sees("2 → 4")
        assert "plan worker-llm 2 → 4" in desk.footer

        await desk.press("minus")
        await desk.sees("2 → 3")
        await desk.press("7")
        await desk.sees("2 → 7")
        await desk.press("escape")
        assert "→" not in desk.text.replace("1 → 2", "")
        assert desk.engine.asked == []


async def test_a_target_that_is_already_so_is_no_target(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.normal()) as desk:
        await desk.press("down", "plus", "minus")
        assert "plan" not in desk.footer


async def test_a_service_is_scaled_followed_verified_and_undone(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.normal()) as desk:
        await desk.plan("down", "plus", "plus", "enter")
        assert "worker-llm   2 → 4 " in desk.text
        assert "34 waiting" in desk.text
        assert "cpu is overcommitted" in desk.text
        assert "python -m workers llm   # as worker-llm-3" in desk.text
        assert "u takes it back in 2 steps" in desk.text

        await desk.press("tab")
        await desk.type("more load")
        await desk.press("enter", "y")
        await desk.until(lambda: isinstance(desk.app.screen, FollowScreen), "the steps")
        assert desk.asked("submit") == [("submit", "worker-llm 2 → 4", "more load")]
        await desk.sees("RUNNING", "waits")

        desk.engine.step("start-worker-llm-3", StepPhase.INTENT)
        await desk.sees("▶ start-worker-llm-3")
        desk.engine.clock.advance(3)
        desk.engine.step("start-worker-llm-3", StepPhase.DONE, "healthy after 3 s")
        await desk.sees("healthy after 3 s", " 3s ")
        desk.engine.end(OperationState.DONE, verified=True, outcome_message="4 of 4 ready")
        await desk.sees("DONE", "verified", "4 of 4 ready")

        await desk.press("u")
        await desk.dialog()
        await desk.sees("taken back", "stop worker-llm-4")
        await desk.press("y")
        await desk.until(lambda: desk.asked("undo"), "undo")
        assert desk.asked("undo") == [("undo", "op-0008", "")]


async def test_enter_never_means_yes(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.normal()) as desk:
        await desk.plan("down", "plus", "enter")
        await desk.press("enter")
        await desk.until(lambda: isinstance(desk.app.screen, OverviewScreen), "the overview")
        assert desk.asked("submit") == []
        assert "2 → 3" in desk.text  # the wish is still there


async def test_enter_in_the_reason_leads_to_cancel_and_not_to_yes(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.normal()) as desk:
        await desk.plan("down", "plus", "enter")
        await desk.press("tab", "y", "enter")
        assert desk.asked("submit") == []
        assert desk.app.focused is None


async def test_keys_typed_ahead_do_not_confirm(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.normal()) as desk:
        await desk.press("down", "plus", "enter", "y", "y")
        await desk.sees("exact commands")
        # The plan has just come: what is pressed now was meant for something else.
        desk.app.screen.rearm()  # type: ignore[attr-defined]
        await desk.press("y", "enter")
        assert desk.asked("submit") == []
        await desk.dialog()
        await desk.press("y")
        await desk.until(lambda: desk.asked("submit"), "submitted")


async def test_a_refused_plan_says_what_is_unchanged_and_what_to_do(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.normal()) as desk:
        desk.engine.refusal = operations.TOO_MANY
        await desk.press("down", "9", "enter")
        await desk.sees("cannot run 9 replicas", "unchanged: nothing was changed", "next: scale to")
        await desk.dialog()
        await desk.press("y")
        assert desk.asked("submit") == []
        await desk.press("escape")
        await desk.until(lambda: isinstance(desk.app.screen, OverviewScreen), "the overview")


async def test_a_bug_in_the_engine_does_not_end_the_console(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.normal()) as desk:
        desk.engine.refusal = ConsoleError("")
        desk.engine.plan = None  # type: ignore[method-assign,assignment]
        await desk.press("down", "plus", "enter")
        await desk.sees("unexpected: TypeError", "fragrance doctor")


async def test_production_demands_a_reason(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.production()) as desk:
        desk.engine.elevate(15, "test")
        await desk.until(lambda: desk.app.view.may_write(desk.engine.clock.now()), "write access")
        await desk.plan("down", "plus", "enter")
        assert isinstance(desk.app.focused, Input)
        await desk.press("enter", "y")
        await desk.sees("a reason is required")
        assert desk.asked("submit") == []
        await desk.type("queue grows")
        await desk.press("enter", "y")
        await desk.until(lambda: desk.asked("submit"), "submitted")
        assert desk.asked("submit") == [("submit", "worker-llm 2 → 3", "queue grows")]


async def test_nothing_left_in_production_demands_the_typed_name(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.production()) as desk:
        desk.engine.elevate(15, "test")
        await desk.until(lambda: desk.app.view.may_write(desk.engine.clock.now()), "write access")
        await desk.plan("down", "0", "enter")
        await desk.type("broken")
        await desk.press("enter")
        await desk.type("worker-rl")
        await desk.press("enter", "y")
        await desk.sees("type worker-llm to confirm")
        assert desk.asked("submit") == []
        await desk.type("worker-llm")  # what stood there is replaced
        await desk.press("enter", "y")
        await desk.until(lambda: desk.asked("submit"), "submitted")


@pytest.mark.parametrize("keys", [("end", "plus"), ("down", "down", "down", "3")])
async def test_a_service_without_policy_is_not_aimed_at(
    open_desk: OpenDesk, keys: tuple[str, ...]
) -> None:
    async with open_desk(pictures.normal()) as desk:
        await desk.press(*keys)
        assert "no scale policy" in desk.footer
        await desk.press("escape")
        assert "no scale policy" not in desk.footer


async def test_no_new_target_while_an_operation_is_unfinished(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.unfinished()) as desk:
        await desk.press("down", "plus")
        assert "scale is interrupted" in desk.footer


async def test_a_runtime_that_cannot_scale_says_so(open_desk: OpenDesk) -> None:
    engine = FakeEngine(pictures.normal())
    engine.runtime = object()
    async with open_desk(None, engine=engine) as desk:
        await desk.press("down", "plus")
        assert "the embedded runtime cannot do this" in desk.footer


async def test_the_selection_stays_on_its_service_when_rows_move(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.normal()) as desk:
        await desk.press("down", "down")
        desk.engine.picture = replace(pictures.failed(), taken_at=NOW + timedelta(seconds=1))
        await desk.sees("DEGRADED")
        await desk.press("plus")
        await desk.sees("worker-rl 1 → 2")


async def test_a_reached_target_is_forgotten(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.normal()) as desk:
        await desk.press("down", "plus")
        await desk.sees("2 → 3")
        desk.engine.picture = replace(
            pictures.normal(),
            services=pictures.services(llm=3),
            taken_at=NOW + timedelta(seconds=1),
        )
        await desk.sees("3/3")
        assert "2 → 3" not in desk.text


async def test_the_wizard_takes_another_target_and_plans_anew(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.normal()) as desk:
        await desk.press("down", "s")
        await desk.sees("worker-llm  stays 2", "nothing to do")
        await desk.dialog()
        await desk.press("y")
        await desk.press("plus", "plus", "plus")
        await desk.sees("2 → 5", "start-worker-llm-5")
        await desk.press("minus")
        await desk.until(lambda: "start-worker-llm-5" not in desk.text, "the plan of 2 → 4")
        await desk.sees("start-worker-llm-4")
        await desk.press("3")
        await desk.until(lambda: "start-worker-llm-4" not in desk.text, "the plan of 2 → 3")
        await desk.sees("start-worker-llm-3")
        await desk.until(lambda: _can_confirm(desk), "y means something")
        await desk.press("y")
        await desk.until(lambda: desk.asked("submit"), "submitted")
        assert desk.asked("submit") == [("submit", "worker-llm 2 → 3", "")]


async def test_y_means_nothing_until_a_new_plan_can_have_been_read(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.normal()) as desk:
        dialog = cast(ScaleDialog, await desk.plan("down", "plus", "enter"))
        dialog.GUARD_SECONDS = 3600.0  # type: ignore[misc]
        await desk.press("plus")
        await desk.sees("start-worker-llm-4")
        await desk.press("y")
        assert desk.asked("submit") == []


async def test_gradual_and_emergency_are_ways_of_the_same_plan(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.normal(services=pictures.services(llm=4))) as desk:
        await desk.plan("down", "1", "enter")
        await desk.press("g")
        await desk.sees("■ g gradual")
        await desk.press("exclamation_mark")
        await desk.sees("■ ! emergency")
        await desk.until(lambda: _can_confirm(desk), "y means something")
        assert desk.asked("plan")[-1] == (
            "plan", "scale", {"targets": {"worker-llm": 1}, "gradual": True, "emergency": True},
        )  # fmt: skip


async def test_one_key_takes_every_worker_service_to_one(open_desk: OpenDesk) -> None:
    workers = list(pictures.services(llm=3))
    workers[2] = pictures.service(
        "worker-rl", Role.WORKER, pictures.replica("worker-rl-1"), pictures.replica("worker-rl-2")
    )
    async with open_desk(pictures.normal(services=tuple(workers))) as desk:
        await desk.plan("exclamation_mark")
        await desk.sees("worker-llm 3 → 1, worker-rl 2 → 1", "■ ! emergency")
        await desk.press("y")
        await desk.until(lambda: desk.asked("submit"), "submitted")
        assert desk.asked("plan") == [
            ("plan", "scale",
             {"targets": {"worker-llm": 1, "worker-rl": 1}, "emergency": True}),
        ]  # fmt: skip


async def test_an_emergency_cancels_the_running_operation_first(open_desk: OpenDesk) -> None:
    running = OperationSummary(
        "op-0003", "scale", OperationState.RUNNING, "start-app-3", NOW, "ben"
    )
    async with open_desk(pictures.normal(operation=running)) as desk:
        desk.engine.journal = [operations.operation(OperationState.RUNNING, operation_id="op-0003")]
        await desk.press("down", "minus")
        assert "scale is running: settle it first" in desk.footer
        await desk.plan("exclamation_mark")
        await desk.press("y")
        await desk.until(lambda: desk.asked("submit"), "submitted")
        asked = [what[0] for what in desk.engine.asked]
        assert asked == ["plan", "preempt", "plan", "submit"]


async def test_write_access_that_ends_while_a_plan_is_read_refuses_it(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.production()) as desk:
        desk.engine.elevate(1, "test")
        await desk.until(lambda: desk.app.view.may_write(NOW), "write access")
        await desk.sees("WRITE 60s")
        await desk.plan("down", "plus", "enter")
        await desk.type("load")
        await desk.press("enter")
        desk.engine.clock.advance(61)
        await desk.sees("READ-ONLY")
        desk.engine.elevate(0, "over")  # what the engine says when it is asked
        await desk.press("y")
        await desk.sees("✗ read-only: this is production", "next: w takes write access")
        assert desk.engine.journal == []


async def test_the_effect_is_shown_from_the_history(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.normal()) as desk:
        done = operations.operation(
            OperationState.DONE, verified=True, ended_at=NOW - timedelta(minutes=2)
        )
        desk.engine.journal = [done]
        begun = done.submitted_at
        desk.engine.history = {
            "service.worker-llm.ready": [(begun, 2.0), (NOW, 4.0)],
            "service.worker-llm.cpu_ratio": [
                (begun - timedelta(seconds=30), 0.9), (begun, None), (NOW, 0.55),
            ],
            "queue.llm.depth": [(begun - timedelta(hours=1), 7.0), (NOW, 3.0)],
        }  # fmt: skip
        desk.engine.settled = Settling("settling", NOW, "settling, 3 min left")
        await desk.press("o")
        await desk.sees("done")
        await desk.press("enter")
        await desk.sees(
            "settling, 3 min left",
            "Before → after",
            "2m after its end",
            "ready 2 → 4   cpu 90% → 55%",
            "waiting – → 3",
        )


def _can_confirm(desk: Desk) -> bool:
    return isinstance(desk.app.screen, ScaleDialog) and desk.app.screen.can_confirm


async def test_the_advice_is_shown_with_its_arithmetic_and_taken_with_a_key(
    open_desk: OpenDesk,
) -> None:
    async with open_desk(pictures.busy()) as desk:
        await desk.press("down", "s")
        await desk.sees("scale up: 120 tasks wait", "▲ 120 tasks wait (limit 50)", "a takes it")
        await desk.dialog()
        await desk.press("a")
        await desk.sees("2 → 4", "start-worker-llm-4", "advised now: 4")
        assert "a takes it" not in desk.text


async def test_an_old_picture_advises_nothing(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.busy()) as desk:
        await desk.press("down", "s")
        await desk.sees("scale up: 120 tasks wait")
        await desk.dialog()
        desk.engine.clock.advance(60)
        await desk.sees("no advice: the picture is old")
        await desk.press("a")
        assert "2 → 4" not in desk.text


async def test_a_refusal_of_what_is_no_longer_wished_is_not_shown(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.normal()) as desk:
        refused = threading.Event()

        def plan(verb: str, wish: dict[str, Any]) -> Plan:
            if wish["targets"] == {"worker-llm": 3}:
                refused.wait(10)
                raise operations.TOO_MANY
            return operations.scale_plan("worker-llm", 2, wish["targets"]["worker-llm"])

        desk.engine.plan = plan  # type: ignore[method-assign]
        await desk.press("down", "plus", "enter")
        await desk.sees("making the plan")
        await desk.dialog()
        await desk.press("plus")
        refused.set()
        await desk.sees("start-worker-llm-4")
        assert "cannot run" not in desk.text


async def test_the_step_at_work_is_in_sight_and_at_the_end_the_result(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.normal()) as desk:
        plan = operations.scale_plan("worker-llm", 2, 30)
        desk.engine.journal = [operations.operation(OperationState.RUNNING, plan=plan)]
        await desk.press("o")
        await desk.sees("running")
        await desk.press("enter")
        await desk.sees("RUNNING")
        desk.engine.step("start-worker-llm-28", StepPhase.INTENT)
        lines = cast(FollowScreen, desk.screen).lines
        await desk.until(lambda: lines.scroll_offset.y > 0, "the step in sight")
        last = lines.scroll_offset.y + lines.size.height
        assert any("▶ start-worker-llm-28" in x for x in lines.plain.splitlines()[:last])
        desk.engine.end(OperationState.DONE, verified=True)
        await desk.until(lambda: lines.scroll_offset.y == 0, "the result in sight")


async def test_who_scales_by_hand_is_told_that_the_autoscaler_is_on(open_desk: OpenDesk) -> None:
    decision = Decision("worker-llm", Action.HOLD, None, "cooling down", NOW)
    async with open_desk(pictures.normal(autoscale=(decision,))) as desk:
        await desk.press("down", "s")
        await desk.sees("autoscale is on for worker-llm: hold, cooling down")
