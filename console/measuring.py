"""
Figures over time: from Prometheus where it answers, else from the agent's history.

Whether Prometheus answers is the collector's to find out, in its own rhythm; here it is
only asked while it is known to.  Losing it loses no curve that the agent has too.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from console.domain.alerts import PROMETHEUS
from console.domain.assemble import MONITORING
from console.domain.measures import Curve, Measure, MeasuredRange, measures_of, step_of
from console.domain.policy import Policy
from console.domain.readings import SourceState
from console.domain.snapshot import Snapshot
from console.errors import ConsoleError, NotSupported, Unreachable
from console.ports import Answered, Clock, History, Monitoring

#: Origin of a curve that is the agent's own.
AGENT = "agent"


class Measuring:
    """
    Answers what was measured over a range of time.

    Args:
        history: The agent's, of a day.
        monitoring: Asks a Prometheus; None where nothing ever does.
        policy: Limits of the figures.
        clock: Its present is where a range ends.
    """

    def __init__(
        self, history: History, monitoring: Monitoring | None, policy: Policy, clock: Clock
    ) -> None:
        self._history = history
        self._monitoring = monitoring
        self._policy = policy
        self._clock = clock

    def measured(
        self, snapshot: Snapshot, seconds: float, until: datetime | None = None
    ) -> MeasuredRange:
        """
        Return every figure over the last *seconds*.

        Args:
            snapshot: What there is to measure, and whether Prometheus answers.
            seconds: How far back.
            until: Where the range ends; None for the present.
        """
        begin, step, count = self._grid(seconds, until)
        measures = measures_of(snapshot, self._policy)
        found, trouble = self._from_prometheus(snapshot, measures, begin, step, count)
        missing = [m.name for m in measures if all(v is None for v in found.get(m.name, ()))]
        kept = self._history.means(missing, step * count, count, until) if missing else {}
        kept_names = {name for name, values in kept.items() if any(v is not None for v in values)}
        curves = tuple(
            Curve(measure, found[measure.name], PROMETHEUS)
            if measure.name in found and measure.name not in kept_names
            else Curve(measure, kept.get(measure.name, (None,) * count), AGENT)
            for measure in measures
        )
        measured = MeasuredRange(begin, step, curves, trouble)
        return replace(measured, silent_since=_silent_since(snapshot)) if trouble else measured

    def ask(self, snapshot: Snapshot, promql: str, seconds: float | None) -> list[Answered]:
        """
        Return what Prometheus answers to *promql*, now or over the last *seconds*.

        Raises:
            NotSupported: Where there is none.
            Unreachable: When it does not answer.
            UsageError: When it does not understand.
        """
        address = snapshot.endpoints.get("prometheus")
        if self._monitoring is None or address is None:
            raise NotSupported(
                "this stack has no Prometheus to ask",
                unchanged="nothing was asked",
                remedy="fragrance metrics --since 1h",
            )
        grid = (None, 1.0, 1) if seconds is None else self._grid(seconds)
        try:
            return self._monitoring.ask(address, promql, *grid)
        except Unreachable as error:
            raise Unreachable(
                f"Prometheus at {address} does not answer: {error.message}",
                remedy="fragrance metrics --since 1h; it uses the agent's history",
            ) from error

    def close(self) -> None:
        """Close what is kept open to Prometheus."""
        if self._monitoring is not None:
            self._monitoring.close()

    def _grid(self, seconds: float, until: datetime | None = None) -> tuple[datetime, float, int]:
        """Return begin, step and count; steps lie on full multiples, so that a curve stands."""
        step = step_of(seconds)
        end = (until or self._clock.now()).timestamp() // step * step
        count = max(2, round(seconds / step))
        begin = datetime.fromtimestamp(end, UTC) - timedelta(seconds=step * (count - 1))
        return begin, step, count

    def _from_prometheus(
        self,
        snapshot: Snapshot,
        measures: tuple[Measure, ...],
        begin: datetime,
        step: float,
        count: int,
    ) -> tuple[dict[str, tuple[float | None, ...]], str]:
        source = next((s for s in snapshot.sources if s.name == MONITORING), None)
        address = snapshot.endpoints.get("prometheus")
        if self._monitoring is None or source is None or address is None:
            return {}, ""
        if source.state is not SourceState.FRESH:
            return {}, source.error or "its last answer is old"
        queries = {measure.name: measure.promql for measure in measures}
        try:
            return self._monitoring.ranges(address, queries, begin, step, count), ""
        except Unreachable as error:
            return {}, error.message
        except ConsoleError as error:
            return {}, f"it does not know the figures: {error.message}"


def _silent_since(snapshot: Snapshot) -> datetime | None:
    source = next((s for s in snapshot.sources if s.name == MONITORING), None)
    if source is None or source.age_seconds is None or source.state is SourceState.FRESH:
        return None
    return snapshot.taken_at - timedelta(seconds=source.age_seconds)
