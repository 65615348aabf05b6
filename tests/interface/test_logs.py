"""Logs: merged, filtered, paused, searched, saved; hostile lines and floods."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.domain.logs import LogFilter, LogLine, LogRequest, Records, parse_pattern
from screens.log_lines import KEPT_LINES, LogBook, text_of
from screens.log_ring import LogRing
from screens.logs import LogsScreen
from screens.rendering import clean
from screens.widgets.log_view import LogView
from tests.fakes import insight, pictures
from tests.fakes.pictures import NOW
from tests.interface.conftest import Desk, OpenDesk


def line(text: str, *, replica: str = "app-1", level: str = "info") -> LogLine:
    return LogLine(replica, replica.rsplit("-", 1)[0], NOW, level, text)


async def with_lines(desk: Desk, *lines: LogLine) -> None:
    desk.engine.log.extend(lines)
    await desk.press("l")
    await desk.sees("following")
    if lines:
        await desk.sees(clean(lines[-1].text)[:20])


async def test_lines_are_followed_as_they_come(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.normal()) as desk:
        await with_lines(desk, *insight.log_lines(60))
        assert "heartbeat sent" in desk.text
        desk.engine.log.append(line("the newest of all"))
        await desk.sees("the newest of all")


async def test_pause_holds_and_counts_what_came(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.normal()) as desk:
        await with_lines(desk, line("before"))
        await desk.press("space")
        await desk.sees("PAUSED")
        desk.engine.log.extend(line(f"later {n}") for n in range(30))
        await desk.sees("PAUSED, 30 wait")
        await desk.press("space")
        await desk.sees("later 29", "following")


async def test_errors_only_and_back(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.normal()) as desk:
        await with_lines(desk, line("calm"), line("broken", level="ERROR"), line("all well"))
        await desk.press("e")
        await desk.until(lambda: "calm" not in desk.text, "errors only")
        assert "broken" in desk.text
        await desk.press("e")
        await desk.sees("calm")


async def test_the_lowest_level_is_raised_step_by_step(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.normal()) as desk:
        await with_lines(desk, line("chatty", level="debug"), line("careful", level="warn"))
        await desk.press("d")
        await desk.until(lambda: "chatty" not in desk.text, "info and above")
        await desk.press("d", "d")
        await desk.until(lambda: "careful" not in desk.text, "error and above")
        await desk.sees("no line matches")


async def test_a_pattern_keeps_what_matches(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.normal()) as desk:
        await with_lines(desk, line("GET /ready 200"), line("GET /ready 503"))
        await desk.press("slash")
        await desk.type("50[0-9]")
        await desk.press("enter")
        await desk.sees("/50[0-9]/")
        assert "200" not in desk.text


async def test_a_broken_pattern_is_refused_in_words(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.normal()) as desk:
        await with_lines(desk, line("kept"))
        await desk.press("slash")
        await desk.type("([")
        await desk.press("enter")
        await desk.sees("not a pattern", "kept")


async def test_keys_typed_quickly_go_into_the_pattern(open_desk: OpenDesk) -> None:
    """They arrive in one packet over a slow link, before the field has opened."""
    from textual.events import Key

    async with open_desk(pictures.normal()) as desk:
        await with_lines(desk, line("esq"))
        for key, sign in (("slash", "/"), ("e", "e"), ("s", "s"), ("q", "q")):
            desk.app.post_message(Key(key, sign))
        await desk.until(
            lambda: getattr(desk.app.focused, "value", "") == "esq", "the typed pattern"
        )


async def test_find_marks_and_walks(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.normal()) as desk:
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
    async with open_desk(pictures.normal()) as desk:
        await with_lines(desk, line("from redis", replica="redis-1"), line("from app"))
        await desk.press("p")
        await desk.sees("Logs of", "nothing ticked means all")
        await desk.press("space", "enter")
        await desk.until(lambda: "from redis" not in desk.text, "app alone")
        assert ("logs", ("app",)) in desk.engine.asked


async def test_logs_of_the_selected_service_alone(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.normal()) as desk:
        desk.engine.log.extend([line("x", replica="worker-llm-1"), line("from app")])
        await desk.press("down", "L")
        await desk.until(lambda: isinstance(desk.app.screen, LogsScreen), "the logs")
        await desk.sees("worker-llm-1")
        assert "from app" not in desk.text


async def test_what_is_shown_is_saved_for_its_owner_only(
    open_desk: OpenDesk, tmp_path: Path
) -> None:
    async with open_desk(pictures.normal()) as desk:
        await with_lines(desk, line("not me"), line("keep \x1b[31mme", level="error"))
        await desk.press("e", "s")
        await desk.sees("saved 1 line to")
        (saved,) = (tmp_path / "saved-logs").iterdir()
        assert saved.stat().st_mode & 0o777 == 0o600
        assert saved.read_text().endswith("app-1 error keep me\n")


async def test_a_log_that_ends_says_so(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.normal()) as desk:

        def broken(request: object) -> object:
            raise OSError("no such directory")

        desk.engine.logs = broken  # type: ignore[method-assign,assignment]
        await desk.press("l")
        await desk.sees("logs ended: unexpected: OSError")


async def test_hostile_lines_are_drawn_harmless(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.normal()) as desk:
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
    async with open_desk(pictures.normal()) as desk:
        await desk.press("l")
        await desk.sees("following")
        desk.engine.log.extend(line(f"flood {n}") for n in range(KEPT_LINES + 2_000))
        await desk.sees(f"flood {KEPT_LINES + 1_999}", "2,000 older lines dropped")


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


def test_an_unknown_level_counts_as_info() -> None:
    entry = Records().entry(line("x", level="LOUD"))
    assert entry.level == "info"
    assert LogFilter(level="info").hits(entry)


async def test_lines_around_a_hit_are_shown_and_told_from_it(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.normal()) as desk:
        many = [line(f"number {n}") for n in range(40)]
        many[20] = line("the needle", level="error")
        await with_lines(desk, *many)
        await desk.press("e")
        await desk.until(lambda: "number" not in desk.text, "errors only")
        await desk.press("c")
        await desk.sees("±2 lines", "› app-1", "number 18", "number 22")
        assert "number 17" not in desk.text
        assert "number 23" not in desk.text
        await desk.press("c", "c", "c")
        await desk.until(lambda: "number" not in desk.text, "no context again")


async def test_a_traceback_stays_with_the_error_it_belongs_to(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.normal()) as desk:
        await with_lines(
            desk,
            line("all is well"),
            line("request failed", level="error"),
            line("Traceback (most recent call last):"),
            line("from elsewhere", replica="redis-1"),
            line('  File "app.py", line 3'),
            line("ValueError: no such formula"),
            line("served"),
        )
        await desk.press("e")
        await desk.until(lambda: "well" not in desk.text, "errors only")
        for kept in ("request failed", "Traceback", "app.py", "ValueError: no such formula"):
            assert kept in desk.text
        assert "served" not in desk.text
        assert "elsewhere" not in desk.text
        await desk.press("e", "slash")
        await desk.type("formula")
        await desk.press("enter")
        await desk.until(lambda: "served" not in desk.text, "the pattern")
        assert "request failed" in desk.text


async def test_json_is_drawn_readable_and_raw_on_a_key(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.normal()) as desk:
        written = '{"event": "job done", "level": "info", "job_id": "j-1"}'
        said = LogLine("app-1", "app", NOW, "info", "job done job_id=j-1", written)
        await with_lines(desk, said)
        assert "job_id=j-1" in desk.text
        await desk.press("r")
        await desk.sees('{"event": "job done"', "raw")


async def test_times_are_shown_in_utc_or_local(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.normal()) as desk:
        await with_lines(desk, line("now"))
        await desk.sees("03:12:30", "UTC")
        await desk.press("u")
        await desk.sees("04:12:30", "local")


async def test_long_lines_are_broken_or_looked_at_sideways(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.normal()) as desk:
        await with_lines(desk, line("begin " + "x" * 200 + " the end"), line("short"))
        view = desk.app.screen.query_one(LogView)

        def rows() -> list[str]:
            return [view.render_line(y).text for y in range(view.size.height)]

        assert not any("the end" in row for row in rows())
        await desk.press("x")
        await desk.until(lambda: any("the end" in row for row in rows()), "broken lines")
        assert any("short" in row for row in rows())
        await desk.press("up", "up", "down", "down", "x", *["right"] * 5)
        await desk.until(lambda: any("the end" in row for row in rows()), "sideways")


def aged(count: int) -> list[LogLine]:
    """Lines of the last hours, one a minute."""
    return [
        LogLine("app-1", "app", NOW - timedelta(minutes=n), "info", f"minute {n}.")
        for n in reversed(range(count))
    ]


async def test_the_beginning_is_chosen_and_older_lines_are_loaded(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.normal()) as desk:
        desk.engine.log.extend(aged(600))
        await desk.press("l")
        await desk.sees("minute 0.")
        await desk.press("b")
        await desk.type("10m")
        await desk.press("enter", "g")
        await desk.sees("minute 10.")
        assert "minute 11." not in desk.text
        await desk.press("B")
        await desk.until(lambda: len(desk.screen.book) == 71, "an hour more")  # type: ignore[attr-defined]
        await desk.sees("minute 10.")  # what was in sight still is
        await desk.press("g")
        await desk.sees("minute 70.")
        await desk.press("b")
        await desk.type("soon")
        await desk.press("enter")
        await desk.sees("is no duration")


async def test_a_clock_time_is_gone_to_also_one_long_past(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.normal()) as desk:
        desk.engine.log.extend(aged(600))
        await desk.press("l")
        await desk.sees("minute 0.")
        await desk.press("at")
        await desk.type("02:00")
        await desk.press("enter")
        await desk.until(lambda: "minute 72." in desk.text.splitlines()[3], "the line of 02:00")
        await desk.press("at")
        await desk.type("19:32")  # yesterday: not among the lines that were read
        await desk.press("enter")
        await desk.sees("minute 460.", "not following: G", "13 Mar")
        await desk.press("space")
        assert "nothing new comes" in desk.footer
        await desk.press("G")
        await desk.sees("minute 0.", "following")


async def test_one_replica_alone_can_be_picked(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.normal()) as desk:
        await with_lines(desk, line("of one"), line("of two", replica="app-2"))
        await desk.press("p", "down", "down", "space", "enter")
        await desk.until(lambda: "of one" not in desk.text, "app-2 alone")
        assert ("logs", ("app-2",)) in desk.engine.asked


async def test_what_breaks_off_is_taken_up_again(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.normal()) as desk:
        plain = desk.engine.logs
        broken = 2

        def logs(request: LogRequest) -> Iterator[LogLine | None]:
            nonlocal broken
            for said in plain(request):
                yield said
                if said is None and broken:
                    broken -= 1
                    raise OSError("connection reset")

        desk.engine.logs = logs  # type: ignore[method-assign]
        desk.engine.log.append(line("before"))
        await desk.press("l")
        await desk.sees("logs ended: unexpected: OSError: connection reset")
        later = NOW + timedelta(seconds=1)
        desk.engine.log.append(LogLine("app-1", "app", later, "info", "afterwards"))
        await desk.sees("afterwards", "following")
        assert desk.text.count("before") == 1


async def test_no_line_is_lost_while_paused_though_the_ring_is_full(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.normal()) as desk:
        await with_lines(desk, line("before"))
        screen = desk.screen
        assert isinstance(screen, LogsScreen)
        await desk.press("space")
        screen._ring._capacity = 10
        desk.engine.log.extend(line(f"later {n}") for n in range(100))
        await desk.sees("PAUSED, 10 wait and more in the logs")
        await desk.press("space")
        await desk.sees("later 99", "following")
        assert len(screen.book) == 101
        assert screen.book.missed == 0


async def test_two_saves_in_one_second_are_two_files(open_desk: OpenDesk, tmp_path: Path) -> None:
    async with open_desk(pictures.normal()) as desk:
        await with_lines(desk, line("kept"))
        await desk.press("s")
        await desk.sees("saved 1 line")
        await desk.press("s")
        await desk.until(lambda: len([*(tmp_path / "saved-logs").iterdir()]) == 2, "two files")


def test_capitals_matter_only_in_a_pattern_that_has_one() -> None:
    assert parse_pattern(r"err\S+").search("ERRORS")
    assert not parse_pattern("Err").search("error")


def test_a_book_is_bounded_in_characters_too() -> None:
    book = LogBook(capacity=100, most_characters=1_000)
    added, fallen = book.add([line("x" * 300) for _ in range(5)], 0)
    assert (added, fallen, len(book), book.forgotten) == (5, 2, 3, 2)
    ring = LogRing(capacity=100, most_characters=1_000)
    assert [ring.offer(line("x" * 300)) for _ in range(6)] == [True] * 4 + [False] * 2
    ring.add(line("x" * 300))
    lines, dropped = ring.take()
    assert (len(lines), dropped) == (4, 1)


@pytest.mark.parametrize(
    ("written", "drawn"),
    [
        ("2026-03-14 03:12:30.533 UTC [20833] ERROR:  no", "[20833] ERROR:  no"),
        ("2026-03-14T03:12:30Z started", "started"),
        ("12:M 14 Mar 2026 03:12:30.006 # Memory", "Memory"),
        ("job of 2026-03-14 03:12:30 done", "job of 2026-03-14 03:12:30 done"),
    ],
)
def test_a_time_that_has_its_column_is_not_repeated(written: str, drawn: str) -> None:
    entry = Records().entry(line(written))
    assert text_of(entry) == drawn
    assert text_of(entry, raw=True) == written
