"""m: the page is shown or taken away, and nobody can overlook that it is shown."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from console.domain.maintenance import checklist, open_words
from console.domain.plans import Plan, Risk, Step
from tests.fakes import pictures
from tests.fakes.pictures import NOW
from tests.interface.conftest import OpenDesk

ON = Plan(
    "maintenance",
    "on",
    (
        Step("maintenance-on", "switch_maintenance", command="page on", risk=Risk.HIGH),
        Step("drain-requests", "drain_requests", command="wait until no request is under way"),
    ),
    undo=(Step("maintenance-off", "switch_maintenance", command="page off"),),
    warnings=("this is production: users get 503 until it is off",),
)


async def test_the_page_is_shown_after_the_environment_was_typed(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.production()) as desk:
        desk.engine.elevate(15, "test")
        await desk.until(lambda: desk.app.view.may_write(NOW), "write access")
        desk.engine.next_plan = ON
        await desk.plan("P")
        await desk.sees("Maintenance: on", "users get 503", "requests: 12.4/s", "risk high")
        await desk.type("window")
        await desk.press("enter")
        await desk.type("production")
        await desk.press("enter", "y")
        await desk.until(lambda: desk.asked("submit"), "submitted")
        assert desk.asked("plan") == [("plan", "maintenance", {"on": True})]


async def test_a_page_that_is_shown_is_in_every_header_and_m_takes_it_away(
    open_desk: OpenDesk,
) -> None:
    shown = pictures.normal(maintenance=True, maintenance_since=NOW - timedelta(minutes=12))
    async with open_desk(shown) as desk:
        for key in ("l", "t", "o", "v"):
            await desk.press(key)
            await desk.sees("MAINTENANCE since 03:00 UTC, 12m: users get the page (503)")
        desk.engine.next_plan = replace(ON, summary="off")
        await desk.plan("P")
        assert desk.asked("plan") == [("plan", "maintenance", {"on": False})]


async def test_digits_answer_for_the_list_and_the_answers_go_with_the_operation(
    open_desk: OpenDesk,
) -> None:
    items = checklist(24)
    open_ = open_words(items)
    assert open_ is not None
    async with open_desk(pictures.normal()) as desk:
        desk.engine.next_plan = replace(ON, checklist=items, warnings=(open_,))
        await desk.plan("P")
        await desk.sees("1 ○ users were told 24 h before", "backups are not configured here")
        await desk.press("1", "3", "4", "4", "5", "9")
        await desk.sees("✓ users were told", "○ there is a plan to take", "✓ somebody on call")
        await desk.sees("not answered for: backup, rollback, status-page")
        await desk.press("y")
        await desk.until(lambda: desk.asked("submit"), "submitted")
        submitted = desk.engine.journal[0].plan
        assert submitted.wish["confirmed"] == ["notice", "on-call", "staging"]
        assert [i.id for i in submitted.checklist if i.state == "confirmed"] == [
            "notice", "staging", "on-call"
        ]  # fmt: skip


async def test_an_emergency_asks_for_no_list(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.normal()) as desk:
        desk.engine.next_plan = ON
        await desk.press("colon")
        await desk.type("without notice")
        await desk.press("enter")
        await desk.sees("exact commands")
        assert desk.asked("plan") == [("plan", "maintenance", {"on": True, "emergency": True})]
