"""Log lines are understood, bounded, and none is lost over a rotation."""

from __future__ import annotations

import fcntl
import os
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.ports import LogRequest
from console.runtimes.embedded.layout import Layout
from console.runtimes.embedded.log_files import LogFollower, read_tail
from console.runtimes.embedded.log_reader import LOST, LogReader
from console.runtimes.embedded.rotation import KEPT, open_log, rotate_if_large, rotated
from console.runtimes.log_lines import CUT_MARK, LONGEST_LINE_BYTES, decode, parse


@pytest.mark.parametrize(
    ("line", "level", "at", "words"),
    [
        (
            '{"event": "job done", "level": "warning", "timestamp": "2026-01-02T03:04:05.5Z",'
            ' "n": 3}',
            "warning",
            datetime(2026, 1, 2, 3, 4, 5, 500_000, tzinfo=UTC),
            "job done n=3",
        ),
        ('{"message": "boom", "levelname": "ERROR", "time": 0.5}', "error", None, "boom"),
        (
            "2026-01-02 03:04:05.006 UTC [12] FATAL:  the database system is starting up",
            "critical",
            datetime(2026, 1, 2, 3, 4, 5, 6000, tzinfo=UTC),
            "2026-01-02 03:04:05.006 UTC [12] FATAL:  the database system is starting up",
        ),
        (
            "2026-01-02T05:04:05+02:00 [warning  ] slow",
            "warning",
            datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
            "2026-01-02T05:04:05+02:00 [warning  ] slow",
        ),
        ("INFO:     Started server process", "info", None, "INFO:     Started server process"),
        ("no level here, only an error of style", "info", None, None),
        ("{not json}", "info", None, "{not json}"),
        ("2026-99-99 99:99:99 broken clock", "info", None, None),
        ("", "info", None, ""),
    ],
)
def test_a_line_is_taken_apart(
    line: str, level: str, at: datetime | None, words: str | None
) -> None:
    found_at, found_level, found_words = parse(line)
    assert found_words == (line if words is None else words)
    if "only an error" not in line:
        assert found_level == level
    if "time" not in line:
        assert found_at == at


def test_redis_says_what_is_a_warning() -> None:
    at, level, _ = parse("12:M 02 Jan 2026 03:04:05.006 # Memory overcommit must be enabled")
    assert level == "warning"
    assert at is not None
    assert (at.minute, at.second, at.microsecond) == (4, 5, 6000)
    assert parse("12:M 02 Jan 2026 03:04:05.006 * Ready")[1] == "info"


@given(st.binary(max_size=2000))
def test_nothing_that_comes_in_reaches_the_terminal_as_control(raw: bytes) -> None:
    text = decode(raw.replace(b"\n", b""))
    at, level, words = parse(text)
    assert not [c for c in words if ord(c) < 0x20 or 0x7F <= ord(c) < 0xA0]
    assert at is None or at.tzinfo is not None
    assert level in {"debug", "info", "warning", "error", "critical"}


def test_colours_are_taken_out_and_long_lines_cut() -> None:
    assert decode(b"\x1b[31mred\x1b[0m \x1b]0;title\x07plain") == "red plain"
    cut = decode(b"x" * (LONGEST_LINE_BYTES + 1))
    assert cut.endswith(CUT_MARK)
    assert len(cut) == LONGEST_LINE_BYTES + len(CUT_MARK)


def test_the_tail_goes_back_into_rotated_parts(tmp_path: Path) -> None:
    log = tmp_path / "app-1.log"
    rotated(log, 2).write_text("one\n")
    rotated(log, 1).write_text("two\nthree\n")
    log.write_text("four\nhalf a li")
    assert read_tail(log, 3) == ([b"two", b"three", b"four"], 5)
    assert read_tail(log, 100)[0] == [b"one", b"two", b"three", b"four"]
    assert read_tail(log, 0) == ([], 14)
    assert read_tail(tmp_path / "absent.log", 5) == ([], 0)


@given(lines=st.lists(st.binary(max_size=40).map(lambda b: b.replace(b"\n", b" ")), max_size=60))
def test_a_tail_is_the_end_of_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]
) -> None:
    log = tmp_path_factory.mktemp("log") / "x.log"
    log.write_bytes(b"".join(line + b"\n" for line in lines))
    for count in (1, 7, 100):
        assert read_tail(log, count)[0] == lines[-count:]


def test_a_rotation_loses_no_line_for_who_follows(tmp_path: Path) -> None:
    log = tmp_path / "app-1.log"
    descriptor = open_log(log)
    with os.fdopen(descriptor, "ab", buffering=0) as writer:
        follower = LogFollower(log, 0)
        seen: list[bytes] = []
        for number in range(300):
            writer.write(b"line %d\n" % number)
            if number % 7 == 0:
                seen += follower.read()
            if number % 50 == 49:
                assert rotate_if_large(log, maximum_bytes=100)
        seen += follower.read()
    assert seen == [b"line %d" % number for number in range(300)]
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "app-1.log",
        *(f"app-1.log.{n}" for n in range(1, KEPT + 1)),
    ]
    assert not rotate_if_large(log, maximum_bytes=10_000)


def test_a_follower_gives_whole_lines_only(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    follower = LogFollower(log, 0)
    assert follower.read() == []
    log.write_bytes(b"begin")
    assert follower.read() == []
    with log.open("ab") as file:
        file.write(b"ning\nnext\n")
    assert follower.read() == [b"beginning", b"next"]


def test_an_endless_line_is_cut_once_and_its_rest_dropped(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    follower = LogFollower(log, 0)
    log.write_bytes(b"x" * (LONGEST_LINE_BYTES + 10))
    first = follower.read()
    assert [len(line) for line in first] == [LONGEST_LINE_BYTES + 10]
    with log.open("ab") as file:
        file.write(b"y" * LONGEST_LINE_BYTES + b"yyyy")
    assert follower.read() == []
    with log.open("ab") as file:
        file.write(b"z\nwell\n")
    assert follower.read() == [b"well"]


def test_lines_without_a_time_stay_with_the_one_before(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    layout.logs.mkdir(parents=True)
    layout.log("a-1").write_text(
        "2026-01-01 00:00:01 UTC ERROR: boom\n  Traceback\n2026-01-01 00:00:05 UTC LOG: on\n"
    )
    layout.log("b-1").write_text("2026-01-01 00:00:03 UTC LOG: other\n")
    reader = LogReader(layout, lambda replica: replica[:-2])
    texts = [line.text[24:] or line.text for line in reader.read(LogRequest()) if line]
    assert texts == ["ERROR: boom", "  Traceback", "LOG: other", "LOG: on"]


def test_a_replica_that_appears_is_followed_too(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    layout.logs.mkdir(parents=True)
    lines = LogReader(layout, lambda replica: replica[:-2]).read(LogRequest(follow=True))
    assert next(lines) is None
    layout.log("new-1").write_text("hello\n")
    found = next(line for line in islice(lines, 50) if line is not None)
    assert (found.replica, found.service, found.text) == ("new-1", "new", "hello")


def test_several_rotations_between_two_looks_lose_no_line(tmp_path: Path) -> None:
    log = tmp_path / "app-1.log"
    with os.fdopen(open_log(log), "ab", buffering=0) as writer:
        writer.write(b"zero\n")
        follower = LogFollower(log, 0)
        assert follower.read() == [b"zero"]
        for number in range(3):
            writer.write(b"line %d\n" % (2 * number))
            assert rotate_if_large(log, maximum_bytes=1)
            # Longer than what was there before, so that its size tells nothing.
            writer.write(b"line %d, which is long\n" % (2 * number + 1))
    seen = follower.read()
    assert seen == [
        b"line 0", b"line 1, which is long", b"line 2", b"line 3, which is long",
        b"line 4", b"line 5, which is long",
    ]  # fmt: skip
    assert not follower.take_lost()
    assert follower.read() == []


def test_what_was_rotated_away_unread_is_told(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    layout.logs.mkdir(parents=True)
    log = layout.log("app-1")
    log.write_text("begin\n")
    lines = LogReader(layout, lambda replica: replica[:-2]).read(LogRequest(follow=True))
    assert next(line.text for line in islice(lines, 50) if line is not None) == "begin"
    assert next(lines) is None
    with os.fdopen(open_log(log), "ab", buffering=0) as writer:
        for number in range(KEPT + 3):
            writer.write(b"line %d\n" % number)
            assert rotate_if_large(log, maximum_bytes=1)
        writer.write(b"last\n")
    found = [line.text for line in islice(lines, KEPT + 2) if line is not None]
    assert found[-1] == LOST
    assert found[:-1] == [*(f"line {n}" for n in range(3, KEPT + 3)), "last"]


def test_a_time_long_past_is_read_alone(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    layout.logs.mkdir(parents=True)
    written = [f"2026-01-01 00:{n:02}:00 UTC LOG: {n}.\n  more of {n}\n" for n in range(60)]
    rotated(layout.log("a-1"), 1).write_text("".join(written[:30]))
    layout.log("a-1").write_text("".join(written[30:]))
    reader = LogReader(layout, lambda replica: replica[:-2])
    at = datetime(2026, 1, 1, 0, 20, tzinfo=UTC)
    request = LogRequest(tail=3, until=at, follow=True)
    assert [line.text[-4:] for line in reader.read(request) if line] == ["f 19", " 20.", "f 20"]
    request = LogRequest(tail=100, since=at, until=at.replace(minute=22))
    assert len(list(reader.read(request))) == 6


def test_a_readable_line_keeps_what_was_written(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    layout.logs.mkdir(parents=True)
    layout.log("a-1").write_text('{"event": "done", "n": 3}\nplain\n')
    lines = list(LogReader(layout, lambda replica: replica[:-2]).read(LogRequest()))
    assert [(line.text, line.raw) for line in lines if line] == [
        ("done n=3", '{"event": "done", "n": 3}'),
        ("plain", None),
    ]


def test_a_follower_that_was_stopped_midway_keeps_no_log_growing(tmp_path: Path) -> None:
    log = tmp_path / "app-1.log"
    log.write_bytes(b"x" * 150)
    with log.open("rb") as stopped:
        fcntl.flock(stopped, fcntl.LOCK_SH)
        assert not rotate_if_large(log, maximum_bytes=100)
        log.write_bytes(b"x" * 250)
        assert rotate_if_large(log, maximum_bytes=100)
    assert log.stat().st_size == 0
