"""
Log lines on their way to the screen: bounded, and honest about what was dropped.

The feed's thread adds, the screen takes; neither waits for the other.
"""

from __future__ import annotations

import threading
from collections import deque

from console.ports import LogLine

#: Lines that may wait between two draws before the oldest are dropped.
WAITING_LINES = 20_000


class LogRing:
    """
    A bounded queue of lines between one thread and the screen.

    Args:
        capacity: Lines kept waiting; beyond it the oldest are dropped and counted.
    """

    def __init__(self, capacity: int = WAITING_LINES) -> None:
        self._lines: deque[LogLine] = deque(maxlen=capacity)
        self._dropped = 0
        self._lock = threading.Lock()

    def add(self, line: LogLine) -> None:
        """Add one line; drops the oldest when full."""
        with self._lock:
            if len(self._lines) == self._lines.maxlen:
                self._dropped += 1
            self._lines.append(line)

    def take(self) -> tuple[list[LogLine], int]:
        """Return and forget the waiting lines, and how many were dropped since."""
        with self._lock:
            lines, dropped = list(self._lines), self._dropped
            self._lines.clear()
            self._dropped = 0
        return lines, dropped
