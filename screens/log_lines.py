"""Log lines, pure: which are kept, how one is drawn, how they are saved."""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from rich.text import Text

from console.ports import LogLine
from screens.look import Look
from screens.rendering import clean, put, styled

#: Lines kept for scrolling and saving; older ones are counted and dropped.
KEPT_LINES = 10_000
#: Characters kept of one line.
LINE_CHARACTERS = 4_000

LEVELS = ("debug", "info", "warning", "error", "critical")

_LEVEL_WORDS = {
    "trace": "debug",
    "notice": "info",
    "warn": "warning",
    "err": "error",
    "exception": "error",
    "fatal": "critical",
    "panic": "critical",
}


def level_of(line: LogLine) -> str:
    """Return the level of *line* as one of :data:`LEVELS`; unknown counts as info."""
    level = line.level.lower()
    level = _LEVEL_WORDS.get(level, level)
    return level if level in LEVELS else "info"


def readable(text: str) -> str:
    """
    Return a JSON log line as its message followed by ``key=value``.

    Anything else comes back as it is; level and time are dropped because they
    have columns of their own.
    """
    if not text.startswith("{") or len(text) > 20_000:
        return text
    try:
        fields = json.loads(text)
    except ValueError:
        return text
    if not isinstance(fields, dict):
        return text
    message = ""
    for key in ("event", "message", "msg"):
        if isinstance(fields.get(key), str):
            message = fields.pop(key)
            break
    for key in ("level", "timestamp", "time", "logger"):
        fields.pop(key, None)
    words = [f"{key}={value}" for key, value in fields.items() if value is not None]
    return " ".join([message, *words]).strip()


@dataclass(frozen=True, slots=True)
class Shown:
    """One line ready to draw: safe text beside what it came from."""

    line: LogLine
    level: str
    text: str


def shown(line: LogLine) -> Shown:
    """Return *line* ready to draw; its hostile parts are gone for good."""
    return Shown(line, level_of(line), clean(readable(line.text), LINE_CHARACTERS))


@dataclass(frozen=True, slots=True)
class LogFilter:
    """
    Which lines are shown.

    Args:
        services: Services or replicas; empty for all.
        level: Lowest level shown.
        pattern: Kept lines match it, None for all.
    """

    services: frozenset[str] = frozenset()
    level: str = "debug"
    pattern: re.Pattern[str] | None = None

    def keeps(self, entry: Shown) -> bool:
        """Whether *entry* is shown."""
        if LEVELS.index(entry.level) < LEVELS.index(self.level):
            return False
        line = entry.line
        if self.services and not {line.service, line.replica} & self.services:
            return False
        return self.pattern is None or self.pattern.search(entry.text) is not None

    def words(self) -> str:
        """Return the filter as the operator reads it."""
        parts = [", ".join(sorted(self.services)) or "all services"]
        if self.level != "debug":
            parts.append(f"{self.level} and above")
        if self.pattern is not None:
            parts.append(f"/{self.pattern.pattern}/")
        return " · ".join(parts)


class LogBook:
    """
    The lines kept, and those of them that the filter shows.

    Args:
        capacity: Lines kept.
    """

    def __init__(self, capacity: int = KEPT_LINES) -> None:
        self.filter = LogFilter()
        self.forgotten = 0
        self.missed = 0
        self._kept: deque[Shown] = deque(maxlen=capacity)
        self.visible: deque[Shown] = deque(maxlen=capacity)

    def add(self, lines: Iterable[LogLine], missed: int) -> int:
        """
        Keep *lines*.

        Args:
            lines: In the order they came.
            missed: Lines dropped on the way here because they came too fast.

        Returns:
            How many of them the filter shows.
        """
        self.missed += missed
        count = 0
        for line in lines:
            entry = shown(line)
            if len(self._kept) == self._kept.maxlen:
                self.forgotten += 1
                if self.visible and self.visible[0] is self._kept[0]:
                    self.visible.popleft()
            self._kept.append(entry)
            if self.filter.keeps(entry):
                self.visible.append(entry)
                count += 1
        return count

    def refilter(self, **changes: object) -> None:
        """Change the filter and look through everything kept again."""
        self.filter = replace(self.filter, **changes)  # type: ignore[arg-type]  # its own fields
        self.visible.clear()
        self.visible.extend(entry for entry in self._kept if self.filter.keeps(entry))

    def clear(self) -> None:
        """Forget every line, as when following begins anew."""
        self._kept.clear()
        self.visible.clear()
        self.forgotten = self.missed = 0

    def notice(self) -> str:
        """Say what was dropped, "" when nothing was."""
        parts = []
        if self.missed:
            parts.append(f"{self.missed:,} lines missed: they came too fast")
        if self.forgotten:
            parts.append(f"{self.forgotten:,} older lines dropped")
        return "; ".join(parts)


def log_line(entry: Shown, look: Look, find: str, *, wide: bool) -> Text:
    """
    Return one line as drawn.

    Args:
        entry: The line.
        look: Styles.
        find: Text to mark, "" for none; case does not matter.
        wide: Whether there is room for seconds and whole replica names.
    """
    at = entry.line.at
    style = {
        "debug": look.dim,
        "warning": look.warn,
        "error": look.bad,
        "critical": look.bad,
    }.get(entry.level, look.text)
    line = styled(f"{at:%H:%M:%S} " if at else "         ", look.dim)
    put(line, clean(entry.line.replica, 60), 16 if wide else 13, look.accent).append(" ")
    put(line, {"warning": "warn", "critical": "CRIT", "error": "ERROR"}.get(entry.level,
        entry.level), 6, style)  # fmt: skip
    begin = len(line)
    line.append(entry.text, look.dim if entry.level == "debug" else look.text)
    if find:
        for match in re.finditer(re.escape(find), entry.text, re.IGNORECASE):
            line.stylize("reverse", begin + match.start(), begin + match.end())
    return line


def file_lines(entries: Iterable[Shown]) -> Iterator[str]:
    """Yield lines as they are saved: time, replica, level, safe text."""
    for entry in entries:
        at = entry.line.at.isoformat() if entry.line.at else "-"
        yield f"{at} {clean(entry.line.replica, 200)} {entry.level} {entry.text}\n"
