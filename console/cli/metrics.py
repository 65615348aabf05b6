"""``metrics``: figures now, over a range, or what Prometheus answers to a query."""

from __future__ import annotations

from dataclasses import asdict

from console.cli import figures
from console.cli.changing import print_json
from console.cli.main import Commands, Invocation, add_command
from console.cli.status import part, show
from console.cli.status_lines import metric_lines
from console.domain.alerts import PROMETHEUS
from console.domain.duration import parse_duration
from console.domain.measures import Curve, MeasuredRange, Unit
from console.domain.snapshot import SCHEMA_VERSION, Snapshot
from console.domain.sparks import spark
from console.domain.text import plain_text
from console.domain.trends import Trend, trend_of
from console.errors import UsageError
from console.ports import Answered

#: Cells of a curve in a table.
CURVE_CELLS = 40
#: What is down comes first, then what is not known.
_UPS = (False, None, True)
#: Longest range: the agent keeps a day; Prometheus is asked for no more than a month.
LONGEST_SECONDS = 31 * 86400.0


def register(commands: Commands) -> None:
    """Add ``metrics``."""
    command = add_command(commands, "metrics", "requests, queues, database, broker and host")
    command.add_argument("promql", metavar="PROMQL", nargs="?", help="ask Prometheus this instead")
    command.add_argument("--since", metavar="1h", help="as curves, from then on")
    command.add_argument(
        "--targets", action="store_true", help="what Prometheus scrapes: up or down, when, why"
    )
    command.set_defaults(run=run_metrics)


def run_metrics(call: Invocation) -> int:
    """Print figures; a query needs a Prometheus, which not every stack has."""
    seconds = _seconds(call.args.since)
    if call.args.targets:
        if call.args.promql is not None or seconds is not None:
            raise UsageError("--targets stands alone", remedy="fragrance metrics --targets")
        return show(call, lambda s: part(s, "targets"), target_lines)
    if call.args.promql is not None:
        return _ask(call, call.args.promql, seconds)
    if seconds is None:
        return show(call, lambda s: part(s, "metrics"), metric_lines)
    engine = call.engine()
    try:
        measured = engine.measured(seconds)
    finally:
        engine.close()
    if call.json:
        print_json(_range_json(measured))
        return 0
    for line in _range_lines(measured):
        print(line)
    return 0


def target_lines(snapshot: Snapshot) -> list[str]:
    """Return what Prometheus scrapes, what is down first."""
    if not snapshot.targets:
        return ["No Prometheus that answers scrapes anything here."]
    up = sum(target.up is True for target in snapshot.targets)
    rows = [
        [
            {True: "up", False: "DOWN", None: "unknown"}[target.up],
            plain_text(target.job, 60),
            plain_text(target.instance, 60),
            "never scraped"
            if target.scraped_at is None
            else figures.duration((snapshot.taken_at - target.scraped_at).total_seconds()) + " ago",
            plain_text(target.error, 200),
        ]
        for target in sorted(snapshot.targets, key=lambda t: (_UPS.index(t.up), t.job, t.instance))
    ]
    told = f"{up} of {len(rows)} scrape targets are up"
    return [told, *figures.table(rows, indent="")]


def _seconds(since: str | None) -> float | None:
    if since is None:
        return None
    try:
        seconds = parse_duration(since).total_seconds()
    except ValueError as error:
        raise UsageError(f"--since: {error}", remedy="fragrance metrics --since 1h") from error
    if not 60 <= seconds <= LONGEST_SECONDS:
        raise UsageError("--since goes from a minute to 31 days back")
    return seconds


def _ask(call: Invocation, promql: str, seconds: float | None) -> int:
    engine = call.engine()
    try:
        series = engine.ask(promql, seconds)
    finally:
        engine.close()
    if call.json:
        told: dict[str, object] = {"schema_version": SCHEMA_VERSION, "query": promql}
        told |= {"since_seconds": seconds, "series": [asdict(each) for each in series]}
        print_json(told)
        return 0
    if not series:
        print("no series: Prometheus knows nothing of this now")
    rows = [_series_row(each, seconds is not None) for each in series]
    for line in figures.table(rows, indent=""):
        print(line)
    return 0


def _series_row(series: Answered, over_time: bool) -> list[str]:
    name = series.labels.get("__name__", "")
    labels = ", ".join(
        f'{k}="{plain_text(v)}"' for k, v in sorted(series.labels.items()) if k != "__name__"
    )
    known = [value for value in series.values if value is not None]
    last = figures.UNKNOWN if not known else f"{known[-1]:.6g}"
    curve = [spark(series.values, CURVE_CELLS)] if over_time else []
    return [*curve, last, f"{plain_text(name)}{{{labels}}}" if labels else plain_text(name)]


def _range_json(measured: MeasuredRange) -> dict[str, object]:
    return {
        "schema_version": SCHEMA_VERSION,
        "begin": measured.begin.isoformat(),
        "end": measured.end.isoformat(),
        "step_seconds": measured.step_seconds,
        "prometheus_trouble": measured.trouble or None,
        "curves": [
            {
                "name": curve.measure.name,
                "unit": curve.measure.unit.value,
                "limit": curve.measure.limit,
                "alert": curve.measure.limit_words or None,
                "origin": curve.origin,
                "values": list(curve.values),
                "days_left": None
                if (trend := _trend(curve, measured)) is None
                else trend.days_left,
            }
            for curve in measured.curves
        ],
    }


def _trend(curve: Curve, measured: MeasuredRange) -> Trend | None:
    return trend_of(curve.values, measured.step_seconds, curve.measure.ceiling)


def _range_lines(measured: MeasuredRange) -> list[str]:
    origins = {curve.origin for curve in measured.curves}
    where = "Prometheus" if origins == {PROMETHEUS} else "the agent's history"
    if len(origins) > 1:
        where = "Prometheus, and the agent's history where * stands"
    lines = [
        f"{measured.begin:%Y-%m-%d %H:%M}Z to {measured.end:%H:%M}Z, every "
        f"{figures.duration(measured.step_seconds)}, from {where}"
    ]
    if measured.trouble:
        silent = measured.silent_since
        since = f" since {silent:%H:%M}Z" if silent is not None else ""
        lines.append(f"Prometheus does not answer{since}: {plain_text(measured.trouble)}")
    rows = []
    for curve in measured.curves:
        measure = curve.measure
        value = curve.last
        verdict = ""
        if measure.limit is not None and value is not None:
            word = "ABOVE" if value > measure.limit else "below"
            verdict = f"{word} {_words(measure.limit, measure.unit)} ({measure.limit_words})"
        trend = _trend(curve, measured)
        if trend is not None:
            verdict += f"; full in about {figures.duration(trend.days_left * 86400)}, if straight"
        mark = "*" if len(origins) > 1 and curve.origin != PROMETHEUS else ""
        rows.append(
            [
                measure.title + mark,
                spark(curve.values, CURVE_CELLS),
                _words(value, measure.unit),
                verdict,
            ]
        )
    return [*lines, *figures.table(rows, indent="")]


def _words(value: float | None, unit: Unit) -> str:
    if unit is Unit.RATE:
        return figures.number(value, "/s", 2)
    if unit is Unit.RATIO:
        return figures.UNKNOWN if value is None else f"{100 * value:.1f} %"
    if unit is Unit.SECONDS:
        return figures.duration(value)
    if unit is Unit.BYTES:
        return figures.size(value)
    return figures.number(value)
