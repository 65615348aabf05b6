"""How often a key may call, counted in Redis over all replicas."""

from __future__ import annotations

import time

from limits import parse
from limits.aio.storage import RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from redis.exceptions import RedisError

from backend import metrics
from backend.services.resilience import DependencyUnavailable, Guard
from backend.settings import Settings

_SOCKET_TIMEOUT_SECONDS = 0.25


class RateLimiter:
    """
    Limit requests per API key.

    A limit that cannot be read lets the request through: a broken counter must not stop
    the product.

    Args:
        settings: The limit, and whether there is one.
    """

    def __init__(self, settings: Settings) -> None:
        self.enabled = settings.rate_limit_enabled
        self.limit = parse(settings.rate_limit)
        storage = RedisStorage(
            f"async+{settings.shared_redis_dsn}",
            implementation="redispy",
            key_prefix="fragrance:limits",
            socket_timeout=_SOCKET_TIMEOUT_SECONDS,
            socket_connect_timeout=_SOCKET_TIMEOUT_SECONDS,
        )
        self._limiter = SlidingWindowCounterRateLimiter(storage)
        self._guard = Guard("redis", (RedisError, TimeoutError, OSError))

    async def wait_seconds(self, key_id: str) -> int | None:
        """
        Count one request of a key.

        Returns:
            None where it may go on, else the whole seconds until it may, at least 1.
        """
        if not self.enabled:
            return None
        try:
            allowed: bool = await self._guard.call(lambda: self._limiter.hit(self.limit, key_id))
            if allowed:
                return None
            reset_at = float((await self._limiter.get_window_stats(self.limit, key_id)).reset_time)
        except (DependencyUnavailable, RedisError, OSError):
            metrics.RATE_LIMIT_OPEN.inc()
            return None
        metrics.RATE_LIMITED.inc()
        return max(1, round(reset_at - time.time()))
