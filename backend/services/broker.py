"""What Redis says about queues and workers, read without taking part in them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from backend.contracts import tasks
from backend.contracts.tasks import Queue
from backend.settings import Settings

SOCKET_TIMEOUT_SECONDS = 1.0
UNACKED_KEY = "unacked"


@dataclass(frozen=True, slots=True)
class QueueState:
    """Messages waiting in a queue, and those taken by workers and not acknowledged."""

    waiting: int
    in_flight: int


@dataclass(frozen=True, slots=True)
class BrokerState:
    """One look at Redis: every queue, and how many workers report themselves for it."""

    queues: Mapping[Queue, QueueState]
    workers: Mapping[Queue, int]


class BrokerView:
    """
    Clients of the broker databases and of the shared one.

    Args:
        settings: Gives the URL; no connection is made before the first call.
    """

    def __init__(self, settings: Settings) -> None:
        self.shared = _client(settings.shared_redis_dsn, settings)
        self._brokers = {q: _client(settings.broker_dsn(q), settings) for q in Queue}

    async def look(self) -> BrokerState:
        """Return one look; raises redis.RedisError, within a second or two."""
        return BrokerState(
            {queue: await self.queue_state(queue) for queue in Queue}, await self._workers()
        )

    async def queue_state(self, queue: Queue) -> QueueState:
        """Return how many messages of a queue wait and are in flight."""
        pipeline = self._brokers[queue].pipeline(transaction=True)
        pipeline.hlen(UNACKED_KEY)
        for name in tasks.queue_lists(queue):
            pipeline.llen(name)
        in_flight, *waiting = await pipeline.execute()
        return QueueState(sum(waiting), in_flight)

    async def jobs_with_a_message(self, queue: Queue, at_most: int) -> set[str] | None:
        """
        Return the ids of all jobs that a message of this queue is about, waiting or in flight.

        Args:
            queue: Which queue.
            at_most: How many messages may be read; about a kilobyte each.

        Returns:
            None where more than *at_most* messages wait: then nothing is known.
        """
        state = await self.queue_state(queue)
        if state.waiting > at_most:
            return None
        pipeline = self._brokers[queue].pipeline(transaction=True)
        pipeline.hvals(UNACKED_KEY)
        for name in tasks.queue_lists(queue):
            pipeline.lrange(name, -at_most, -1)
        in_flight, *waiting = await pipeline.execute()
        # A message in flight is kept with the exchange and the route it came by.
        messages = [json.loads(text)[0] for text in in_flight]
        messages += [json.loads(text) for some in waiting for text in some]
        return {message["headers"]["id"] for message in messages}

    async def count_arrival(self, queue: Queue) -> None:
        """Add one to the queue's arrivals."""
        key = tasks.counters_key(queue)
        await self.shared.hincrby(key, tasks.COUNTER_ARRIVED, 1)

    async def close(self) -> None:
        """Close every connection."""
        for client in (self.shared, *self._brokers.values()):
            await client.aclose()

    async def _workers(self) -> dict[Queue, int]:
        keys = [
            key async for key in self.shared.scan_iter(f"{tasks.HEARTBEAT_PREFIX}*", count=1000)
        ]
        counts = dict.fromkeys(Queue, 0)
        for text in await self.shared.mget(keys) if keys else []:
            queue = _heartbeat_queue(text)
            if queue is not None:
                counts[queue] += 1
        return counts


def _client(url: str, settings: Settings) -> redis.asyncio.Redis:
    return redis.asyncio.Redis.from_url(
        url,
        socket_timeout=SOCKET_TIMEOUT_SECONDS,
        socket_connect_timeout=SOCKET_TIMEOUT_SECONDS,
        socket_keepalive=True,
        # One retry on a fresh connection, for the one that a restart has cut.
        retry=Retry(NoBackoff(), 1),
        client_name=settings.replica_name,
        decode_responses=True,
    )


def _heartbeat_queue(text: str | bytes | None) -> Queue | None:
    try:
        heartbeat: Any = json.loads(text or "null")
        return Queue(heartbeat["queue"])
    except (ValueError, TypeError, KeyError):
        return None
