"""y: what a running operation asks is seen everywhere, and answered only by its own keys."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import partial

from console.domain.operations import OpenQuestion, OperationState, StepPhase
from console.errors import Refused
from console.sources.journal_state import summarise
from tests.fakes import operations, pictures
from tests.fakes.engine import FakeEngine
from tests.fakes.pictures import NOW, OPERATION_ID
from tests.interface.conftest import Desk, OpenDesk

ASKS = OpenQuestion(
    step="start-worker-llm-3",
    text="requests did not end within 60 s; is maintenance begun all the same?",
    seen="2 requests under way",
    choices={"yes": "begin it", "no": "go back", "wait": "wait for 60 s more"},
    asked_at=NOW,
    until=NOW + timedelta(minutes=2),
)


def asking() -> FakeEngine:
    """Give an engine whose operation asks."""
    operation = operations.operation(
        OperationState.RUNNING, phases=(StepPhase.INTENT,), question=ASKS
    )
    engine = FakeEngine(pictures.normal(operation=summarise(operation)))
    engine.journal = [operation]
    return engine


async def opened(desk: Desk) -> None:
    await desk.until(lambda: "asks, 2m left: o, then y answers" in desk.header, "the notice")
    await desk.press("o")
    await desk.sees("asks: press y")
    await desk.press("enter")
    await desk.sees("is maintenance begun all the same?", "y answers; without an answer in 2m")
    assert "y answer" in desk.footer
    assert "r resume" not in desk.footer
    await desk.press("y")
    await desk.dialog()
    await desk.sees("begin it", "wait for 60 s more", "Without an answer, in 2m: go back.")


async def test_enter_and_escape_give_no_answer(open_desk: OpenDesk) -> None:
    async with open_desk(None, engine=asking()) as desk:
        await opened(desk)
        assert "no answer (default)" in desk.footer
        await desk.press("enter")
        await desk.until(lambda: desk.screen.NAME == "operation", "closed")
        assert desk.asked("answer") == []


async def test_each_answer_has_its_key(open_desk: OpenDesk) -> None:
    for key, word in (("y", "yes"), ("n", "no"), ("w", "wait")):
        async with open_desk(None, engine=asking()) as desk:
            await opened(desk)
            await desk.press(key)
            await desk.until(partial(desk.asked, "answer"), "answered")
            asked = [("answer", OPERATION_ID, word, "", ASKS.step)]
            assert desk.asked("answer") == asked


async def test_an_answer_that_came_too_late_is_told(open_desk: OpenDesk) -> None:
    async with open_desk(None, engine=asking()) as desk:
        await opened(desk)
        desk.engine.refusal = Refused("operation op-0007 is done and asks nothing now")
        await desk.press("y")
        await desk.sees("asks nothing now")


async def test_production_wants_a_reason(open_desk: OpenDesk) -> None:
    engine = asking()
    engine.picture = pictures.production(engine.picture)
    engine.settings = replace(engine.settings, environment="production")
    engine.elevate(15, "test")
    async with open_desk(None, engine=engine) as desk:
        await opened(desk)
        await desk.press("n")
        await desk.sees("a reason is required")
        await desk.type("users wait")
        await desk.press("enter", "n")
        await desk.until(lambda: desk.asked("answer"), "answered")
        assert desk.asked("answer")[0][2:4] == ("no", "users wait")


async def test_what_asks_nothing_is_not_answered(open_desk: OpenDesk) -> None:
    engine = asking()
    engine.journal = [replace(engine.journal[0], question=None)]
    async with open_desk(None, engine=engine) as desk:
        await desk.press("o")
        await desk.until(lambda: desk.screen.NAME == "operations", "operations")
        await desk.sees("running")
        await desk.press("y")
        await desk.until(lambda: "it asks nothing now" in desk.footer, "refused")
