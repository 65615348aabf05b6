"""A clock that moves only when somebody sleeps or says so."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

START = datetime(2026, 1, 1, 12, tzinfo=UTC)


class FakeClock:
    """
    Stopped time; ``sleep`` advances at once.

    Args:
        now: Where it begins.
    """

    def __init__(self, now: datetime = START) -> None:
        self._begin = now
        self._seconds = 0.0
        self.on_sleep: list[Callable[[], None]] = []

    def now(self) -> datetime:
        return self._begin + timedelta(seconds=self._seconds)

    def monotonic(self) -> float:
        return self._seconds

    def sleep(self, seconds: float) -> None:
        self.advance(seconds)
        for notice in list(self.on_sleep):
            notice()

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._seconds += seconds

    def jump(self, seconds: float) -> None:
        """Set the wall clock forwards or back, as an operator or NTP does."""
        self._begin += timedelta(seconds=seconds)
