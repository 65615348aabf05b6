"""
A circuit breaker around each dependency.

Without one, every request to a dead dependency waits for its timeout, and soon every
slot of the application waits: one dead part takes the rest down.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from purgatory import AsyncCircuitBreakerFactory
from purgatory.domain.model import OpenedState

from backend import metrics

T = TypeVar("T")

FAILURE_THRESHOLD = 5
REST_SECONDS = 2.0


class DependencyUnavailable(ConnectionError):
    """
    A dependency does not answer, or is being given a rest after failing repeatedly.

    Args:
        dependency: ``database`` or ``broker``, ``redis``.
        reason: Why, in words that may be shown.
    """

    def __init__(self, dependency: str, reason: str) -> None:
        super().__init__(f"{dependency}: {reason}")
        self.dependency = dependency
        self.reason = reason


class Guard:
    """
    Run calls to one dependency and refuse them at once while it is known to be down.

    Args:
        dependency: Its name, for errors and the metric.
        failures: Exceptions that say the dependency is down; others pass through and
            count as its being up.
        threshold: Failures in a row after which it is left alone.
        rest_seconds: For how long.
    """

    def __init__(
        self,
        dependency: str,
        failures: tuple[type[Exception], ...],
        threshold: int = FAILURE_THRESHOLD,
        rest_seconds: float = REST_SECONDS,
    ) -> None:
        self.dependency = dependency
        self._failures = failures
        self._breakers = AsyncCircuitBreakerFactory(
            default_threshold=threshold,
            default_ttl=rest_seconds,
            exclude=[(Exception, lambda error: not isinstance(error, failures))],
        )
        self._breakers.add_listener(self._on_event)
        metrics.CIRCUIT_OPEN.labels(dependency).set(0)

    async def call(self, work: Callable[[], Awaitable[T]]) -> T:
        """
        Run *work*.

        Raises:
            DependencyUnavailable: If the dependency failed or is being given a rest.
        """
        breaker = await self._breakers.get_breaker(self.dependency)
        try:
            async with breaker:
                return await work()
        except OpenedState:
            raise DependencyUnavailable(
                self.dependency, "not answering, tried again soon"
            ) from None
        except self._failures as error:
            raise DependencyUnavailable(self.dependency, str(error) or "no answer") from error

    def _on_event(self, name: str, event: str, payload: object) -> None:
        if event == "state_changed":
            is_open = getattr(payload, "state", "closed") == "opened"
            metrics.CIRCUIT_OPEN.labels(name).set(1 if is_open else 0)
