"""
Watch the dependencies in the background, so that answering costs nothing and never waits.

Each watch has at most one probe under way.  A probe that does not come back makes its
dependency unhealthy after a second and is left alone: probing a hung server again and
again would only add connections to it.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from backend import metrics
from backend.contracts.tasks import Queue
from backend.database import AsyncDatabase
from backend.database.probe import DatabaseProbe, SchemaState
from backend.logs import get_logger
from backend.services.broker import BrokerState, BrokerView

T = TypeVar("T")

INTERVAL_SECONDS = 1.0
PROBE_TIMEOUT_SECONDS = 0.9
STALE_AFTER_SECONDS = 10.0
"""A result older than this is unknown, whatever it was: the watch itself must hang."""

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Finding(Generic[T]):
    """
    What a watch last saw.

    Args:
        health: ``healthy``, ``unhealthy`` or ``unknown``.
        value: What the probe returned; None unless healthy.
        error: Why not, empty when healthy.
        age_seconds: Since when this is known; None before the first result.
        latency_seconds: How long the probe took; None unless healthy.
    """

    health: str
    value: T | None
    error: str
    age_seconds: float | None
    latency_seconds: float | None


class Watch(Generic[T]):
    """
    Run one probe again and again and keep what it found.

    Args:
        name: Of the dependency.
        probe: Returns something while the dependency is well, raises otherwise.
    """

    def __init__(self, name: str, probe: Callable[[], Awaitable[T]]) -> None:
        self.name = name
        self._probe = probe
        self._pending: asyncio.Future[T] | None = None
        self._began = 0.0
        self._at: float | None = None
        self._health, self._error = "unknown", "not looked yet"
        self._value: T | None = None
        self._latency: float | None = None

    async def look(self) -> None:
        """Give the probe a moment and record what came of it."""
        if self._pending is None:
            self._began = time.monotonic()
            self._pending = asyncio.ensure_future(self._probe())
        await asyncio.wait({self._pending}, timeout=PROBE_TIMEOUT_SECONDS)
        now = time.monotonic()
        if not self._pending.done():
            self._record("unhealthy", f"no answer for {now - self._began:.0f} s")
            return
        done, self._pending = self._pending, None
        error = done.exception() if not done.cancelled() else asyncio.CancelledError()
        if error is None:
            self._value, self._latency = done.result(), now - self._began
            self._record("healthy", "")
        else:
            self._record("unhealthy", _first_line(error))

    async def run(self) -> None:
        """Look for ever."""
        while True:
            await self.look()
            await asyncio.sleep(INTERVAL_SECONDS)

    def stop(self) -> None:
        """Give up a probe under way."""
        if self._pending is not None:
            self._pending.cancel()

    def finding(self) -> Finding[T]:
        """Return what was last seen, at once."""
        if self._at is None:
            return Finding("unknown", None, self._error, None, None)
        age = time.monotonic() - self._at
        if age > STALE_AFTER_SECONDS:
            return Finding("unknown", None, "the check itself hangs", age, None)
        well = self._health == "healthy"
        value, latency = (self._value, self._latency) if well else (None, None)
        return Finding(self._health, value, self._error, age, latency)

    def _record(self, health: str, error: str) -> None:
        if health != self._health:  # once per change, not once per look
            emit = log.info if health == "healthy" else log.warning
            emit("dependency changed", dependency=self.name, health=health, error=error)
        self._health, self._error, self._at = health, error, time.monotonic()


@dataclass(frozen=True, slots=True)
class HealthPicture:
    """Everything the health endpoints answer from."""

    database: Finding[SchemaState]
    redis: Finding[BrokerState]

    @property
    def workers(self) -> dict[Queue, int] | None:
        """Workers that report themselves, by queue; None when that cannot be told."""
        return None if self.redis.value is None else dict(self.redis.value.workers)

    @property
    def status(self) -> str:
        """
        The whole in one word.

        ``unhealthy``: nothing can be served without the database.  ``degraded``: requests
        are answered and briefs accepted, but broker or workers are missing.
        """
        if self.not_ready_reason is not None:
            return "unhealthy"
        workers = self.workers
        if workers is None or not all(workers.values()):
            return "degraded"
        return "healthy"

    @property
    def not_ready_reason(self) -> str | None:
        """Why this replica should get no traffic; None when it should."""
        if self.database.health != "healthy":
            return f"database {self.database.health}: {self.database.error}"
        return self.database.value.problem if self.database.value is not None else None


class HealthMonitor:
    """
    Keep a current :class:`HealthPicture`.

    Args:
        probe: For the database.
        broker: For Redis.
        database: Whose pool is measured.
    """

    def __init__(self, probe: DatabaseProbe, broker: BrokerView, database: AsyncDatabase) -> None:
        self._probe = probe
        self._database = database
        self._database_watch = Watch("database", probe.ask)
        self._redis_watch = Watch("redis", broker.look)
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Take the first look, for a second at most, then go on in the background."""
        watches = (self._database_watch, self._redis_watch)
        await asyncio.gather(*(watch.look() for watch in watches))
        self._tasks = [asyncio.create_task(watch.run()) for watch in watches]

    async def stop(self) -> None:
        """End the watches."""
        for task in self._tasks:
            task.cancel()
        for watch in (self._database_watch, self._redis_watch):
            watch.stop()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=1.0)
        with contextlib.suppress(Exception):
            await asyncio.wait_for(self._probe.close(), 1.0)

    def picture(self) -> HealthPicture:
        """Return what is known now, at once."""
        return HealthPicture(self._database_watch.finding(), self._redis_watch.finding())

    def update_gauges(self) -> None:
        """Set the gauges that a scrape reads; a size that is not known is not shown."""
        metrics.DATABASE_POOL_IN_USE.set(self._database.pool_in_use())
        metrics.DATABASE_POOL_SIZE.set(self._database.pool_limit)
        seen = self._redis_watch.finding().value
        if seen is None:
            metrics.QUEUE_SIZE.clear()
            return
        for queue, state in seen.queues.items():
            metrics.QUEUE_SIZE.labels(queue.value).set(state.waiting)


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__)[:300]
