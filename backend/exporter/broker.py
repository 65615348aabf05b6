"""The broker as it is now: queues, jobs counted so far, and the workers that report themselves."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from backend.contracts import tasks
from backend.contracts.tasks import Queue
from backend.settings import Settings

SOCKET_TIMEOUT_SECONDS = 1.0
UNACKED_KEY = "unacked"
COUNTERS = (tasks.COUNTER_ARRIVED, tasks.COUNTER_COMPLETED, tasks.COUNTER_FAILED)

_MAX_WORKERS = 500
"""More names than this are no workers of ours; each would be a series of its own."""


@dataclass(frozen=True, slots=True)
class QueueState:
    """
    One queue.

    Args:
        waiting: Messages in its lists.
        in_flight: Messages taken and not acknowledged.
        oldest_enqueued_at: When the message that waits longest was published, epoch
            seconds; None when none waits or it carries no time.
        jobs: Jobs since the data of Redis began, by counter; a counter nobody has
            written yet is 0.
    """

    waiting: int
    in_flight: int
    oldest_enqueued_at: float | None
    jobs: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class WorkerState:
    """One heartbeat: its queue, when it was written (the worker's epoch seconds), its tasks."""

    queue: Queue
    at: float
    active: int


@dataclass(frozen=True, slots=True)
class BrokerState:
    """One look at the broker."""

    queues: Mapping[Queue, QueueState]
    workers: Mapping[str, WorkerState]


class BrokerReader:
    """
    Clients of the broker databases and the shared one; they read and never write.

    Args:
        settings: Gives the URL; no connection is made before the first read.
    """

    def __init__(self, settings: Settings) -> None:
        self._brokers = {queue: _client(settings.broker_dsn(queue)) for queue in Queue}
        self._shared = _client(settings.shared_redis_dsn)

    def read(self) -> BrokerState:
        """Return one look; raises redis.RedisError or ValueError, within some seconds."""
        return BrokerState({queue: self._queue(queue) for queue in Queue}, self._workers())

    def close(self) -> None:
        """Close every connection."""
        for client in (self._shared, *self._brokers.values()):
            client.close()

    def _queue(self, queue: Queue) -> QueueState:
        lists = tasks.queue_lists(queue)
        pipeline = self._brokers[queue].pipeline(transaction=True)
        pipeline.hlen(UNACKED_KEY)
        for name in lists:
            pipeline.llen(name)
        for name in lists:
            pipeline.lindex(name, -1)  # taken from the right: the last is the oldest
        in_flight, *rest = pipeline.execute()
        counted: Any = self._shared.hmget(tasks.counters_key(queue), COUNTERS)
        times = [_enqueued_at(message) for message in rest[len(lists) :]]
        return QueueState(
            waiting=sum(rest[: len(lists)]),
            in_flight=in_flight,
            oldest_enqueued_at=min((time for time in times if time is not None), default=None),
            jobs={name: int(text or 0) for name, text in zip(COUNTERS, counted, strict=True)},
        )

    def _workers(self) -> dict[str, WorkerState]:
        found: dict[str, WorkerState] = {}
        keys = [*self._shared.scan_iter(f"{tasks.HEARTBEAT_PREFIX}*", count=1000)][:_MAX_WORKERS]
        texts: Any = self._shared.mget(keys) if keys else []
        for key, text in zip(keys, texts, strict=True):
            state = _heartbeat(text)
            if state is not None:
                found[key.removeprefix(tasks.HEARTBEAT_PREFIX)] = state
        return found


def _client(url: str) -> redis.Redis:
    return redis.Redis.from_url(
        url,
        socket_timeout=SOCKET_TIMEOUT_SECONDS,
        socket_connect_timeout=SOCKET_TIMEOUT_SECONDS,
        socket_keepalive=True,
        # One retry on a fresh connection, for the one that a restart has cut.
        retry=Retry(NoBackoff(), 1),
        client_name="celery-exporter",
        decode_responses=True,
        encoding_errors="replace",
    )


def _enqueued_at(message: str | None) -> float | None:
    try:
        envelope: Any = json.loads(message or "null")
        moment = float(envelope["headers"][tasks.ENQUEUED_AT_HEADER])
    except (ValueError, TypeError, KeyError):
        return None
    return moment if math.isfinite(moment) else None


def _heartbeat(text: str | None) -> WorkerState | None:
    try:
        heartbeat: Any = json.loads(text or "null")
        queue, at = Queue(heartbeat["queue"]), float(heartbeat["at"])
        return WorkerState(queue, at, max(0, int(heartbeat["active"])))
    except (ValueError, TypeError, KeyError):
        return None
