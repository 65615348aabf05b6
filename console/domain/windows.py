"""
What must be remembered between readings: counters over 60 s, and first successes.

A :class:`Windows` is immutable; ``with_…`` returns the next one.  Counters are kept
*adjusted*: resets by a restart are already added up, so an increase over the window
is one subtraction, however many samples lie between.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TypeVar

from console.domain.metrics import increase, quantile
from console.domain.readings import (
    BrokerReading,
    HealthReading,
    Misuse,
    QueueReading,
    RequestCounters,
    ScrapeReading,
)

#: Rates and percentiles are over this long.
WINDOW_SECONDS = 60.0
_WINDOW = timedelta(seconds=WINDOW_SECONDS)
#: Bursts of what is turned away are counted over this long, in steps of so much.
BURST_SECONDS = 300.0
_BURST_STEP = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class CounterSample:
    """Adjusted counters of one replica at one moment, with what it really showed."""

    at: datetime
    shown: RequestCounters
    requests: float
    errors: float
    buckets: Mapping[float, float]


@dataclass(frozen=True, slots=True)
class QueueSample:
    """
    Totals of one queue at one moment, adjusted for a reset like counters.

    ``busy``: tasks its workers say they are working on; None where none says so.
    """

    at: datetime
    shown: tuple[int | None, int | None]
    arrived: float | None
    completed: float | None
    busy: int | None = None
    failed: float | None = None
    failed_shown: int | None = None


@dataclass(frozen=True, slots=True)
class BurstSample:
    """What all replicas together turned away from *at* on, until the next sample."""

    at: datetime
    turned_away: Misuse


@dataclass(frozen=True, slots=True)
class RequestFigures:
    """Rates and percentiles over the window; None is unknown."""

    request_rate: float | None = None
    error_ratio: float | None = None
    p50_seconds: float | None = None
    p95_seconds: float | None = None
    p99_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Windows:
    """
    Memory of the collector.

    Args:
        counters: Samples of at most 60 s by replica id, oldest first.
        queues: Samples of at most 60 s by queue name, oldest first.
        answered_at: When a replica last gave positive evidence, by replica id.
        beat_at: Last heartbeat seen, by replica name.
        misuse: What was turned away in the last 5 minutes, oldest first.
        misuse_shown: What each replica last showed of that, by replica id, and when.
    """

    counters: Mapping[str, tuple[CounterSample, ...]] = field(default_factory=dict)
    queues: Mapping[str, tuple[QueueSample, ...]] = field(default_factory=dict)
    answered_at: Mapping[str, datetime] = field(default_factory=dict)
    beat_at: Mapping[str, datetime] = field(default_factory=dict)
    misuse: tuple[BurstSample, ...] = ()
    misuse_shown: Mapping[str, tuple[datetime, Misuse]] = field(default_factory=dict)

    def with_scrape(self, reading: ScrapeReading, at: datetime) -> Windows:
        """Add one scrape; replicas that are gone age out by themselves."""
        counters = {name: _recent(samples, at) for name, samples in self.counters.items()}
        for name, shown in reading.counters.items():
            before = counters.get(name, ())
            counters[name] = (*before, _next_counters(before[-1] if before else None, shown, at))
        misuse, shown_now = self._with_misuse(reading, at)
        return replace(
            self,
            counters={name: kept for name, kept in counters.items() if kept},
            misuse=misuse,
            misuse_shown=shown_now,
        )

    def _with_misuse(
        self, reading: ScrapeReading, at: datetime
    ) -> tuple[tuple[BurstSample, ...], dict[str, tuple[datetime, Misuse]]]:
        edge = at - timedelta(seconds=BURST_SECONDS)
        known = {name: told for name, told in self.misuse_shown.items() if told[0] >= edge}
        more, seen = Misuse(), False
        for name, counters in reading.counters.items():
            if counters.misuse is None:
                continue
            if name in known:
                seen, more = True, _more(more, known[name][1], counters.misuse)
            known[name] = at, counters.misuse
        kept = tuple(sample for sample in self.misuse if sample.at >= edge)
        if not seen:
            return kept, known
        if kept and at - kept[-1].at < _BURST_STEP:
            last = kept[-1]
            return (
                *kept[:-1],
                BurstSample(last.at, _more(last.turned_away, Misuse(), more)),
            ), known
        return (*kept, BurstSample(at, more)), known

    def with_broker(self, reading: BrokerReading, at: datetime) -> Windows:
        """Add one reading of the broker: totals of queues, and heartbeats."""
        queues = {name: _recent(samples, at) for name, samples in self.queues.items()}
        for queue in reading.queues:
            before = queues.get(queue.name, ())
            sample = _next_queue(before[-1] if before else None, queue, at)
            working = [b.active for b in reading.heartbeats if b.queue == queue.name]
            sample = replace(sample, busy=sum(working) if working else None)
            queues[queue.name] = (*before, sample)
        beats = dict(self.beat_at)
        beats.update({beat.replica: beat.at for beat in reading.heartbeats})
        return replace(
            self,
            queues={name: kept for name, kept in queues.items() if kept},
            beat_at=_younger(beats, at),
        )

    def with_health(self, reading: HealthReading, at: datetime) -> Windows:
        """Remember who has answered well."""
        good = {name: at for name, probe in reading.probes.items() if probe.ok}
        return replace(self, answered_at=_younger({**self.answered_at, **good}, at))

    def with_answer(self, replica_ids: tuple[str, ...], at: datetime) -> Windows:
        """Remember that these replicas answered, as databases and brokers do."""
        return replace(self, answered_at={**self.answered_at, **dict.fromkeys(replica_ids, at)})

    def request_figures(self, now: datetime) -> RequestFigures:
        """
        Return rates and percentiles over the last 60 s, all replicas together.

        Unknown until two scrapes lie in the window, and again 60 s after the
        last one.  Ratio and percentiles are unknown while nothing was asked.
        """
        kept = [
            recent for samples in self.counters.values() if len(recent := _recent(samples, now)) > 1
        ]
        if not kept:
            return RequestFigures()
        seconds = (
            max(samples[-1].at for samples in kept) - min(samples[0].at for samples in kept)
        ).total_seconds()
        if seconds <= 0:
            return RequestFigures()
        requests = sum(samples[-1].requests - samples[0].requests for samples in kept)
        errors = sum(samples[-1].errors - samples[0].errors for samples in kept)
        buckets = _bucket_increase(kept)
        return RequestFigures(
            request_rate=requests / seconds,
            error_ratio=min(1.0, errors / requests) if requests > 0 else None,
            p50_seconds=quantile(0.50, buckets),
            p95_seconds=quantile(0.95, buckets),
            p99_seconds=quantile(0.99, buckets),
        )

    def turned_away(self, now: datetime) -> Misuse | None:
        """Return what was turned away in the last 5 minutes; None until that can be told."""
        edge = now - timedelta(seconds=BURST_SECONDS)
        found = [sample.turned_away for sample in self.misuse if sample.at >= edge]
        if not found:
            return None
        return Misuse(
            sum(each.keys_refused for each in found),
            sum(each.rate_limited for each in found),
            sum(each.oversized for each in found),
        )

    def request_rate(self, replica_id: str, now: datetime) -> float | None:
        """Return requests a second of one replica over the last 60 s; None is unknown."""
        samples = _recent(self.counters.get(replica_id, ()), now)
        if len(samples) < 2:
            return None
        seconds = (samples[-1].at - samples[0].at).total_seconds()
        return (samples[-1].requests - samples[0].requests) / seconds if seconds > 0 else None

    def queue_rates(self, name: str, now: datetime) -> tuple[float | None, float | None]:
        """Return (arrived, completed) per second over the last 60 s; None is unknown."""
        samples = _recent(self.queues.get(name, ()), now)
        if len(samples) < 2:
            return None, None
        first, last = samples[0], samples[-1]
        seconds = (last.at - first.at).total_seconds()
        if seconds <= 0:
            return None, None
        return (
            _rate(first.arrived, last.arrived, seconds),
            _rate(first.completed, last.completed, seconds),
        )

    def queue_failures(self, name: str, now: datetime) -> float | None:
        """Return how many tasks failed per second over the last 60 s; None is unknown."""
        samples = _recent(self.queues.get(name, ()), now)
        seconds = (samples[-1].at - samples[0].at).total_seconds() if samples else 0.0
        return _rate(samples[0].failed, samples[-1].failed, seconds) if seconds > 0 else None

    def queue_busy(self, name: str, now: datetime) -> float | None:
        """Return how many tasks were worked on, on average over the last 60 s."""
        known = [s.busy for s in _recent(self.queues.get(name, ()), now) if s.busy is not None]
        return sum(known) / len(known) if known else None


def _more(counted: Misuse, before: Misuse, after: Misuse) -> Misuse:
    """Return *counted* and what came between *before* and *after*."""
    return Misuse(
        counted.keys_refused + increase(before.keys_refused, after.keys_refused),
        counted.rate_limited + increase(before.rate_limited, after.rate_limited),
        counted.oversized + increase(before.oversized, after.oversized),
    )


def _rate(first: float | None, last: float | None, seconds: float) -> float | None:
    return None if first is None or last is None else max(0.0, last - first) / seconds


_S = TypeVar("_S", CounterSample, QueueSample)


def _recent(samples: tuple[_S, ...], now: datetime) -> tuple[_S, ...]:
    edge = now - _WINDOW
    if samples and samples[0].at >= edge:
        return samples
    return tuple(sample for sample in samples if sample.at >= edge)


def _younger(moments: Mapping[str, datetime], now: datetime) -> dict[str, datetime]:
    """Forget moments of a day ago, so that memory does not grow with every replica."""
    edge = now - timedelta(days=1)
    return {name: at for name, at in moments.items() if at >= edge}


def _next_counters(
    before: CounterSample | None, shown: RequestCounters, at: datetime
) -> CounterSample:
    if before is None:
        return CounterSample(at, shown, shown.requests, shown.errors, dict(shown.buckets))
    earlier = dict(before.shown.buckets)
    # One reset shows in all counters of a process; the total tells it for the rest.
    reset = shown.requests < before.shown.requests
    return CounterSample(
        at=at,
        shown=shown,
        requests=before.requests + increase(before.shown.requests, shown.requests),
        errors=before.errors
        + (shown.errors if reset else increase(before.shown.errors, shown.errors)),
        buckets={
            bound: before.buckets.get(bound, 0.0)
            + (count if reset else increase(earlier.get(bound, 0.0), count))
            for bound, count in shown.buckets
        },
    )


def _next_queue(before: QueueSample | None, queue: QueueReading, at: datetime) -> QueueSample:
    shown = (queue.arrived_total, _left_total(queue))
    if before is None:
        failed = queue.failed_total
        return QueueSample(
            at,
            shown,
            _number(shown[0]),
            _number(shown[1]),
            failed=_number(failed),
            failed_shown=failed,
        )
    return QueueSample(
        at,
        shown,
        _advance(before.arrived, before.shown[0], shown[0]),
        _advance(before.completed, before.shown[1], shown[1]),
        failed=_advance(before.failed, before.failed_shown, queue.failed_total),
        failed_shown=queue.failed_total,
    )


def _left_total(queue: QueueReading) -> int | None:
    """Tasks that left the queue for good: one that failed makes room like one that succeeded."""
    if queue.completed_total is None:
        return None
    return queue.completed_total + (queue.failed_total or 0)


def _number(value: int | None) -> float | None:
    return None if value is None else float(value)


def _advance(adjusted: float | None, earlier: int | None, later: int | None) -> float | None:
    if later is None:
        return None
    if adjusted is None or earlier is None:
        return float(later)
    return adjusted + increase(earlier, later)


def _bucket_increase(kept: list[tuple[CounterSample, ...]]) -> list[tuple[float, float]]:
    """Sum the histograms over replicas, at the bounds that all of them have."""
    counted = [samples for samples in kept if samples[-1].buckets]
    if not counted:
        return []
    common = set.intersection(*(set(samples[-1].buckets) for samples in counted))
    return [
        (
            bound,
            sum(
                samples[-1].buckets[bound] - samples[0].buckets.get(bound, 0.0)
                for samples in counted
            ),
        )
        for bound in sorted(common)
    ]
