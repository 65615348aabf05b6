"""
A message belongs to a worker only as long as that worker renews it.

Celery on Redis gives a message back when it has been unacknowledged for longer than
the visibility timeout, whether its worker is dead or merely busy: a short timeout runs
long tasks twice, a long one leaves a killed worker's tasks lying.  Renewing the time
stamp of every message in hand once a second makes the timeout a lease: short, and
never over while the worker lives.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import redis

UNACKED_INDEX_KEY = "unacked_index"
"""Sorted set of delivery tags by time; the transport's default name."""


class LeaseKeeper:
    """
    Renew the messages that this process holds.

    Args:
        broker: Client of the queue's broker database.
    """

    def __init__(self, broker: redis.Redis) -> None:
        self._broker = broker

    def renew(self, tags: Iterable[str]) -> None:
        """
        Move the time stamps of *tags* to now.

        A tag that has been acknowledged meanwhile is not brought back (``XX``).

        Raises:
            redis.RedisError: If the broker cannot be reached; the next call may.
        """
        now = time.time()
        stamps: dict[Any, Any] = dict.fromkeys(tags, now)
        if stamps:
            self._broker.zadd(UNACKED_INDEX_KEY, stamps, xx=True)


def held_tags(consumer: Any) -> set[str]:
    """
    Name every message this process has taken and not acknowledged.

    Messages of running tasks are included even when they were delivered over a
    connection that has been lost since.

    Args:
        consumer: The Celery consumer, connected or not.
    """
    from celery.worker import state

    tags = {
        request.message.delivery_tag
        for request in list(state.requests.values())
        if not request.acknowledged
    }
    task_consumer = consumer.task_consumer if consumer is not None else None
    channel = task_consumer.channel if task_consumer is not None else None
    qos = getattr(channel, "_qos", None)
    if qos is not None:
        tags |= set(qos._delivered) - qos._dirty.copy()
    return {str(tag) for tag in tags if tag}
