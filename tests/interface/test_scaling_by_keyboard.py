"""2 → 4 → plan → reason → y → steps → result → undo, and everything that must not happen."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from textual.widgets import Input

from console.domain.operations import OperationState, StepPhase
from console.errors import ConsoleError
from screens.follow import FollowScreen
from screens.overview import OverviewScreen
from tests.fakes import engine as scripted
from tests.interface.conftest import OpenDesk


async def test_plus_and_digits_draw_the_target_and_esc_drops_it(open_desk: OpenDesk) -> None:
    async with open_desk(scripted.normal()) as desk:
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
    async with open_desk(scripted.normal()) as desk:
        await desk.press("down", "plus", "minus")
        assert "plan" not in desk.footer


async def test_a_service_is_scaled_followed_verified_and_undone(open_desk: OpenDesk) -> None:
    async with open_desk(scripted.normal()) as desk:
        await desk.plan("down", "plus", "plus", "enter")
        assert "worker-llm  2 → 4" in desk.text
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
    async with open_desk(scripted.normal()) as desk:
        await desk.plan("down", "plus", "enter")
        await desk.press("enter")
        await desk.until(lambda: isinstance(desk.app.screen, OverviewScreen), "the overview")
        assert desk.asked("submit") == []
        assert "2 → 3" in desk.text  # the wish is still there


async def test_enter_in_the_reason_leads_to_cancel_and_not_to_yes(open_desk: OpenDesk) -> None:
    async with open_desk(scripted.normal()) as desk:
        await desk.plan("down", "plus", "enter")
        await desk.press("tab", "y", "enter")
        assert desk.asked("submit") == []
        assert desk.app.focused is None


async def test_keys_typed_ahead_do_not_confirm(open_desk: OpenDesk) -> None:
    async with open_desk(scripted.normal()) as desk:
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
    async with open_desk(scripted.normal()) as desk:
        desk.engine.refusal = scripted.TOO_MANY
        await desk.press("down", "9", "enter")
        await desk.sees("cannot run 9 replicas", "unchanged: nothing was changed", "next: scale to")
        await desk.dialog()
        await desk.press("y")
        assert desk.asked("submit") == []
        await desk.press("escape")
        await desk.until(lambda: isinstance(desk.app.screen, OverviewScreen), "the overview")


async def test_a_bug_in_the_engine_does_not_end_the_console(open_desk: OpenDesk) -> None:
    async with open_desk(scripted.normal()) as desk:
        desk.engine.refusal = ConsoleError("")
        desk.engine.plan = None  # type: ignore[method-assign,assignment]
        await desk.press("down", "plus", "enter")
        await desk.sees("unexpected: TypeError", "fragrance doctor")


async def test_production_demands_a_reason(open_desk: OpenDesk) -> None:
    async with open_desk(scripted.production()) as desk:
        desk.engine.elevate(15, "test")
        await desk.until(lambda: desk.app.view.write, "write access")
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
    async with open_desk(scripted.production()) as desk:
        desk.engine.elevate(15, "test")
        await desk.until(lambda: desk.app.view.write, "write access")
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
    async with open_desk(scripted.normal()) as desk:
        await desk.press(*keys)
        assert "no scale policy" in desk.footer
        await desk.press("escape")
        assert "no scale policy" not in desk.footer


async def test_no_new_target_while_an_operation_is_unfinished(open_desk: OpenDesk) -> None:
    async with open_desk(scripted.unfinished()) as desk:
        await desk.press("down", "plus")
        assert "scale is interrupted" in desk.footer


async def test_a_runtime_that_cannot_scale_says_so(open_desk: OpenDesk) -> None:
    engine = scripted.FakeEngine(scripted.normal())
    engine.runtime = object()
    async with open_desk(None, engine=engine) as desk:
        await desk.press("down", "plus")
        assert "the embedded runtime cannot do this" in desk.footer


async def test_the_selection_stays_on_its_service_when_rows_move(open_desk: OpenDesk) -> None:
    async with open_desk(scripted.normal()) as desk:
        await desk.press("down", "down")
        desk.engine.picture = replace(
            scripted.failed(), taken_at=scripted.NOW + timedelta(seconds=1)
        )
        await desk.sees("DEGRADED")
        await desk.press("plus")
        await desk.sees("worker-rl 1 → 2")


async def test_a_reached_target_is_forgotten(open_desk: OpenDesk) -> None:
    async with open_desk(scripted.normal()) as desk:
        await desk.press("down", "plus")
        await desk.sees("2 → 3")
        desk.engine.picture = replace(
            scripted.normal(),
            services=scripted.services(llm=3),
            taken_at=scripted.NOW + timedelta(seconds=1),
        )
        await desk.sees("3/3")
        assert "2 → 3" not in desk.text
