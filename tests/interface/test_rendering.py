"""Values become text that is safe, aligned and unlike when unknown."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.text import Text

from console.domain.description import Variable
from console.domain.filtering import Filter
from console.domain.happenings import Happening, Kind
from console.domain.queues import Queue
from console.domain.services import Drift
from screens.ascii import in_ascii
from screens.changes import changes_page
from screens.look import THEMES, look_of
from screens.overview_figures import drain_words, wait_words
from screens.overview_lines import Choice, overview_page
from screens.rendering import (
    age,
    clean,
    cut,
    duration,
    fold,
    latency,
    put,
    rate,
    size,
    sparkline,
    wrap,
)
from screens.service_lines import Known, service_page
from screens.view import View
from screens.widgets.lines import _changed_span, made
from tests.fakes import insight, pictures
from tests.fakes.pictures import NOW

LOOK = look_of(THEMES[0])
HOSTILE = st.text() | st.text(alphabet="\x1b[]m31;\x07\u202e\u200bA✗日")


@given(HOSTILE)
def test_clean_text_cannot_reach_the_terminal(text: str) -> None:
    drawn = clean(text)
    assert drawn.isprintable()
    assert clean(drawn) == drawn


@given(HOSTILE)
def test_ascii_is_ascii_and_as_wide(text: str) -> None:
    drawn = clean(text)
    assert in_ascii(drawn).isascii()
    assert cell_len(in_ascii(drawn)) == cell_len(drawn)


@given(HOSTILE, st.integers(1, 40))
def test_a_column_is_exactly_as_wide_as_asked(text: str, cells: int) -> None:
    assert put(Text(), clean(text), cells).cell_len == cells
    assert cell_len(cut(clean(text), cells)) <= cells


@given(st.text(alphabet="ab c日"), st.integers(3, 20))
def test_folding_a_command_changes_no_sign(text: str, cells: int) -> None:
    lines = fold(text, cells)
    assert "".join(lines) == text
    assert all(cell_len(line) <= cells for line in lines)
    assert all(cell_len(line) <= cells for line in wrap(text, cells))


def test_a_long_line_is_cut_with_a_count() -> None:
    assert clean("A" * 1_000_000, 10) == "AAAAAAAAAA… +999,990 characters"


def test_figures_read_at_a_glance() -> None:
    drawn = [duration(s) for s in (0, 59.9, 190, 3600, 7500, 90_000 * 3, math.inf, None)]
    assert drawn == ["0s", "59s", "3m 10s", "1h", "2h 5m", "3d 3h", "never", "–"]
    assert [size(b) for b in (0, 900, 320 * 1024**2, 2 * 1024**3, None)] == [
        "0B", "900B", "320M", "2.0G", "–",
    ]  # fmt: skip
    assert [latency(s) for s in (0.038, 1.244, None)] == ["38ms", "1.24s", "–"]
    assert [rate(r) for r in (0.0, 12.44, 420.7, None)] == ["0.0", "12.4", "421", "–"]


def test_an_age_is_redrawn_seldom() -> None:
    assert len({age(seconds) for seconds in range(3600)}) < 75


@pytest.mark.parametrize(
    ("depth", "arrived", "completed", "words", "bad"),
    [
        (None, 1.0, 1.0, "–", False),
        (0, 5.0, 0.0, "empty", False),
        (10, None, 1.0, "–", False),
        (10, 0.0, 0.0, "never: stuck", True),
        (10, 1.0, 0.5, "never: +30/min", True),
        (10, 1.0, 1.0, "never: steady", True),
        (60, 0.0, 1.0, "1m", False),
    ],
)
def test_a_queue_says_when_it_is_empty(
    depth: int | None, arrived: float | None, completed: float | None, words: str, bad: bool
) -> None:
    queue = Queue("llm", depth, 0, None, arrived, completed, 1)
    assert drain_words(queue) == (words, bad)
    assert ("never" in words) == bad
    assert wait_words(queue)


@given(HOSTILE, st.integers(40, 200), st.integers(6, 60))
def test_the_overview_holds_its_width_whatever_the_names(
    name: str, width: int, height: int
) -> None:
    services = tuple(replace(s, name=name + s.name, reason=name) for s in pictures.services())
    view = View("dev", False, "ana", snapshot=pictures.failed())
    view = replace(view, snapshot=replace(pictures.failed(), services=services))
    page = overview_page(
        view, LOOK, NOW + timedelta(seconds=9), width, height,
        Choice(services[0].name, frozenset({services[1].name}), {services[1].name: 4}),
    )  # fmt: skip
    lines = [made(line) for line in page.lines]
    assert all(line.cell_len <= width for line in lines)
    assert all(line.plain.isprintable() for line in lines)


@given(HOSTILE, st.integers(40, 200))
def test_a_service_holds_its_width_whatever_it_is_called_or_says(name: str, width: int) -> None:
    found = pictures.failed().services[1]
    replicas = tuple(
        replace(r, name=f"{name}-{n}", reason=name, health_output=name)
        for n, r in enumerate(found.replicas)
    )
    drift = (Drift(name, name or "up"),)
    found = replace(found, name=name, reason=name, replicas=replicas, drift=drift)
    picture = replace(pictures.failed(), services=(found,))
    view = View("dev", False, "ana", snapshot=picture, trends={f"service.{name}.cpu_ratio": (1,)})
    of = insight.described(name, picture)
    variables = (Variable(name, name), Variable(name, None, name))
    of = replace(of, replicas=tuple(replace(r, environment=variables) for r in of.replicas))
    happened = (Happening(NOW, Kind.REPLICA, name, name, True, name),)
    known = Known(name, of, happened, NOW)
    page = service_page(
        view, found, known, LOOK, NOW, width,
        selected=replicas[0].name, target=3, wanted=Filter(), order="worst",
    )  # fmt: skip
    lines = [made(line) for line in page.lines] + changes_page(happened, (name,), LOOK, width)
    assert all(line.cell_len <= width for line in lines)
    assert all(line.plain.isprintable() for line in lines)


@given(st.lists(st.none() | st.floats(allow_nan=True), max_size=30), st.integers(0, 20))
def test_a_sparkline_has_its_width_whatever_the_values(
    values: list[float | None], cells: int
) -> None:
    assert len(sparkline(values, cells)) == cells
    assert len(sparkline(values, cells, 1.0)) == cells


def test_a_sparkline_is_high_where_much_is_and_empty_where_nothing_is_known() -> None:
    assert sparkline((0.0, 0.5, 1.0), 5, 1.0) == "  ▁▄█"
    assert sparkline((3.0, None, 6.0), 3) == "▄ █"
    assert sparkline((0.0, 0.0), 2) == "▁▁"
    assert sparkline((9.0,), 1, 1.0) == "█"


@given(st.text(alphabet="ab ", max_size=30), st.text(alphabet="ab ", max_size=30))
def test_only_the_changed_part_of_a_line_is_repainted(old: str, new: str) -> None:
    first, last = _changed_span(Text(old), Text(new))
    length = max(len(old), len(new))
    before, after = old.ljust(length), new.ljust(length)
    if before != after:
        assert last is not None
        assert before[:first] == after[:first]
        assert before[last:] == after[last:]
