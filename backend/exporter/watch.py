"""
Look at the broker once a second and give what was seen to each scrape.

A scrape never waits for Redis.  What is not known is left out, it is never 0: without a
fresh look there is ``celery_broker_up 0`` and no queue and no worker.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import redis
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from backend.contracts.tasks import HEARTBEAT_TTL_SECONDS
from backend.exporter.broker import COUNTERS, BrokerState, WorkerState
from backend.logs import get_logger

INTERVAL_SECONDS = 1.0
STALE_AFTER_SECONDS = 5.0
"""A look older than this says nothing any more."""

FORGET_LOST_AFTER_SECONDS = 600.0
"""How long a worker that died is shown as down; by then it has been replaced or given up."""

log = get_logger(__name__)


@dataclass(slots=True)
class _Known:
    state: WorkerState
    beaten_at: float
    lost_at: float | None = None


class WorkerRegister:
    """
    Tell a worker that left from one that died: only the first takes its heartbeat away.

    Times are monotonic seconds of this process; the workers' clocks do not matter.
    """

    def __init__(self) -> None:
        self._known: dict[str, _Known] = {}
        self._seen_at: float | None = None

    def note(self, workers: Mapping[str, WorkerState], now: float) -> None:
        """
        Take in one look.

        After a gap the keys of living workers may have expired as well, so nothing is
        concluded from what is missing then.
        """
        gap = self._seen_at is None or now - self._seen_at > HEARTBEAT_TTL_SECONDS / 2
        self._seen_at = now
        for name, state in workers.items():
            known = self._known.get(name)
            if known is None or known.lost_at is not None or known.state.at != state.at:
                self._known[name] = _Known(state, beaten_at=now)
        for name in self._known.keys() - workers.keys():
            known = self._known[name]
            if known.lost_at is not None:
                if now - known.lost_at > FORGET_LOST_AFTER_SECONDS:
                    del self._known[name]
            elif gap or now - known.beaten_at < HEARTBEAT_TTL_SECONDS / 2:
                del self._known[name]
            else:
                known.lost_at = now
                log.warning("worker lost", worker=name)

    def states(self) -> dict[str, tuple[WorkerState, bool]]:
        """Return workers by name, what each said last, and whether it lives."""
        return {name: (known.state, known.lost_at is None) for name, known in self._known.items()}


class BrokerWatch(Collector):
    """
    The gauges of queues and workers.

    Args:
        read: Looks at the broker; raises redis.RedisError while it is away.
        clock: Monotonic seconds.
        now: Epoch seconds, for ages.
    """

    def __init__(
        self,
        read: Callable[[], BrokerState],
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._read, self._clock, self._now = read, clock, now
        self._lock = threading.Lock()
        self._state: BrokerState | None = None
        self._workers: dict[str, tuple[WorkerState, bool]] = {}
        self._read_at = 0.0
        self._register = WorkerRegister()
        self.outages = 0
        """How often the broker was found to be away."""

    def look(self) -> None:
        """Look once."""
        try:
            state = self._read()
        except (redis.RedisError, OSError, ValueError) as error:
            self._lose(type(error).__name__)
            return
        if self._state is None:
            log.info("broker answers")
        with self._lock:
            self._read_at = self._clock()
            self._register.note(state.workers, self._read_at)
            self._state, self._workers = state, self._register.states()

    def run(self, stop: threading.Event) -> None:
        """Look again and again until *stop*."""
        while not stop.is_set():
            self.look()
            stop.wait(INTERVAL_SECONDS)

    def collect(self) -> Iterator[Metric]:
        """Give what was seen last, if it is fresh."""
        with self._lock:
            state, workers = self._state, self._workers
            if self._clock() - self._read_at > STALE_AFTER_SECONDS:
                state = None
        up = GaugeMetricFamily("celery_broker_up", "1 while the broker answers the exporter.")
        up.add_metric([], 0 if state is None else 1)
        yield up
        if state is not None:
            yield from self._queues(state)
            yield from _jobs(state)
            yield from _worker_gauges(workers)

    def _lose(self, reason: str) -> None:
        with self._lock:
            if self._state is not None or not self.outages:
                self.outages += 1
                log.warning("broker away", error=reason)  # once per outage
            self._state = None

    def _queues(self, state: BrokerState) -> Iterator[Metric]:
        waiting = _queue_gauge("celery_queue_length", "Tasks that wait, all priorities.")
        in_flight = _queue_gauge(
            "celery_queue_in_flight", "Tasks a worker has taken and not acknowledged."
        )
        age = _queue_gauge(
            "celery_queue_oldest_age_seconds",
            "How long the oldest waiting task waits; 0 when none does, absent when unknown.",
        )
        for queue, seen in state.queues.items():
            waiting.add_metric([queue.value], seen.waiting)
            in_flight.add_metric([queue.value], seen.in_flight)
            if seen.oldest_enqueued_at is not None:
                age.add_metric([queue.value], max(0.0, self._now() - seen.oldest_enqueued_at))
            elif seen.waiting == 0:
                age.add_metric([queue.value], 0)
        yield from (waiting, in_flight, age)


def _jobs(state: BrokerState) -> Iterator[Metric]:
    """Jobs as the product counts them: a job that failed was a task that succeeded."""
    for counter in COUNTERS:
        family = CounterMetricFamily(
            f"fragrance_jobs_{counter}",
            f"Jobs {counter}, over all restarts.",
            labels=["queue_name"],
        )
        for queue, seen in state.queues.items():
            family.add_metric([queue.value], seen.jobs[counter])
        yield family


def _worker_gauges(workers: Mapping[str, tuple[WorkerState, bool]]) -> Iterator[Metric]:
    labels = ("hostname", "queue_name")
    up = GaugeMetricFamily(
        "celery_worker_up", "1 while the worker reports itself, 0 after it died.", labels=labels
    )
    active = GaugeMetricFamily(
        "celery_worker_tasks_active", "Tasks the worker is running.", labels=labels
    )
    for name, (state, lives) in workers.items():
        up.add_metric([name, state.queue.value], int(lives))
        if lives:
            active.add_metric([name, state.queue.value], state.active)
    yield from (up, active)


def _queue_gauge(name: str, text: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, labels=["queue_name"])
