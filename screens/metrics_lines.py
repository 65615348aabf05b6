"""The Metrics screen as lines, pure: one chart, all figures beside it, scrape targets."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from rich.style import Style
from rich.text import Text

from console.domain.alerts import PROMETHEUS
from console.domain.figures import figures_of
from console.domain.measures import Curve, MeasuredRange, Unit
from console.domain.readings import Target
from console.domain.snapshot import Snapshot
from console.domain.sparks import spark
from console.domain.trends import trend_of
from screens.chart import chart_lines
from screens.look import Look
from screens.rendering import (
    UNKNOWN,
    beside,
    between,
    clean,
    clock_time,
    cut,
    duration,
    fill,
    heading,
    latency,
    number,
    percent,
    put,
    rate,
    since,
    size,
    styled,
)

#: Ranges by key, with what the operator reads.
RANGES: tuple[tuple[str, float], ...] = (
    ("15m", 900.0),
    ("1h", 3600.0),
    ("6h", 6 * 3600.0),
    ("24h", 24 * 3600.0),
)
#: From this width on the figures stand beside the chart.
WIDE = 120
#: Cells of the list beside the chart.
_LIST_CELLS = 62
_NAME_CELLS = 22
_VALUE_CELLS = 8
#: Lines of a chart on a small screen, without the line of times.
_SMALL_CHART = 8
#: Lines that the list below it keeps.
_LEAST_LIST = 4


@dataclass(frozen=True, slots=True)
class MetricsState:
    """
    What the screen knows besides the picture.

    Args:
        seconds: The chosen range.
        measured: The figures over it; None before the first answer.
        selected: Name of the figure in the chart; "" for the one that needs it most.
        targets: Whether the scrape targets are shown in the place of the list.
    """

    seconds: float
    measured: MeasuredRange | None = None
    selected: str = ""
    targets: bool = False


def value_words(value: float | None, unit: Unit) -> str:
    """Return a value of *unit* as the operator reads it."""
    if value is None:
        return UNKNOWN
    if unit is Unit.RATE:
        return f"{rate(value)}/s"
    if unit is Unit.RATIO:
        return percent(value, 1 if value < 0.1 and round(value * 1000) % 10 else 0)
    if unit is Unit.SECONDS:
        return latency(value)
    if unit is Unit.BYTES:
        return size(round(value))
    return number(round(value)) if value >= 10 or value == int(value) else f"{value:.1f}"


def present_value(curve: Curve, snapshot: Snapshot | None) -> float | None:
    """Return the figure now: the picture's where the curve is the agent's, else its last."""
    if curve.origin == PROMETHEUS or snapshot is None:
        return curve.last
    return figures_of(snapshot).get(curve.measure.name)


def verdict(curve: Curve, value: float | None, look: Look) -> tuple[str, Style]:
    """Return whether the present value is within its limit, in words."""
    measure = curve.measure
    if value is None:
        return "? unknown", look.warn
    if measure.limit is None:
        return "", look.dim
    limit = value_words(measure.limit, measure.unit)
    if value > measure.limit:
        return f"✗ above {limit}", look.bad
    return f"✓ below {limit}", look.good


def chosen(state: MetricsState, snapshot: Snapshot | None) -> Curve | None:
    """Return the curve in the chart: the selected one, else the first above its limit."""
    if state.measured is None or not state.measured.curves:
        return None
    curves = state.measured.curves
    for curve in curves:
        if curve.measure.name == state.selected:
            return curve
    for curve in curves:
        value, limit = present_value(curve, snapshot), curve.measure.limit
        if value is not None and limit is not None and value > limit:
            return curve
    return curves[0]


def metrics_page(
    state: MetricsState,
    snapshot: Snapshot | None,
    look: Look,
    now: datetime,
    width: int,
    height: int,
    *,
    stale: bool = False,
) -> list[Text]:
    """
    Return the screen's lines, *height* of them at most.

    Args:
        state: What is chosen and was measured.
        snapshot: The last picture.
        look: Styles.
        now: The moment.
        width: Cells of a line.
        height: Lines there are.
        stale: Whether the picture is too old to tell what is now.
    """
    targets = () if snapshot is None else snapshot.targets
    snapshot = None if stale else snapshot
    measured, curve = state.measured, chosen(state, snapshot)
    if measured is None or curve is None:
        return [Text(), styled(" Reading what was measured…", look.dim)]
    wide = width >= WIDE
    chart_cells = width - _LIST_CELLS - 3 if wide else width
    head = [
        _title(curve, state, snapshot, look, chart_cells),
        _origin(curve, measured, look, now, chart_cells),
    ]
    trend = _trend(curve, state, look)
    target_rows = min(len(targets) + 2, height // 3) if wide and targets else 0
    rows = max(3, height - len(head) - len(trend) - target_rows - 2)
    if not wide:
        rows = max(3, min(_SMALL_CHART, rows - _LEAST_LIST))
    chart = chart_lines(
        curve.values,
        chart_cells - 1,
        rows,
        look,
        lambda value: value_words(value, curve.measure.unit),
        limit=curve.measure.limit,
        begin=measured.begin,
        end=measured.end,
    )
    left = [*head, *chart, *trend]
    if not wide:
        room = max(3, height - len(left))
        below = (
            target_lines(targets, look, now, width, room)
            if state.targets
            else _list(measured, curve, snapshot, look, width, room)
        )
        return [*left, *below]
    if target_rows:
        left += [Text(), *target_lines(targets, look, now, chart_cells, target_rows - 1)]
    right = _list(measured, curve, snapshot, look, _LIST_CELLS, height)
    return beside(left, right, chart_cells)


def _title(
    curve: Curve, state: MetricsState, snapshot: Snapshot | None, look: Look, width: int
) -> Text:
    value = present_value(curve, snapshot)
    line = styled(f" {clean(curve.measure.title, 40)}", look.strong)
    line.append(f"  {value_words(value, curve.measure.unit)}  ", look.text)
    words, style = verdict(curve, value, look)
    line.append(words, style)
    if words and curve.measure.limit is not None:
        line.append(f" · {clean(curve.measure.limit_words, 40)}", look.dim)
    ranges = Text()
    for key, (name, seconds) in enumerate(RANGES, 1):
        here = seconds == state.seconds
        ranges.append(f" {key} {name} ", look.selected if here else look.dim)
    return between(line, ranges, width)


def _origin(curve: Curve, measured: MeasuredRange, look: Look, now: datetime, width: int) -> Text:
    step = duration(measured.step_seconds)
    if curve.origin == PROMETHEUS:
        return styled(f" from Prometheus, every {step}", look.dim)
    if not measured.trouble:
        return styled(f" from the agent's history, means of {step}", look.dim)
    silent = measured.silent_since
    words = " ▲ from the agent's history: Prometheus does not answer"
    words += f" since {clock_time(silent, now)}" if silent is not None else ""
    return styled(cut(f"{words}: {clean(measured.trouble, 200)}", width - 1), look.warn)


def _trend(curve: Curve, state: MetricsState, look: Look) -> list[Text]:
    measure = curve.measure
    if measure.ceiling is None or state.measured is None:
        return []
    full = value_words(measure.ceiling, measure.unit)
    trend = trend_of(curve.values, state.measured.step_seconds, measure.ceiling)
    if trend is None:
        return [styled(f" when it reaches {full}: no straight line fits this range", look.dim)]
    left = duration(trend.days_left * 86400)
    words = f" ▲ reaches {full} in about {left} if it goes on as a straight line"
    return [styled(words, look.warn).append(f" (fits {percent(trend.fit)})", look.dim)]


def _list(
    measured: MeasuredRange,
    shown: Curve,
    snapshot: Snapshot | None,
    look: Look,
    width: int,
    room: int,
) -> list[Text]:
    """Return the figures, as many as fit around the selected one."""
    curves = measured.curves
    rows = room - 1
    place = next(i for i, curve in enumerate(curves) if curve is shown)
    first = max(0, min(place - rows // 2, len(curves) - rows))
    note = f"{first + 1}–{min(len(curves), first + rows)} of {len(curves)}"
    lines = [heading("Figures", look, note if rows < len(curves) else "")]
    cells = max(8, width - 2 - _NAME_CELLS - _VALUE_CELLS - 16 - 2)
    for curve in curves[first : first + rows]:
        value = present_value(curve, snapshot)
        words, style = verdict(curve, value, look)
        here = curve is shown
        line = styled("› " if here else "  ", look.accent)
        put(line, clean(curve.measure.title, 40), _NAME_CELLS, look.strong if here else look.text)
        line.append(spark(curve.values, cells), look.accent)
        put(line, value_words(value, curve.measure.unit), _VALUE_CELLS + 1, look.text, right=True)
        line.append("  ").append(words, style)
        line.truncate(width, overflow="ellipsis")
        lines.append(fill(line, width, look.selected) if here else line)
    return lines


def target_lines(
    targets: tuple[Target, ...], look: Look, now: datetime, width: int, room: int
) -> list[Text]:
    """Return what Prometheus scrapes, what is down first, as many as fit."""
    down = sum(target.up is False for target in targets)
    note = f"{len(targets) - down} of {len(targets)} up"
    lines = [heading("Scrape targets", look, note if targets else "")]
    if not targets:
        lines.append(styled("  no Prometheus that answers scrapes anything here", look.dim))
        return lines
    ordered = sorted(targets, key=lambda t: (t.up is True, t.job, t.instance))
    shown = ordered[: room - 1] if len(ordered) < room else ordered[: max(0, room - 2)]
    for target in shown:
        glyph, word, style = {
            True: ("✓", "up", look.good),
            False: ("✗", "down", look.bad),
            None: ("?", "unknown", look.warn),
        }[target.up]
        line = put(styled("  "), f"{glyph} {word}", 10, style)
        put(line, clean(target.job, 60), 20, look.text)
        put(line, clean(target.instance, 60), 26, look.text)
        line.append(
            f" scraped {since(target.scraped_at, now)} ago" if target.scraped_at else " never"
        )
        if target.error:
            line.append(f": {clean(target.error, 200)}", look.warn)
        line.truncate(width, overflow="ellipsis")
        lines.append(line)
    if len(shown) < len(ordered):
        lines.append(styled(f"  and {len(ordered) - len(shown)} more that are up", look.dim))
    return lines
