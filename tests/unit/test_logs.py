"""``logs``: which lines come, in what shape, and what is said of those that do not."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.cli.logs import build_filter, without_controls
from console.domain.duration import parse_duration
from console.domain.logs import Records, severity
from console.errors import UsageError
from console.ports import LogLine, LogRequest
from tests.unit.test_status import Bench

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def now() -> datetime:
    """Give one moment per test: `--since` measures from the real present."""
    return datetime.now(UTC)


@pytest.fixture
def bench(tmp_path: Path, now: datetime) -> Bench:
    made = Bench(tmp_path)
    for n in range(10):
        at = now - timedelta(minutes=10 - n)
        made.runtime.say("app-1", f"line {n}", level="error" if n % 5 == 0 else "info", at=at)
    made.runtime.say("worker-llm-1", "loading", level="warning", at=now)
    return made


def texts(out: str) -> list[str]:
    return [line.split(" ", 3)[3] for line in out.splitlines()]


def test_lines_carry_time_replica_and_level(bench: Bench, capsys: Captured) -> None:
    assert bench.run("logs", "worker-llm") == 0

    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z worker-llm-1 warning loading\n",
        capsys.readouterr().out,
    )


def test_tail_is_per_replica(bench: Bench, capsys: Captured) -> None:
    bench.run("logs", "--tail", "2")

    assert texts(capsys.readouterr().out) == ["line 8", "line 9", "loading"]


def test_with_a_filter_the_search_goes_further_back_than_the_tail(
    bench: Bench, capsys: Captured
) -> None:
    bench.run("logs", "app-1", "--grep", r"line [0-3]$", "--tail", "3")

    said = capsys.readouterr()
    assert texts(said.out) == ["line 1", "line 2", "line 3"]
    assert said.err == "3 lines shown, 7 left out\n"


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (["--errors"], ["line 0", "line 5"]),
        (["--level", "ERROR"], ["line 0", "line 5"]),
        (["--level", "warn"], ["line 0", "line 5", "loading"]),
        (["--errors", "--grep", "5"], ["line 5"]),
        (["--since", "3m30s"], ["line 7", "line 8", "line 9", "loading"]),
        (["--until", "7m30s"], ["line 0", "line 1", "line 2"]),
        (["app-1", "--grep", "LINE", "--until", "8m30s"], []),
        (["app-1", "--grep", "5", "-C", "1"], ["line 4", "line 5", "line 6"]),
    ],
)
def test_filters(bench: Bench, capsys: Captured, options: list[str], wanted: list[str]) -> None:
    assert bench.run("logs", *options) == 0

    assert texts(capsys.readouterr().out) == wanted


def test_json_is_one_object_a_line(bench: Bench, capsys: Captured, now: datetime) -> None:
    bench.run("logs", "worker-llm-1", "--json")

    assert json.loads(capsys.readouterr().out) == {
        "at": now.isoformat(),
        "service": "worker-llm",
        "replica": "worker-llm-1",
        "level": "warning",
        "text": "loading",
    }


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--grep", "("], "is no regular expression"),
        (["--since", "soon"], "is no duration"),
        (["--since", "0s"], "is no duration"),
        (["--level", "loud"], "unknown level"),
        (["--tail", "-1"], "makes no sense"),
        (["-C", "-1"], "makes no sense"),
        (["--until", "1h", "-f"], "exclude each other"),
        (["nobody"], "there is no service or replica 'nobody'"),
    ],
)
def test_what_makes_no_sense_is_a_usage_error(
    bench: Bench, capsys: Captured, words: list[str], said: str
) -> None:
    assert bench.run("logs", *words) == 2

    captured = capsys.readouterr()
    assert said in captured.err
    assert "next: " in captured.err
    assert captured.out == ""


def test_saving_writes_what_was_shown_and_never_over_a_file(
    bench: Bench, capsys: Captured, tmp_path: Path
) -> None:
    target = tmp_path / "saved.log"

    assert bench.run("logs", "--errors", "--save", str(target)) == 0
    assert bench.run("logs", "--save", str(target)) == 2

    assert texts(target.read_text()) == ["line 0", "line 5"]
    assert target.stat().st_mode & 0o777 == 0o600
    assert "exists" in capsys.readouterr().err


def test_following_goes_on_until_interrupted(bench: Bench, capsys: Captured) -> None:
    request_seen = []
    plain = bench.engine.logs

    def logs(request: LogRequest):  # type: ignore[no-untyped-def]
        request_seen.append(request)
        quiet = 0
        for line in plain(request):
            yield line
            quiet += line is None
            if quiet == 1 and line is None:
                bench.runtime.say("app-2", "came later", level="error")
            if quiet == 3:
                raise KeyboardInterrupt

    bench.engine.logs = logs  # type: ignore[method-assign]

    assert bench.run("logs", "-f", "--errors") == 130

    assert request_seen[0].follow
    said = capsys.readouterr()
    assert texts(said.out) == ["line 0", "line 5", "came later"]
    assert said.err == "3 lines shown, 9 left out\n"


@given(st.text())
def test_nothing_in_a_line_can_steer_a_terminal(text: str) -> None:
    assert without_controls(text).isprintable() or text == ""


def test_colours_go_and_blanks_stay() -> None:
    assert without_controls("a  \x1b[31mred\x1b[0m\tb\x1b]0;title\x07") == "a  red  b"
    assert without_controls("\x9b2J") == "\N{REPLACEMENT CHARACTER}2J"


def test_a_level_nobody_knows_counts_as_info() -> None:
    line = LogLine("a-1", "a", None, "NOTICE", "x")

    assert severity("") == severity("info") == severity(line.level)
    assert build_filter((), "info", None, 0, errors=False).hits(Records().entry(line))
    with pytest.raises(UsageError):
        build_filter((), "loud", None, 0, errors=False)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("15m", 900), ("15 min", 900), ("1h30m", 5400), ("2d", 172800), ("1.5h", 5400)],
)
def test_durations_as_operators_type_them(text: str, seconds: float) -> None:
    assert parse_duration(text).total_seconds() == seconds


@pytest.mark.parametrize("text", ["", "10", "h", "1x", "-1h", "1h ago", "99999999w"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="no duration"):
        parse_duration(text)
