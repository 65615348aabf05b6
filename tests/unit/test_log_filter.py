"""Which log lines are wanted: one filter for the screen and for the command."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.domain.duration import parse_moment
from console.domain.logs import LogFilter, LogLine, Records, Sieve, saved_line

NOW = datetime(2026, 3, 14, 3, 12, 30, tzinfo=UTC)


def said(text: str, replica: str = "app-1", level: str = "info") -> LogLine:
    return LogLine(replica, replica.rpartition("-")[0], None, level, text)


def sifted(wanted: LogFilter, *lines: LogLine) -> list[str]:
    records, sieve = Records(), Sieve(wanted)
    return [entry.line.text for line in lines for entry in sieve.sift(records.entry(line))]


@given(
    hits=st.lists(st.booleans(), max_size=60),
    context=st.integers(0, 5),
)
def test_context_is_what_grep_shows(hits: list[bool], context: int) -> None:
    lines = [said(f"{n} {'hit' if hit else 'miss'}") for n, hit in enumerate(hits)]
    near = [
        line.text
        for n, line in enumerate(lines)
        if any(hits[max(0, n - context) : n + context + 1])
    ]
    assert sifted(LogFilter(pattern=re.compile("hit"), context=context), *lines) == near


def test_a_record_is_kept_whole_whichever_of_its_lines_is_wanted() -> None:
    lines = (
        said("calm"),
        said("Traceback (most recent call last):"),
        said('  File "x.py", line 1, in f'),
        said("between", "redis-1"),
        said("    raise KeyError(name)"),
        said("KeyError: 'rose'"),
        said(""),
        said("During handling of the above exception, another exception occurred:"),
        said(""),
        said("Traceback (most recent call last):"),
        said("  File \"y.py\", line 2, in g"),
        said("package.Failed: no rose"),
        said("INFO: Started"),
    )  # fmt: skip
    whole = [line.text for line in lines if line.text not in {"calm", "between", "INFO: Started"}]
    assert sifted(LogFilter(level="error"), *lines) == whole
    assert sifted(LogFilter(pattern=re.compile("no rose")), *lines) == whole
    assert sifted(LogFilter(services=frozenset({"redis"})), *lines) == ["between"]


def test_an_indented_line_is_as_bad_as_the_one_before() -> None:
    lines = (said("FATAL: no", level="fatal"), said("  detail"), said("on we go"))
    assert sifted(LogFilter(level="critical"), *lines) == ["FATAL: no", "  detail"]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a-1", "a-2", "b-1"]),
            st.sampled_from(["info", "error", "debug"]),
            st.sampled_from(["x", "  y", "Traceback (most recent call last):", "E: z", "", "Err"]),
        ),
        max_size=50,
    ),
    st.sampled_from(["debug", "info", "error"]),
    st.sampled_from([None, "x", "y", "z"]),
    st.integers(0, 3),
)
def test_nothing_is_shown_twice_and_every_hit_is(
    given_lines: list[tuple[str, str, str]], level: str, pattern: str | None, context: int
) -> None:
    wanted = LogFilter(level=level, pattern=re.compile(pattern) if pattern else None,
                       context=context)  # fmt: skip
    records, sieve = Records(), Sieve(wanted)
    entries = [records.entry(said(text, name, of)) for name, of, text in given_lines]
    shown = [shown.seq for entry in entries for shown in sieve.sift(entry)]
    assert len(shown) == len(set(shown))
    assert {entry.seq for entry in entries if wanted.hits(entry)} <= set(shown)


def test_a_saved_line_says_when_who_and_how_bad() -> None:
    line = LogLine("app-1\x1b[2J", "app", NOW, "error", "it broke")
    assert saved_line(line) == "2026-03-14T03:12:30.000Z app-1[2J error it broke"


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("1h", NOW - timedelta(hours=1)),
        ("-20m", NOW - timedelta(minutes=20)),
        ("2026-03-14 03:10", NOW.replace(minute=10, second=0)),
        ("02:00", NOW.replace(hour=2, minute=0, second=0)),
        ("3:12:30", NOW),
        ("14:30", NOW.replace(day=13, hour=14, minute=30, second=0)),
        ("2026-03-13T10:00", datetime(2026, 3, 13, 10, tzinfo=UTC)),
        ("2026-03-13 10:00+01:00", datetime(2026, 3, 13, 9, tzinfo=UTC)),
    ],
)
def test_moments_as_operators_type_them(typed: str, meant: datetime) -> None:
    assert parse_moment(typed, NOW) == meant


def test_a_clock_time_is_of_the_zone_that_is_shown() -> None:
    berlin = timezone(timedelta(hours=1))
    assert parse_moment("04:00", NOW, berlin) == NOW.replace(hour=3, minute=0, second=0)


@pytest.mark.parametrize(
    "typed", ["", "25:00", "soon", "2026-99-01", "2027-01-01", "7", "-7", "- soon"]
)
def test_what_is_no_moment(typed: str) -> None:
    with pytest.raises(ValueError, match=r"no |come"):
        parse_moment(typed, NOW)
