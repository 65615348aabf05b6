"""Operations and audit: the whole journal, filtered and paged, and whether it is whole."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from console.domain.audit import AuditVerdict
from console.domain.operations import Actor, OperationState
from console.errors import Unreachable
from screens.audit import AuditScreen
from screens.follow import FollowScreen
from screens.operations import OperationsScreen
from tests.fakes import operations, pictures
from tests.fakes.pictures import NOW
from tests.interface.conftest import Desk, OpenDesk


def days_of_operations(count: int) -> list[Any]:
    """Return operations of the last days, newest first, every tenth by ben over SSH."""
    made = []
    for number in range(count, 0, -1):
        begun = NOW - timedelta(minutes=30 * (count - number))
        ben = Actor("ben", 1001, "ssh 192.0.2.7")
        made.append(
            operations.operation(
                OperationState.DONE,
                operation_id=f"op-{number}",
                actor=ben if number % 10 == 0 else Actor("ana", 1000),
                submitted_at=begun,
                started_at=begun,
                ended_at=begun + timedelta(seconds=42),
                verified=True,
            )
        )
    return made


async def open_audit(desk: Desk) -> None:
    await desk.press("o")
    await desk.until(lambda: isinstance(desk.app.screen, OperationsScreen), "the operations")
    await desk.press("tab")
    await desk.until(lambda: isinstance(desk.app.screen, AuditScreen), "the audit")


async def test_the_whole_journal_can_be_walked_through(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.normal()) as desk:
        desk.engine.journal = days_of_operations(460)
        await desk.press("o")
        await desk.sees("worker-llm 2 → 4", "ben (ssh 192.0.2.7)", "42s")
        screen = desk.screen
        assert isinstance(screen, OperationsScreen)

        while not screen.whole:
            known = len(screen.records or ())
            await desk.press("G")
            await desk.until(
                lambda: screen.whole or len(screen.records or ()) > known,  # noqa: B023 - awaited at once
                "more of the journal",
            )
        await desk.press("G")
        assert screen.selected == "op-1"
        await desk.sees("the journal begins here")

        def all_drawn() -> bool:
            rows = [desk.screen.lines.render_line(y).text for y in range(19)]
            return all("scale" in row for row in rows)

        await desk.until(all_drawn, "the oldest ones")
        await desk.press("g")
        await desk.until(lambda: "scale" in desk.screen.lines.render_line(1).text, "the newest")


async def test_operations_are_filtered_over_the_whole_journal(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.normal()) as desk:
        desk.engine.journal = days_of_operations(460)
        await desk.press("o")
        await desk.sees("worker-llm 2 → 4")
        await desk.press("slash")
        await desk.type("actor:ben")
        await desk.press("enter")
        await desk.sees("46 records match actor:ben; esc: all")
        assert "ana" not in desk.text.split("when")[1]
        await desk.press("slash")
        await desk.type("actor:ben since:12h verb:scale state:done")
        await desk.press("enter")
        await desk.sees("3 records match")
        await desk.press("slash")
        await desk.type("state:sleeping")
        await desk.press("enter")
        await desk.sees("is no state", "3 records match")
        await desk.press("escape")
        await desk.until(lambda: "match" not in desk.text, "all again")


async def test_one_operation_tells_commands_and_the_way_back(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.normal(), size=(80, 60)) as desk:
        desk.engine.journal = days_of_operations(10)
        await desk.press("o")
        await desk.sees("worker-llm 2 → 4")
        await desk.press("enter")
        await desk.until(lambda: isinstance(desk.app.screen, FollowScreen), "the operation")
        await desk.sees(
            "by ben (ssh 192.0.2.7)",
            "took 42s",
            "reason: queue growing",
            "Commands",
            "python -m workers llm   # as worker-llm-3",
            "Undo plan",
            "stop worker-llm-4",
        )


async def test_the_audit_says_who_what_why_and_that_it_is_whole(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.normal()) as desk:
        desk.engine.entries = operations.audit_entries()
        desk.engine.verdict = AuditVerdict(valid=True, entries=4)
        await open_audit(desk)
        await desk.sees(
            "✓ valid: 4 entries",
            "write access until 03:20 UTC",
            "ben (ssh 192.0.2.7)",
            "refused",
            "the journal begins here",
        )
        await desk.press("down")
        await desk.sees("uid 1001", "more   operation op-0007", "hash")
        await desk.press("enter")
        await desk.until(lambda: isinstance(desk.app.screen, FollowScreen), "its operation")
        await desk.press("escape")
        await desk.press("tab")
        await desk.until(lambda: isinstance(desk.app.screen, OperationsScreen), "back")


async def test_a_record_that_was_tampered_with_is_said_loudly(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.normal()) as desk:
        desk.engine.entries = operations.audit_entries()
        desk.engine.verdict = AuditVerdict(False, 4, 2, "its content was changed")
        await open_audit(desk)
        await desk.sees("✗ NOT VALID from entry 2: its content was changed")


async def test_elevation_and_refusals_are_found(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.normal()) as desk:
        desk.engine.entries = operations.audit_entries()
        await open_audit(desk)
        await desk.sees("the journal begins here")
        for typed, count in (("kind:access", 1), ("outcome:refused", 1), ("!kind:access", 3)):
            await desk.press("slash")
            await desk.type(typed)
            await desk.press("enter")
            await desk.sees(f"{count} record", f"match {typed}; esc: all")


async def test_a_journal_that_does_not_answer_says_so_and_recovers(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.normal()) as desk:
        await open_audit(desk)
        desk.engine.failure = Unreachable("the journal is damaged", remedy="fragrance doctor")
        await desk.sees("the journal is damaged", "fragrance doctor")
        desk.engine.failure = None
        desk.engine.entries = operations.audit_entries()
        await desk.sees("write access until")


async def test_hostile_entries_are_drawn_harmless(open_desk: OpenDesk) -> None:
    hostile = "[/x]\x1b[31m\u202eevil\x07" + "n" * 200
    async with open_desk(pictures.normal()) as desk:
        entry = operations.audit_entries()[0] | {
            "what": hostile, "reason": "A" * 1_000_000, "outcome": hostile, "at": "never",
            "actor": {"user": hostile}, "details": {hostile: hostile},
        }  # fmt: skip
        odd = {"seq": 1}
        desk.engine.entries = [entry, odd]
        done = days_of_operations(1)[0]
        desk.engine.journal = [
            replace(done, reason=hostile, actor=Actor(hostile, 0), verb=hostile,
                    plan=replace(done.plan, summary=hostile))
        ]  # fmt: skip
        await desk.press("o")
        await desk.sees("[/x]evil")
        assert not set(desk.text) & {"\x1b", "\x07", "\u202e"}
        await desk.press("tab")
        await desk.until(lambda: isinstance(desk.app.screen, AuditScreen), "the audit")
        await desk.sees("[/x]evil", "at an unknown time")
        assert not set(desk.text) & {"\x1b", "\x07", "\u202e"}
        await desk.press("down", "down", "escape")
