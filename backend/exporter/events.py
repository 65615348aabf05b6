"""
What Celery's events say: tasks counted by name, run times and waits.

Events are published and forgotten, so what happens while nobody listens is not counted:
``celery_events_up`` tells whether somebody does.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from celery import Celery
from celery.events.receiver import EventReceiver
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from backend.contracts import tasks
from backend.contracts.tasks import Queue
from backend.logs import get_logger
from backend.settings import Settings

KINDS = ("sent", "received", "started", "succeeded", "failed", "retried", "revoked", "rejected")
RETRY_SECONDS = (0.5, 1.0, 2.0, 5.0)
RUNTIME_BUCKETS_SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 180, 300)
WAIT_BUCKETS_SECONDS = (0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 600, 1800, 3600)

OTHER = "other"
"""Label of a task that is none of the product's."""

UNKNOWN = "unknown"
"""Label of a task whose name was said before the exporter listened."""

_REMEMBERED_TASKS = 10_000
_LABELS = ("name", "queue_name")
_NAMES = frozenset(name.value for name in tasks.TaskName)

log = get_logger(__name__)


@dataclass(slots=True)
class _Seen:
    name: str = UNKNOWN
    sent_at: float | None = None
    has_started: bool = False


class TaskFigures:
    """
    Counters and histograms of tasks.

    Args:
        registry: Where they are shown.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._counters = {
            kind: Counter(f"celery_task_{kind}", f"Tasks {kind}.", _LABELS, registry=registry)
            for kind in KINDS
        }
        self._runtime = Histogram(
            "celery_task_runtime", "Seconds a task that succeeded took.", _LABELS,
            buckets=RUNTIME_BUCKETS_SECONDS, registry=registry,
        )  # fmt: skip
        self._wait = Histogram(
            "celery_task_queue_wait_time", "Seconds from sending a task to its first start.",
            _LABELS, buckets=WAIT_BUCKETS_SECONDS, registry=registry,
        )  # fmt: skip
        self._seen: OrderedDict[str, _Seen] = OrderedDict()
        self._lock = threading.Lock()
        for kind, queue in tasks.QUEUE_OF_KIND.items():  # shown before the first event
            labels = (tasks.TASK_OF_KIND[kind].value, queue.value)
            for family in (*self._counters.values(), self._runtime, self._wait):
                family.labels(*labels)

    def note(self, queue: Queue, event: Mapping[str, Any]) -> None:
        """Take in one event of a queue's broker; those that are not about tasks are ignored."""
        group, _, kind = str(event.get("type", "")).partition("-")
        if group != "task" or kind not in self._counters:
            return
        with self._lock:
            seen = self._remembered(str(event.get("uuid")))
            if name := event.get("name"):
                seen.name = name if name in _NAMES else OTHER
            labels = (seen.name, queue.value)
            self._counters[kind].labels(*labels).inc()
            if kind == "sent":
                seen.sent_at = _number(event.get("timestamp"))
            elif kind == "started":
                started_at = _number(event.get("timestamp"))
                if not seen.has_started and seen.sent_at is not None and started_at is not None:
                    # Two machines' clocks may differ by a little.
                    self._wait.labels(*labels).observe(max(0.0, started_at - seen.sent_at))
                seen.has_started = True
            elif kind == "succeeded":
                runtime = _number(event.get("runtime"))
                if runtime is not None:
                    self._runtime.labels(*labels).observe(runtime)

    def _remembered(self, task_id: str) -> _Seen:
        seen = self._seen.setdefault(task_id, _Seen())
        self._seen.move_to_end(task_id)
        if len(self._seen) > _REMEMBERED_TASKS:
            self._seen.popitem(last=False)
        return seen


class EventFollower:
    """
    Listen to the events of one queue's broker, and again after every interruption.

    Args:
        settings: Gives the broker.
        queue: Whose.
        figures: Where events go.
        listening: Gauge of this queue's listening, 1 or 0.
        outages: How often the broker has been found away: a connection made before an
            outage is not trusted after it, since nothing tells silence from death.
    """

    def __init__(
        self,
        settings: Settings,
        queue: Queue,
        figures: TaskFigures,
        listening: Gauge,
        outages: Callable[[], int],
    ) -> None:
        self._queue, self._figures = queue, figures
        self._outages, self._listening = outages, listening
        self._listening.set(0)
        self._turns = 0
        self._app = Celery("exporter", broker=settings.broker_dsn(queue), set_as_current=False)
        self._app.conf.broker_transport_options = tasks.transport_options(queue) | {
            "max_retries": 1,
            "client_name": "celery-exporter",
        }

    def run(self, stop: threading.Event) -> None:
        """Listen until *stop*."""
        failures = 0
        while not stop.is_set():
            try:
                self._listen(stop)
            except Exception as error:
                # Whatever it was, an event nobody can read included: listen again.
                failures = 1 if self._turns > 1 else failures + 1
                if failures == 1:
                    log.warning(
                        "events interrupted", queue=self._queue.value, error=type(error).__name__
                    )
            self._listening.set(0)
            stop.wait(RETRY_SECONDS[min(failures, len(RETRY_SECONDS)) - 1])

    def _listen(self, stop: threading.Event) -> None:
        self._turns, outages = 0, self._outages()

        def on_turn(receiver: _Receiver) -> None:
            """Run about once a second; in the first turn nothing is subscribed yet."""
            receiver.should_stop = stop.is_set()
            if self._outages() != outages:
                raise ConnectionError("the broker was away")
            self._turns += 1
            if self._turns == 2:
                self._listening.set(1)
                log.info("listening to events", queue=self._queue.value)

        with self._app.connection_for_read() as connection:
            receiver = _Receiver(
                connection,
                handlers={"*": partial(self._figures.note, self._queue)},
                app=self._app,
                # Always the same: each name stays in Redis.
                node_id="celery-exporter",
            )
            receiver.on_turn = on_turn
            receiver.capture(wakeup=False)


class _Receiver(EventReceiver):  # type: ignore[misc]  # celery is untyped
    connect_max_retries = 1
    on_turn: Callable[[_Receiver], None]

    def on_iteration(self) -> None:
        self.on_turn(self)


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)
