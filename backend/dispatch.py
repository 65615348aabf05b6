"""
Send accepted jobs to their queue, now or later, by task name.

A job's row is committed before anything is sent, so an accepted brief survives a broker
that is down: the row stays undispatched and a background loop sends it later.  Sending
twice is possible and harmless (a claim is one atomic statement), losing is not.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING

from kombu.exceptions import OperationalError as BrokerError
from redis.exceptions import RedisError
from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from backend import metrics
from backend.contracts import tasks
from backend.contracts.tasks import JobKind, Queue
from backend.database import AsyncDatabase, DatabaseUnavailable, Job, JobState
from backend.database.models import OPEN_STATES
from backend.logs import get_logger
from backend.services.broker import BrokerView
from backend.services.resilience import DependencyUnavailable, Guard
from backend.settings import Settings

if TYPE_CHECKING:
    from celery import Celery

PUBLISH_TIMEOUT_SECONDS = 3.0
SWEEP_INTERVAL_SECONDS = 2.0
SWEEP_BATCH = 20
SWEEP_AFTER_SECONDS = 5.0
"""A younger job is still being sent by the request that made it."""

LOST_CHECK_INTERVAL_SECONDS = 15.0
LOST_AFTER_SECONDS = 60.0
LOST_CHECK_MESSAGES = 1000
"""With more messages waiting no job is called lost: each of them is read, a kilobyte or so."""

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Message:
    """What is put on the broker for a job."""

    job_id: str
    kind: JobKind
    request_id: str | None

    @property
    def queue(self) -> Queue:
        """The queue that its kind belongs to."""
        return tasks.QUEUE_OF_KIND[self.kind]


class Publisher:
    """
    Put messages on the broker in the form Celery workers read; blocking.

    Args:
        redis_url: Any database of the Redis server that carries the queues.
    """

    def __init__(self, redis_url: str) -> None:
        self._redis_url = redis_url
        self._apps: dict[Queue, Celery] = {}
        self._making = Lock()

    def publish(self, message: Message) -> None:
        """Put one message on its queue; raises kombu's OperationalError."""
        headers: dict[str, object] = {tasks.ENQUEUED_AT_HEADER: time.time()}
        if message.request_id:
            headers[tasks.REQUEST_ID_HEADER] = message.request_id
        self._celery(message.queue).send_task(
            tasks.TASK_OF_KIND[message.kind].value,
            kwargs={"job_id": message.job_id},
            task_id=message.job_id,
            queue=message.queue.value,
            priority=tasks.DEFAULT_PRIORITY,
            headers=headers,
            # One retry, for the pooled connection that a restart has cut.
            retry=True,
            retry_policy={"max_retries": 1, "interval_start": 0, "interval_max": 0},
        )

    def warm_up(self) -> None:
        """Load what publishing needs, so that the first brief does not wait for it."""
        for queue in Queue:
            self._celery(queue)

    def _celery(self, queue: Queue) -> Celery:
        # Celery's package replaces itself while it is first imported: a second thread
        # that imports it meanwhile finds no ``Celery`` in it.
        with self._making:
            if queue not in self._apps:
                self._apps[queue] = self._make(queue)
            return self._apps[queue]

    def _make(self, queue: Queue) -> Celery:
        from celery import Celery

        celery = Celery(
            "backend", broker=tasks.broker_url(self._redis_url, queue), set_as_current=False
        )
        celery.conf.update(
            broker_transport_options=tasks.transport_options(queue)
            | {"socket_timeout": 2.0, "socket_connect_timeout": 1.0, "max_retries": 0},
            broker_connection_timeout=1.0,
            broker_pool_limit=4,
            task_serializer="json",
            task_default_queue=queue.value,
            task_create_missing_queues=True,
            task_send_sent_event=True,
        )
        celery.amqp.queues  # noqa: B018 - loads what is made at first use
        return celery


class Dispatcher:
    """
    Send jobs and see to those that could not be sent.

    Args:
        settings: Gives the broker.
        database: Where jobs are.
        broker: To count arrivals and to see whether a queue is empty.
    """

    def __init__(self, settings: Settings, database: AsyncDatabase, broker: BrokerView) -> None:
        self._database = database
        self._broker = broker
        self._publisher = Publisher(settings.redis_dsn)
        self._guard = Guard("broker", (BrokerError, RedisError, TimeoutError, OSError))
        self._missed: set[str] = set()
        self._threads = ThreadPoolExecutor(max_workers=4, thread_name_prefix="publish")

    async def send(self, message: Message, how: str = "request") -> bool:
        """
        Put a job on its queue and note that in its row.

        Returns:
            False where that failed; the job stays for the background loop.
        """
        if not await self._publish(message, how):
            return False
        with contextlib.suppress(DatabaseUnavailable):  # claimed or sent again: harmless
            await self._database.run(lambda session: _mark_sent(session, [message.job_id]))
        return True

    async def run(self) -> None:
        """Send what is left over, for ever."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(1.0)  # requests that wait for this replica come first
        loop.run_in_executor(self._threads, self._publisher.warm_up)
        next_lost_check = time.monotonic() + LOST_CHECK_INTERVAL_SECONDS
        while True:
            await asyncio.sleep(SWEEP_INTERVAL_SECONDS)
            with contextlib.suppress(DatabaseUnavailable, RedisError, OSError):
                await self.sweep()
                if time.monotonic() > next_lost_check:
                    next_lost_check = time.monotonic() + LOST_CHECK_INTERVAL_SECONDS
                    await self.find_lost()

    async def sweep(self, after_seconds: float = SWEEP_AFTER_SECONDS) -> int:
        """
        Send jobs whose message never reached the broker.

        Replicas share the work: a row that another one is sending is skipped.

        Returns:
            How many were sent.
        """
        return await self._database.run(lambda session: self._sweep(session, after_seconds))

    async def find_lost(self, after_seconds: float = LOST_AFTER_SECONDS) -> int:
        """
        Have jobs sent again whose message is gone from the broker.

        That happens when Redis dies within a second of accepting it, and when a worker is
        killed between taking it from the queue and noting that it has it.  A message on
        its way between the two is nowhere for a moment, so only what two checks in
        succession miss is lost.

        Returns:
            How many were found; the next sweep sends them.
        """
        missing: set[str] = set()
        for kind, queue in tasks.QUEUE_OF_KIND.items():
            # Jobs first: one that ends meanwhile is closed before its message goes.
            old = await self._database.run(
                partial(_sent_before, kind=kind, after_seconds=after_seconds)
            )
            if not old:
                continue
            held = await self._broker.jobs_with_a_message(queue, LOST_CHECK_MESSAGES)
            if held is not None:
                missing |= old - held
        lost, self._missed = missing & self._missed, missing
        if not lost:
            return 0
        found = await self._database.run(partial(_reopen, job_ids=lost))
        log.warning("jobs without a message", count=found)
        return found

    def close(self) -> None:
        """Give up messages not yet sent; their jobs stay for another replica."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _sweep(self, session: AsyncSession, after_seconds: float) -> int:
        rows = await session.execute(
            select(Job.id, Job.kind, Job.request_id)
            .where(
                Job.dispatched_at.is_(None),
                Job.state == JobState.QUEUED.value,
                Job.created_at < _ago(after_seconds),
            )
            .order_by(Job.created_at)
            .limit(SWEEP_BATCH)
            .with_for_update(skip_locked=True)
        )
        sent = []
        for job_id, kind, request_id in rows.all():
            if not await self._publish(Message(job_id, JobKind(kind), request_id), "sweep"):
                break
            sent.append(job_id)
        if sent:
            await _mark_sent(session, sent)
            log.info("jobs sent late", count=len(sent))
        return len(sent)

    async def _publish(self, message: Message, how: str) -> bool:
        try:
            await self._guard.call(lambda: self._in_thread(message))
        except DependencyUnavailable as error:
            metrics.PUBLISH_FAILED.labels(message.queue.value).inc()
            log.warning("job kept for later", job_id=message.job_id, error=error.reason)
            return False
        metrics.PUBLISHED.labels(message.queue.value, how).inc()
        with contextlib.suppress(RedisError, OSError):
            await self._broker.count_arrival(message.queue)
        return True

    async def _in_thread(self, message: Message) -> None:
        loop = asyncio.get_running_loop()
        sending = loop.run_in_executor(self._threads, self._publisher.publish, message)
        await asyncio.wait_for(sending, PUBLISH_TIMEOUT_SECONDS)


async def _mark_sent(session: AsyncSession, job_ids: Sequence[str]) -> None:
    await session.execute(update(Job).where(Job.id.in_(job_ids)).values(dispatched_at=func.now()))


async def _sent_before(session: AsyncSession, kind: JobKind, after_seconds: float) -> set[str]:
    rows = await session.scalars(
        select(Job.id).where(
            Job.kind == kind.value,
            Job.state.in_(OPEN_STATES),
            Job.dispatched_at < _ago(after_seconds),
        )
    )
    return set(rows)


async def _reopen(session: AsyncSession, job_ids: set[str]) -> int:
    done = await session.execute(
        update(Job)
        .where(Job.id.in_(job_ids), Job.state.in_(OPEN_STATES))
        .values(dispatched_at=None, state=JobState.QUEUED.value)
        .returning(Job.id)
    )
    return len(done.all())


def _ago(seconds: float) -> ColumnElement[datetime]:
    return func.now() - func.make_interval(0, 0, 0, 0, 0, 0, seconds)
