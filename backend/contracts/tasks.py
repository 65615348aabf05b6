"""
Names that producer, worker and console must agree on; the wire between them.

Each queue has a Redis database of its own because a worker sweeps *all* unacknowledged
messages of a database with its own visibility timeout.  Transport options therefore
come from here for everybody that shares a database.
"""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit, urlunsplit


class Queue(StrEnum):
    """The two queues; the value is the name on the broker."""

    LLM = "llm"
    RL = "rl"


class TaskName(StrEnum):
    """Celery task names; both take the one keyword argument ``job_id``."""

    COMPOSE_FORMULA = "llm.compose_formula"
    OPTIMIZE_FORMULA = "rl.optimize_formula"


class JobKind(StrEnum):
    """What a job is for, as stored in the database and shown by the API."""

    COMPOSE = "compose"
    OPTIMIZE = "optimize"


QUEUE_OF_KIND = MappingProxyType({JobKind.COMPOSE: Queue.LLM, JobKind.OPTIMIZE: Queue.RL})
TASK_OF_KIND = MappingProxyType(
    {JobKind.COMPOSE: TaskName.COMPOSE_FORMULA, JobKind.OPTIMIZE: TaskName.OPTIMIZE_FORMULA}
)

ENQUEUED_AT_HEADER = "enqueued_at"
"""Message header: epoch seconds (float) of publishing; messages carry no time of their own."""

REQUEST_ID_HEADER = "request_id"
"""Message header: id of the request that made the job; Celery rewrites ``correlation_id``."""

BROKER_DATABASES = MappingProxyType({Queue.LLM: 0, Queue.RL: 1})
RESULT_DATABASE = 2
SHARED_DATABASE = 3
"""Cache, heartbeats, counters and rate limits."""

PRIORITY_STEPS = (0, 3, 6, 9)
PRIORITY_SEPARATOR = "\x06\x16"
DEFAULT_PRIORITY = 3

VISIBILITY_TIMEOUT_SECONDS = MappingProxyType({Queue.LLM: 180, Queue.RL: 300})
"""After this an unacknowledged message is delivered again; workers renew a shorter lease."""

RESULT_EXPIRES_SECONDS = 3600

HEARTBEAT_INTERVAL_SECONDS = 1.0
HEARTBEAT_TTL_SECONDS = 10
HEARTBEAT_PREFIX = "fragrance:heartbeat:"
QUEUE_PREFIX = "fragrance:queue:"

COUNTER_ARRIVED = "arrived"
COUNTER_COMPLETED = "completed"
COUNTER_FAILED = "failed"


def heartbeat_key(replica: str) -> str:
    """Return the key of a replica's heartbeat in the shared database."""
    return f"{HEARTBEAT_PREFIX}{replica}"


def counters_key(queue: Queue) -> str:
    """Return the key of the hash with a queue's counters in the shared database."""
    return f"{QUEUE_PREFIX}{queue.value}"


def queue_lists(queue: Queue) -> tuple[str, ...]:
    """
    Return the broker lists of a queue, one per priority step.

    The length of a queue is the sum over all of them; the bare name alone shows only
    what was published at priority 0.
    """
    return tuple(
        f"{queue.value}{PRIORITY_SEPARATOR}{step}" if step else queue.value
        for step in PRIORITY_STEPS
    )


def redis_database_url(redis_url: str, database: int) -> str:
    """
    Return *redis_url* with another database number.

    Args:
        redis_url: ``redis://`` or ``rediss://`` URL; its own number is replaced.
        database: Database number, 0 or more.
    """
    parts = urlsplit(redis_url)
    return urlunsplit(parts._replace(path=f"/{database}"))


def broker_url(redis_url: str, queue: Queue) -> str:
    """Return the broker URL of a queue."""
    return redis_database_url(redis_url, BROKER_DATABASES[queue])


def result_url(redis_url: str) -> str:
    """Return the URL of the result backend."""
    return redis_database_url(redis_url, RESULT_DATABASE)


def shared_url(redis_url: str) -> str:
    """Return the URL of the database with cache, heartbeats, counters and rate limits."""
    return redis_database_url(redis_url, SHARED_DATABASE)


def transport_options(queue: Queue) -> dict[str, Any]:
    """
    Return the broker transport options of a queue's database, a fresh dict each time.

    With the restore settings at 1 a killed worker's message comes back within about
    a second of its visibility timeout instead of up to a hundred.
    """
    return {
        "visibility_timeout": VISIBILITY_TIMEOUT_SECONDS[queue],
        "unacked_restore_interval": 1,
        "unacked_restore_throttle": 1,
        # A worker killed while sweeping must not stop the others' sweeps for five minutes.
        "unacked_mutex_expire": 10,
        "priority_steps": list(PRIORITY_STEPS),
        "sep": PRIORITY_SEPARATOR,
        "queue_order_strategy": "priority",
        "socket_timeout": 10.0,
        "socket_connect_timeout": 3.0,
        "socket_keepalive": True,
        # After a restart of Redis the client would reconnect within a read and wait there,
        # for ever, for what was sent to the old connection.
        "retry_on_timeout": False,
        "health_check_interval": 10,
    }
