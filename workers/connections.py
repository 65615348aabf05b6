"""Clients of Redis that answer or fail soon: nothing here may wait longer than it says."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import redis


def redis_client(url: str, timeout_seconds: float) -> redis.Redis:
    """
    Make a client; no connection is made before its first use.

    Args:
        url: With the database number.
        timeout_seconds: For connecting and for each answer; one failed try is repeated
            at once, for the pooled connection that a restart has cut.
    """
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    return redis.Redis.from_url(
        url,
        socket_timeout=timeout_seconds,
        socket_connect_timeout=timeout_seconds,
        retry=Retry(NoBackoff(), 1),
    )
