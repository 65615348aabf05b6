"""Figures over time: where they come from, how they are drawn, when something is full."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from console.cli.metrics import target_lines
from console.domain.alerts import PROMETHEUS
from console.domain.figures import figures_of
from console.domain.measures import MOST_VALUES, Curve, measures_of, quoted, step_of
from console.domain.policy import AlertPolicy, Policy
from console.domain.readings import SourceState, SourceStatus, Target
from console.domain.runbook import LineKind, parse_runbook
from console.domain.sparks import GAP, LEVELS, spark
from console.domain.trends import trend_of
from console.errors import NotSupported, Unreachable
from console.journal.history import HistoryStore
from console.measuring import AGENT, Measuring
from console.ports import Answered
from screens.chart import DASH, chart_lines, top_of
from screens.look import THEMES, look_of
from screens.metrics_lines import MetricsState, chosen, metrics_page, verdict
from tests.fakes import pictures
from tests.fakes.clock import FakeClock
from tests.fakes.engine import FakeEngine
from tests.fakes.pictures import NOW
from tests.unit.test_assemble import picture

LOOK = look_of(THEMES[0])
BEGIN = datetime(2026, 3, 14, 2, 0, tzinfo=UTC)
VALUES = st.lists(st.none() | st.floats(0, 1e12), max_size=300)


class TestMeasures:
    def test_each_figure_is_kept_in_the_history_under_its_name(self) -> None:
        snapshot = pictures.normal()

        kept = figures_of(snapshot)

        assert [m.name for m in measures_of(snapshot, Policy()) if m.name not in kept] == []

    def test_limits_are_those_of_policy(self) -> None:
        policy = Policy(alerts={"DiskSpace": AlertPolicy(0.5)})

        limits = {m.name: m.limit for m in measures_of(pictures.normal(), policy)}

        assert limits["host_disk_ratio"] == 0.5
        assert limits["error_ratio"] == 0.05  # left out: the rule's own
        assert limits["database_connections"] == pytest.approx(90)

    def test_replicas_have_their_bound_as_the_ceiling(self) -> None:
        found = {m.name: m.ceiling for m in measures_of(pictures.normal(), Policy())}

        assert found["service.app.ready"] == Policy().scale["app"].maximum
        assert "service.postgres.ready" not in found

    def test_a_name_from_outside_cannot_leave_its_quotes(self) -> None:
        assert quoted('a"} or up{x="\\') == 'a\\"} or up{x=\\"\\\\'

    @pytest.mark.parametrize("seconds", [60, 900, 3600, 86400, 31 * 86400])
    def test_a_range_has_no_more_values_than_a_chart_has_room_for(self, seconds: float) -> None:
        assert seconds / step_of(seconds) <= MOST_VALUES


class Asked:
    """A Prometheus in memory."""

    def __init__(self) -> None:
        self.values: dict[str, float] = {}
        self.error: Exception | None = None
        self.asked = 0

    def ranges(self, address, queries, begin, step_seconds, count):  # type: ignore[no-untyped-def]
        self.asked += 1
        if self.error is not None:
            raise self.error
        return {name: (self.values.get(name),) * count for name in queries}

    def ask(self, address, promql, begin, step_seconds, count):  # type: ignore[no-untyped-def]
        if self.error is not None:
            raise self.error
        return [Answered({"job": "app"}, (1.0,) * count)]

    def close(self) -> None:
        """Nothing is open."""


class TestWhereTheyComeFrom:
    @pytest.fixture
    def prometheus(self) -> Asked:
        return Asked()

    @pytest.fixture
    def measuring(self, tmp_path: Path, prometheus: Asked) -> Measuring:
        clock = FakeClock()
        history = HistoryStore(tmp_path, clock)
        for seconds in range(60, -1, -5):
            at = clock.now() - timedelta(seconds=seconds)
            history.append(pictures.normal(taken_at=at))
        history.close()
        return Measuring(history, prometheus, Policy(), clock)

    def seen(self, state: SourceState = SourceState.FRESH, error: str | None = None) -> object:
        source = SourceStatus("prometheus", state, 30.0, error)
        return pictures.normal(
            endpoints={"prometheus": "http://127.0.0.1:9"},
            sources=(*pictures.normal().sources, source),
        )

    def test_without_prometheus_the_history_is_used_and_nothing_is_wrong(
        self, measuring: Measuring, prometheus: Asked
    ) -> None:
        measured = measuring.measured(pictures.normal(), 900)

        rate = measured.curves[0]
        assert (rate.measure.name, rate.origin, rate.last) == ("request_rate", AGENT, 12.4)
        assert rate.values[0] is None  # nobody collected then: unknown, and not 0
        assert (measured.trouble, prometheus.asked) == ("", 0)

    def test_with_it_each_figure_is_its_own_and_what_it_lacks_is_the_agents(
        self, measuring: Measuring, prometheus: Asked
    ) -> None:
        prometheus.values = {"request_rate": 7.0}

        measured = measuring.measured(self.seen(), 900)  # type: ignore[arg-type]

        found = {c.measure.name: (c.origin, c.last) for c in measured.curves}
        assert found["request_rate"] == (PROMETHEUS, 7.0)
        assert found["host_disk_ratio"] == (AGENT, 0.62)
        assert {len(c.values) for c in measured.curves} == {60}
        assert measured.end <= NOW

    def test_while_it_is_known_not_to_answer_it_is_not_asked(
        self, measuring: Measuring, prometheus: Asked
    ) -> None:
        lost = self.seen(SourceState.FAILED, "connection refused")

        measured = measuring.measured(lost, 900)  # type: ignore[arg-type]

        assert prometheus.asked == 0
        assert measured.trouble == "connection refused"
        assert measured.silent_since == NOW - timedelta(seconds=30)
        assert measured.curves[0].last == 12.4

    def test_one_that_stops_answering_takes_nothing_away(
        self, measuring: Measuring, prometheus: Asked
    ) -> None:
        prometheus.error = Unreachable("no answer within 2 s")

        measured = measuring.measured(self.seen(), 900)  # type: ignore[arg-type]

        assert (measured.trouble, measured.curves[0].last) == ("no answer within 2 s", 12.4)

    def test_a_question_needs_one(self, measuring: Measuring, prometheus: Asked) -> None:
        with pytest.raises(NotSupported):
            measuring.ask(pictures.normal(), "up", None)
        assert measuring.ask(self.seen(), "up", None)[0].values == (1.0,)  # type: ignore[arg-type]
        prometheus.error = Unreachable("connection refused")
        with pytest.raises(
            Unreachable, match=r"127\.0\.0\.1:9 does not answer: connection refused"
        ):
            measuring.ask(self.seen(), "up", 900)  # type: ignore[arg-type]


class TestTrends:
    def test_a_line_is_followed_to_the_ceiling(self) -> None:
        trend = trend_of([0.5 + place * 0.001 for place in range(100)], 3600, 1.0)

        assert trend is not None
        assert trend.per_day == pytest.approx(0.024)
        assert trend.days_left == pytest.approx((1.0 - 0.599) / 0.024)
        assert trend.fit == pytest.approx(1)

    @pytest.mark.parametrize(
        ("values", "ceiling"),
        [
            ([0.5] * 100, 1.0),  # level
            ([0.9 - place * 0.001 for place in range(100)], 1.0),  # falls
            ([0.5 + 0.3 * math.sin(place) for place in range(100)], 1.0),  # up and down
            ([0.5 + place * 0.001 for place in range(10)], 1.0),  # too few
            ([None] * 200 + [0.5 + place * 0.001 for place in range(100)], 1.0),  # mostly unknown
            ([0.5 + place * 1e-6 for place in range(100)], 1.0),  # years away
            ([0.5 + place * 0.001 for place in range(100)], None),  # nothing to fill
            ([], 1.0),
        ],
    )
    def test_where_no_line_is_honest_there_is_none(
        self, values: list[float | None], ceiling: float | None
    ) -> None:
        assert trend_of(values, 3600, ceiling) is None

    @settings(deadline=None)
    @given(VALUES, st.floats(1, 86400), st.none() | st.floats(0, 1e12))
    def test_whatever_was_measured_it_is_finite(
        self, values: list[float | None], step: float, ceiling: float | None
    ) -> None:
        trend = trend_of(values, step, ceiling)

        assert trend is None or (math.isfinite(trend.days_left) and trend.days_left >= 0)


class TestDrawing:
    def test_a_spark_leaves_gaps_and_loses_no_peak(self) -> None:
        assert spark([0.0, None, 8.0], 3) == LEVELS[0] + GAP + LEVELS[-1]
        assert spark([1.0] * 50 + [9.0] + [1.0] * 49, 10).count(LEVELS[-1]) == 1
        assert spark([1.0], 4) == GAP * 3 + LEVELS[-1]

    @settings(deadline=None)
    @given(VALUES, st.integers(0, 80))
    def test_a_spark_is_as_wide_as_asked(self, values: list[float | None], cells: int) -> None:
        assert cell_len(spark(values, cells)) == cells

    @settings(deadline=None)
    @given(
        VALUES,
        st.integers(0, 200),
        st.integers(1, 40),
        st.none() | st.floats(0, 1e12),
    )
    @example([1.0], 15, 1, 1_000_006.0)  # no room to name the limit
    def test_a_chart_fits_whatever_was_measured(
        self, values: list[float | None], cells: int, rows: int, limit: float | None
    ) -> None:
        lines = chart_lines(
            values, cells, rows, LOOK, lambda v: f"{v:g}", limit=limit, begin=BEGIN, end=BEGIN
        )

        assert len(lines) == rows + 1
        assert max(cell_len(line.plain) for line in lines[:-1]) <= max(cells, 13)

    def test_a_gap_is_not_joined_and_nothing_is_drawn_for_it(self) -> None:
        values: list[float | None] = [5.0] * 40 + [None] * 40 + [5.0] * 40
        lines = chart_lines(values, 69, 4, LOOK, str, begin=BEGIN, end=BEGIN)

        drawn = {at for line in lines[:-1] for at, sign in enumerate(line.plain) if sign > "⠀"}
        assert not drawn & set(range(9 + 21, 9 + 39))
        assert drawn

    def test_a_limit_is_a_line_and_one_far_above_is_named(self) -> None:
        near = chart_lines([4.0, 5.0], 60, 8, LOOK, str, limit=6.0, begin=BEGIN, end=BEGIN)
        far = chart_lines([5.0, 4.0], 60, 8, LOOK, str, limit=600.0, begin=BEGIN, end=BEGIN)

        assert any(DASH in line.plain for line in near)
        assert not any(DASH in line.plain for line in far)
        assert "limit 600.0" in far[0].plain
        assert top_of([5.0], 600.0) == 5.0

    def test_nothing_measured_is_said(self) -> None:
        lines = chart_lines([None] * 9, 60, 5, LOOK, str, begin=BEGIN, end=BEGIN)

        assert "nothing was measured" in lines[2].plain


class TestThePage:
    def test_the_figure_that_needs_it_most_is_drawn_first(self) -> None:
        engine = FakeEngine(pictures.normal())
        state = MetricsState(3600, engine.measured(3600))

        curve = chosen(state, engine.picture)

        assert curve is not None
        assert curve.measure.name == "error_ratio"
        assert verdict(curve, 0.06, LOOK)[0] == "✗ above 5%"
        assert verdict(curve, 0.04, LOOK)[0] == "✓ below 5%"
        assert verdict(curve, None, LOOK)[0] == "? unknown"

    @pytest.mark.parametrize(("width", "height"), [(40, 12), (80, 21), (160, 45), (300, 87)])
    def test_it_fits(self, width: int, height: int) -> None:
        engine = FakeEngine(pictures.normal())
        state = MetricsState(3600, engine.measured(3600))

        lines = metrics_page(state, engine.picture, LOOK, NOW, width, height)

        assert len(lines) <= height
        assert max(cell_len(line.plain) for line in lines) <= width

    def test_a_trend_is_said_as_what_it_is(self) -> None:
        engine = FakeEngine(pictures.normal())
        measured = engine.measured(86400)
        disk = next(c for c in measured.curves if c.measure.name == "host_disk_ratio")
        values = tuple(0.5 + place * 0.001 for place in range(len(disk.values)))
        rising = replace(measured, curves=(Curve(disk.measure, values, PROMETHEUS),))

        lines = metrics_page(MetricsState(86400, rising), engine.picture, LOOK, BEGIN, 80, 21)

        assert any("reaches 100% in about" in line.plain for line in lines)
        assert any("straight line" in line.plain for line in lines)


class TestRunbook:
    TEXT = """# Runbook
Before any.
## First
<a id="first"></a><a id="Other"></a>

Some *words* with `code` and a [link](x.md)
going on.

```sh
fragrance status   # <a id="fake"></a>
## no heading
```

| a | b |
|---|---|
| `1` | 2 |

### Below
- an item
## Second
text
"""

    def test_sections_are_found_by_any_of_their_names(self) -> None:
        runbook = parse_runbook(self.TEXT)

        assert [s.title for s in runbook.sections] == ["Runbook", "First", "Second"]
        assert runbook.section("FIRST") is runbook.section("other")
        assert runbook.section("third") is None

    def test_text_is_joined_and_commands_stay_as_they_are_typed(self) -> None:
        section = parse_runbook(self.TEXT).section("first")
        assert section is not None

        told = [(line.kind, line.text) for line in section.lines if line.text]
        assert told == [
            (LineKind.TEXT, "Some words with code and a link going on."),
            (LineKind.COMMAND, "fragrance status   #"),
            (LineKind.COMMAND, "## no heading"),
            (LineKind.TABLE, "a | b"),
            (LineKind.TABLE, "1 | 2"),
            (LineKind.HEADING, "Below"),
            (LineKind.TEXT, "- an item"),
        ]

    @settings(deadline=None)
    @given(st.text() | st.text(alphabet='#`|<a id="x>*[]()\n -'))
    def test_any_text_is_a_runbook(self, text: str) -> None:
        parse_runbook(text)


def test_a_picture_without_anything_has_figures_to_draw() -> None:
    assert len(measures_of(None, Policy())) > 5
    assert len(measures_of(picture(), Policy())) > 5


def test_scrape_targets_are_told_what_is_down_first() -> None:
    assert target_lines(picture()) == ["No Prometheus that answers scrapes anything here."]
    now = picture().taken_at
    targets = (
        Target("app", "app:8000", True, now - timedelta(seconds=3)),
        Target(
            "redis-exporter", "redis:9121", False, now - timedelta(seconds=9), "no \x1b[2Jroute"
        ),
        Target("new", "new:1", None, None),
    )

    told = target_lines(replace(picture(), targets=targets))

    assert told[0] == "1 of 3 scrape targets are up"
    assert [line.split()[0] for line in told[1:]] == ["DOWN", "unknown", "up"]
    assert "never scraped" in told[2]
    assert told[1].split() == [
        "DOWN",
        "redis-exporter",
        "redis:9121",
        "9",
        "s",
        "ago",
        "no",
        "[2Jroute",
    ]
