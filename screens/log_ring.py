"""
Log lines on their way to the screen: bounded, and honest about what was dropped.

The feed's thread offers, the screen takes.  A full ring makes the feed wait, and what waits
stays in the logs; only for a screen that does not draw, though it is not paused, do the
oldest lines make room for the newest, and are counted.
"""

from __future__ import annotations

import threading
from collections import deque

from console.domain.logs import LogLine

#: Lines, and characters in them, that may wait between two draws.
WAITING_LINES = 50_000
WAITING_CHARACTERS = 24_000_000


def characters(line: LogLine) -> int:
    """Return about how much of memory *line* takes besides the fixed part."""
    return len(line.text) + (len(line.raw) if line.raw is not None else 0)


class LogRing:
    """
    A bounded queue of lines between one thread and the screen.

    Args:
        capacity: Lines kept waiting.
        most_characters: Characters kept waiting.
    """

    def __init__(
        self, capacity: int = WAITING_LINES, most_characters: int = WAITING_CHARACTERS
    ) -> None:
        #: Whether the screen will take the lines, however long it waits.
        self.patient = False
        self._capacity = capacity
        self._most_characters = most_characters
        self._lines: deque[LogLine] = deque()
        self._characters = 0
        self._dropped = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._lines)

    @property
    def full(self) -> bool:
        """Whether the next line makes the oldest drop out."""
        return len(self._lines) >= self._capacity or self._characters >= self._most_characters

    def offer(self, line: LogLine) -> bool:
        """Add one line; False, and not added, when full."""
        if self.full:
            return False
        self.add(line)
        return True

    def add(self, line: LogLine) -> None:
        """Add one line; drops the oldest when full."""
        with self._lock:
            while self.full and self._lines:
                self._characters -= characters(self._lines.popleft())
                self._dropped += 1
            self._lines.append(line)
            self._characters += characters(line)

    def take(self, most: int | None = None) -> tuple[list[LogLine], int]:
        """Return and forget the oldest *most* lines, and how many were dropped since."""
        with self._lock:
            dropped, self._dropped = self._dropped, 0
            if most is None or most >= len(self._lines):
                lines = list(self._lines)
                self._lines, self._characters = deque(), 0
            else:
                lines = [self._lines.popleft() for _ in range(most)]
                self._characters -= sum(map(characters, lines))
        return lines, dropped
