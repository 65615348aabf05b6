"""
The worker's sign of life: one key in Redis, refreshed once a second.

While the worker runs, the refresh is a timer of its own consumer loop, so a loop that
hangs lets the key expire.  Before the loop exists (the model is loading) and after it
has ended (a warm shutdown finishes its tasks) a thread takes over, because both can
last longer than the key lives.  Each beat also renews the leases of the messages in
hand (:mod:`workers.lease`).
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import structlog

from backend.contracts.tasks import (
    HEARTBEAT_INTERVAL_SECONDS,
    HEARTBEAT_TTL_SECONDS,
    Queue,
    heartbeat_key,
)
from workers.lease import LeaseKeeper, held_tags

if TYPE_CHECKING:
    import redis

log = structlog.get_logger(__name__)


class Phase(StrEnum):
    """Where a worker is in its life."""

    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a worker is; fixed for the life of the process."""

    replica: str
    service: str
    queue: Queue
    release: str
    pid: int = field(default_factory=os.getpid)
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))


class Heartbeat:
    """
    Report this worker and keep its messages.

    Args:
        identity: Who reports.
        shared: Client of the shared database, with short socket timeouts: a beat runs
            in the consumer loop.
        lease: Renews the messages in hand.
    """

    def __init__(self, identity: Identity, shared: redis.Redis, lease: LeaseKeeper) -> None:
        self.identity = identity
        self.phase = Phase.STARTING
        self.consumer: Any = None
        self.slots: int | None = None
        self.tells: Callable[[Collection[str]], dict[str, Any]] = lambda _: {}
        self._shared = shared
        self._lease = lease
        self._failing = False
        self._ended = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="heartbeat", daemon=True)

    def start(self) -> None:
        """Become visible as starting, at once."""
        self.beat()
        self._keeper.start()

    def end(self) -> None:
        """Take the sign of life away: the worker has left in good order."""
        import redis

        self._ended.set()
        self._keeper.join(timeout=5.0)
        try:
            self._shared.delete(heartbeat_key(self.identity.replica))
        except redis.RedisError:
            log.warning("heartbeat_not_removed", replica=self.identity.replica)

    def beat(self) -> None:
        """Write the key and renew the leases; a broker that is away is not an error here."""
        import redis

        try:
            self._shared.set(
                heartbeat_key(self.identity.replica),
                json.dumps(self.report()),
                ex=HEARTBEAT_TTL_SECONDS,
            )
            self._lease.renew(held_tags(self.consumer))
        except redis.RedisError as error:
            if not self._failing:  # once, not every second
                log.warning("heartbeat_failed", error=type(error).__name__)
            self._failing = True
        else:
            if self._failing:
                log.info("heartbeat_recovered")
            self._failing = False

    def report(self) -> dict[str, Any]:
        """
        Return the heartbeat's content.

        ``reserved`` is taken but not yet running, ``slots`` how many can run at once.
        """
        from celery.worker import state

        active = list(state.active_requests)
        reserved = [request for request in list(state.reserved_requests) if request not in active]
        now = time.time()
        return {
            "replica": self.identity.replica,
            "service": self.identity.service,
            "queue": self.identity.queue.value,
            "pid": self.identity.pid,
            "at": now,
            "phase": self.phase.value,
            "active": len(active),
            "reserved": len(reserved),
            "slots": self.slots,
            "processed": state.all_total_count[0],
            "accepting": self.is_accepting(),
            "release": self.identity.release,
            "started_at": self.identity.started_at.timestamp(),
            "current": [
                {
                    "task_id": request.id,
                    "name": request.name,
                    "seconds": round(max(0.0, now - request.time_start), 3),
                }
                for request in active
                if request.time_start
            ],
            **self.tells({request.id for request in active}),
        }

    def is_accepting(self) -> bool:
        """Say whether a message published now may come here: running and not drained."""
        if self.phase is not Phase.RUNNING or self.consumer is None:
            return False
        task_consumer = self.consumer.task_consumer
        queue = self.identity.queue.value
        return bool(task_consumer is not None and task_consumer.consuming_from(queue))

    def _keep(self) -> None:
        while not self._ended.wait(HEARTBEAT_INTERVAL_SECONDS):
            if self.phase is not Phase.RUNNING:
                self.beat()


def heartbeat_step(heartbeat: Heartbeat) -> type:
    """
    Return the consumer bootstep that beats from the consumer's own timer.

    Celery wants a class and creates it itself, hence the closure.
    """
    from celery import bootsteps

    class HeartbeatStep(bootsteps.StartStopStep):  # type: ignore[misc]  # celery is untyped
        requires = ("celery.worker.consumer.tasks:Tasks",)

        def start(self, consumer: Any) -> None:
            """Run at every (re)connect: timers of a lost connection are cancelled."""
            heartbeat.consumer = consumer
            heartbeat.phase = Phase.RUNNING
            self._entry = consumer.timer.call_repeatedly(HEARTBEAT_INTERVAL_SECONDS, heartbeat.beat)
            # Soon, and from inside the loop: by then the queue is being consumed.
            consumer.timer.call_after(0.01, heartbeat.beat)

    return HeartbeatStep
