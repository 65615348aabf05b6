"""Logs: merged, filtered, paused, searched, saved; hostile lines and floods."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.ports import LogLine
from screens.log_lines import LogBook, LogFilter, readable, shown
from screens.log_ring import LogRing
from screens.logs import LogsScreen
from screens.rendering import clean
from tests.fakes import engine as scripted
from tests.interface.conftest import Desk, OpenDesk


def line(text: str, *, replica: str = "app-1", level: str = "info") -> LogLine:
    return LogLine(replica, replica.rsplit("-", 1)[0], scripted.NOW, level, text)


async def with_lines(desk: Desk, *lines: LogLine) -> None:
    desk.engine.log.extend(lines)
    await desk.press("l")
    await desk.sees("following")
    if lines:
        await desk.sees(clean(lines[-1].text)[:20])


async def test_lines_are_followed_as_they_come(open_desk: OpenDesk) -> None:
    async with open_desk(scripted.normal()) as desk:
        await with_lines(desk, *scripted.log_lines(60))
        assert "heartbeat sent" in desk.text
        desk.engine.log.append(line("the newest of all"))
        await desk.sees("the newest of all")


async def test_pause_holds_and_counts_what_came(open_desk: OpenDesk) -> None:
    async with open_desk(scripted.normal()) as desk:
        await with_lines(desk, line("before"))
        await desk.press("space")
        await desk.sees("PAUSED")
        desk.engine.log.extend(line(f"later {n}") for n in range(30))
        await desk.sees("PAUSED, 30 new")
        await desk.press("space")
        await desk.sees("later 29", "following")


async def test_errors_only_and_back(open_desk: OpenDesk) -> None:
    async with open_desk(scripted.normal()) as desk:
        await with_lines(desk, line("calm"), line("broken", level="ERROR"), line("all well"))
        await desk.press("e")
        await desk.until(lambda: "calm" not in desk.text, "errors only")
        assert "broken" in desk.text
        await desk.press("e")
        await desk.sees("calm")


async def test_the_lowest_level_is_raised_step_by_step(open_desk: OpenDesk) -> None:
    async with open_desk(scripted.normal()) as desk:
        await with_lines(desk, line("chatty", level="debug"), line("careful", level="warn"))
        await desk.press("d")
        await desk.until(lambda: "chatty" not in desk.text, "info and above")
        await desk.press("d", "d")
        await desk.until(lambda: "careful" not in desk.text, "error and above")
        await desk.sees("no line matches")


async def test_a_pattern_keeps_what_matches(open_desk: OpenDesk) -> None:
    async with open_desk(scripted.normal()) as desk:
        await with_lines(desk, line("GET /ready 200"), line("GET /ready 503"))
        await desk.press("slash")
        await desk.type("50[0-9]")
        await desk.press("enter")
        await desk.sees("/50[0-9]/")
        assert "200" not in desk.text


async def test_a_broken_pattern_is_refused_in_words(open_desk: OpenDesk) -> None:
    async with open_desk(scripted.normal()) as desk:
        await with_lines(desk, line("kept"))
        await desk.press("slash")
        await desk.type("([")
        await desk.press("enter")
        await desk.sees("not a pattern", "kept")


async def test_keys_typed_quickly_go_into_the_pattern(open_desk: OpenDesk) -> None:
    """They arrive in one packet over a slow link, before the field has opened."""
    from textual.events import Key

    async with open_desk(scripted.normal()) as desk:
        await with_lines(desk, line("esq"))
        for key, sign in (("slash", "/"), ("e", "e"), ("s", "s"), ("q", "q")):
            desk.app.post_message(Key(key, sign))
        await desk.until(
            lambda: getattr(desk.app.focused, "value", "") == "esq", "the typed pattern"
        )


async def test_find_marks_and_walks(open_desk: OpenDesk) -> None:
    async with open_desk(scripted.normal()) as desk:
        many = [line(f"number {n}") for n in range(100)]
        many[7] = line("the needle")
        await with_lines(desk, *many)
        assert "needle" not in desk.text
        await desk.press("f")
        await desk.type("needle")
        await desk.press("enter")
        await desk.sees("the needle")
        await desk.press("n")
        await desk.sees("is not found below")


async def test_services_are_picked(open_desk: OpenDesk) -> None:
    async with open_desk(scripted.normal()) as desk:
        await with_lines(desk, line("from redis", replica="redis-1"), line("from app"))
        await desk.press("p")
        await desk.sees("Logs of", "nothing ticked means all")
        await desk.press("space", "enter")
        await desk.until(lambda: "from redis" not in desk.text, "app alone")
        assert ("logs", ("app",)) in desk.engine.asked


async def test_logs_of_the_selected_service_alone(open_desk: OpenDesk) -> None:
    async with open_desk(scripted.normal()) as desk:
        desk.engine.log.extend([line("x", replica="worker-llm-1"), line("from app")])
        await desk.press("down", "L")
        await desk.until(lambda: isinstance(desk.app.screen, LogsScreen), "the logs")
        await desk.sees("worker-llm-1")
        assert "from app" not in desk.text


async def test_what_is_shown_is_saved_for_its_owner_only(
    open_desk: OpenDesk, tmp_path: Path
) -> None:
    async with open_desk(scripted.normal()) as desk:
        await with_lines(desk, line("not me"), line("keep \x1b[31mme", level="error"))
        await desk.press("e", "s")
        await desk.sees("saved 1 lines to")
        (saved,) = (tmp_path / "saved-logs").iterdir()
        assert saved.stat().st_mode & 0o777 == 0o600
        assert saved.read_text().endswith("app-1 error keep me\n")


async def test_a_log_that_ends_says_so(open_desk: OpenDesk) -> None:
    async with open_desk(scripted.normal()) as desk:

        def broken(request: object) -> object:
            raise OSError("no such directory")

        desk.engine.logs = broken  # type: ignore[method-assign,assignment]
        await desk.press("l")
        await desk.sees("logs ended: unexpected: OSError")


async def test_hostile_lines_are_drawn_harmless(open_desk: OpenDesk) -> None:
    async with open_desk(scripted.normal()) as desk:
        await with_lines(
            desk,
            line("[/x] [bold]markup[/bold]"),
            line("\x1b]0;owned\x07title \x1b[2Jgone \x9b31m\u202ereversed"),
            line("A" * 1_000_000),
            line("last of all"),
        )
        assert "[/x] [bold]markup[/bold]" in desk.text
        assert "title gone" in desk.text
        assert "owned" not in desk.text
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", desk.text)
        assert "… +996,000 characters" in desk.text


async def test_a_flood_is_bounded_and_what_was_dropped_is_said(open_desk: OpenDesk) -> None:
    async with open_desk(scripted.normal()) as desk:
        desk.engine.log.extend(line(f"flood {n}") for n in range(12_000))
        await desk.press("l")
        await desk.sees("flood 11999", "2,000 older lines dropped")


def test_a_ring_that_overflows_counts_what_it_dropped() -> None:
    ring = LogRing(capacity=3)
    for n in range(5):
        ring.add(line(str(n)))
    lines, dropped = ring.take()
    assert [kept.text for kept in lines] == ["2", "3", "4"]
    assert dropped == 2
    assert ring.take() == ([], 0)


def test_a_book_says_what_was_missed() -> None:
    book = LogBook(capacity=2)
    assert book.notice() == ""
    book.add([line("a"), line("b"), line("c")], 7)
    assert book.notice() == "7 lines missed: they came too fast; 1 older lines dropped"


@given(st.lists(st.sampled_from(["info", "error"]), max_size=40), st.integers(1, 10))
def test_what_is_visible_is_always_what_the_filter_keeps(levels: list[str], room: int) -> None:
    book = LogBook(capacity=room)
    book.refilter(level="error")
    for number, level in enumerate(levels):
        book.add([line(str(number), level=level)], 0)
    kept = [
        str(n) for n, level in enumerate(levels) if level == "error" and n >= len(levels) - room
    ]
    assert [entry.line.text for entry in book.visible] == kept


@pytest.mark.parametrize(
    ("raw", "drawn"),
    [
        (
            '{"event": "job done", "level": "info", "job_id": "j-1", "x": null}',
            "job done job_id=j-1",
        ),
        ('{"message": "hello"}', "hello"),
        ("{not json", "{not json"),
        ("[1, 2]", "[1, 2]"),
    ],
)
def test_a_json_line_is_drawn_as_its_message(raw: str, drawn: str) -> None:
    assert readable(raw) == drawn


def test_an_unknown_level_counts_as_info() -> None:
    assert shown(line("x", level="LOUD")).level == "info"
    assert LogFilter(level="info").keeps(shown(line("x", level="LOUD")))
