"""Answers already given, kept for CACHE_TTL under the models and the brief they depend on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import structlog

from workers.llm.constraints import Constraints
from workers.llm.prompts import normalise_brief

if TYPE_CHECKING:
    import redis

log = structlog.get_logger(__name__)

CACHE_PREFIX = "fragrance:cache:compose:"


class AnswerCache:
    """
    A cache that may be away: a miss is the worst it can do.

    Args:
        client: Client of the shared database.
        ttl_seconds: How long an answer stays.
    """

    def __init__(self, client: redis.Redis, ttl_seconds: int) -> None:
        self._client = client
        self._ttl_seconds = ttl_seconds

    def get(self, key: str) -> dict[str, Any] | None:
        """Return what was stored under *key*, or None."""
        import redis

        try:
            raw: Any = self._client.get(key)
            content: dict[str, Any] | None = json.loads(raw) if raw else None
        except (redis.RedisError, ValueError) as error:
            log.warning("cache_unreadable", error=type(error).__name__)
            return None
        return content

    def put(self, key: str, content: dict[str, Any]) -> None:
        """Store an answer; fails silently but for the log."""
        import redis

        try:
            self._client.set(key, json.dumps(content), ex=self._ttl_seconds)
        except redis.RedisError as error:
            log.warning("cache_unwritable", error=type(error).__name__)


def cache_key(digests: Iterable[str], brief: str, constraints: Constraints) -> str:
    """
    Name an answer by everything it depends on.

    Args:
        digests: Of every model that is asked.
        brief: As the user wrote it.
        constraints: Further demands.
    """
    content = json.dumps(
        [
            sorted(digests),
            normalise_brief(brief),
            constraints.max_price,
            sorted(constraints.exclude),
        ]
    )
    return CACHE_PREFIX + hashlib.sha256(content.encode()).hexdigest()
