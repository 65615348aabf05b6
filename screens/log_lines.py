"""Log lines, pure: which are kept, how one is drawn, how they are saved."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo

from rich.text import Text

from console.domain.logs import Entry, LogFilter, LogLine, Records, Sieve, saved_line
from screens.log_ring import WAITING_CHARACTERS, WAITING_LINES, characters
from screens.look import Look
from screens.rendering import clean, put, styled

#: Lines kept for scrolling and saving, as many as may wait while paused; older ones are
#: counted and dropped.
KEPT_LINES = WAITING_LINES
KEPT_CHARACTERS = WAITING_CHARACTERS
#: The time at the beginning of a plain line, as PostgreSQL and as Redis write it.
_STAMP = re.compile(
    r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?\s?(?:Z|UTC|[+-]\d\d:?\d\d)?\s+"
    r"|^\d+:[A-Z] \d\d \w{3} \d{4} \d\d:\d\d:\d\d\.\d{3} [.\-*#] "
)
#: Drawn lines that are remembered: a few screens full.
REMEMBERED_LINES = 500
#: Characters drawn of one line.
LINE_CHARACTERS = 4_000


def text_of(entry: Entry, *, raw: bool = False) -> str:
    """Return the words of *entry*, safe to draw; as they were written if *raw*."""
    line = entry.line
    text = clean((raw and line.raw) or line.text, LINE_CHARACTERS)
    # Its time has a column of its own.
    return text if raw or line.at is None else _STAMP.sub("", text, count=1)


class LogBook:
    """
    The lines kept, and those of them that the filter shows.

    Args:
        capacity: Lines kept.
        most_characters: Characters kept in them.
    """

    def __init__(self, capacity: int = KEPT_LINES, most_characters: int = KEPT_CHARACTERS) -> None:
        self.filter = LogFilter()
        self.forgotten = 0
        self.missed = 0
        self.visible: deque[Entry] = deque()
        self._capacity = capacity
        self._most_characters = most_characters
        self._characters = 0
        self._kept: deque[Entry] = deque()
        self._records = Records()
        self._sieve = Sieve(self.filter)

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def oldest(self) -> datetime | None:
        """When the oldest kept line was said, as far as one tells."""
        return next((e.line.at for e in self._kept if e.line.at is not None), None)

    @property
    def newest(self) -> datetime | None:
        """When the newest kept line was said, as far as one tells."""
        return next((e.line.at for e in reversed(self._kept) if e.line.at is not None), None)

    def add(self, lines: Iterable[LogLine], missed: int) -> tuple[int, int]:
        """
        Keep *lines*.

        Args:
            lines: In the order they came.
            missed: Lines dropped on the way here because they came too fast.

        Returns:
            How many lines were added to what is shown, and how many fell out at its top.
        """
        self.missed += missed
        before, fallen = len(self.visible), 0
        for line in lines:
            entry = self._records.entry(line)
            self._kept.append(entry)
            self._characters += characters(line)
            self.visible.extend(self._sieve.sift(entry))
        while len(self._kept) > self._capacity or self._characters > self._most_characters:
            gone = self._kept.popleft()
            self._characters -= characters(gone.line)
            self.forgotten += 1
        first = self._kept[0].seq if self._kept else 0
        added = len(self.visible) - before
        while self.visible and self.visible[0].seq < first:
            self.visible.popleft()
            fallen += 1
        return added, fallen

    def refilter(self, **changes: object) -> None:
        """Change the filter and look through everything kept again."""
        self.filter = replace(self.filter, **changes)  # type: ignore[arg-type]  # its own fields
        self._sieve = Sieve(self.filter)
        self.visible.clear()
        for entry in self._kept:
            self.visible.extend(self._sieve.sift(entry))

    def clear(self) -> None:
        """Forget every line, as when following begins anew."""
        self._kept.clear()
        self.visible.clear()
        self._records = Records()
        self._sieve = Sieve(self.filter)
        self._characters = self.forgotten = self.missed = 0

    def place_of(self, moment: datetime) -> int | None:
        """Return the index of the first shown line said then or later, None if there is none."""
        for index, entry in enumerate(self.visible):
            if entry.line.at is not None and entry.line.at >= moment:
                return index
        return None

    def notice(self) -> str:
        """Say what was dropped, "" when nothing was."""
        parts = []
        if self.missed:
            parts.append(f"{self.missed:,} lines missed: they came too fast")
        if self.forgotten:
            parts.append(f"{self.forgotten:,} older lines dropped")
        return "; ".join(parts)


@dataclass(frozen=True, slots=True)
class LineStyle:
    """
    How lines are drawn.

    Args:
        wide: Whether there is room for milliseconds and whole replica names.
        zone: Of the times; None for the local one.
        raw: As written, instead of ``message key=value``.
        find: Text to mark, "" for none; case does not matter.
        marked: Whether wanted lines are told from their context.
    """

    wide: bool = False
    zone: tzinfo | None = None
    raw: bool = False
    find: str = ""
    marked: bool = False


_LEVEL_WORDS = {"warning": "warn", "critical": "CRIT", "error": "ERROR"}


def log_line(entry: Entry, look: Look, drawn: LineStyle) -> tuple[Text, int]:
    """
    Return one line as drawn, and the cells of its columns before the words.

    Args:
        entry: The line.
        look: Styles.
        drawn: How.
    """
    at, level = entry.line.at, entry.level
    style = {
        "debug": look.dim,
        "warning": look.warn,
        "error": look.bad,
        "critical": look.bad,
    }.get(level, look.text)
    words = look.dim if level == "debug" else look.text
    name = look.accent
    if drawn.marked and not entry.hit:
        style = words = name = look.dim
    line = styled(_time(at, drawn), look.dim)
    if drawn.marked:
        line.append("› " if entry.hit else "  ", look.accent)
    put(line, clean(entry.line.replica, 60), 16 if drawn.wide else 13, name).append(" ")
    if entry.continues:
        line.append("      ")
    else:
        put(line, _LEVEL_WORDS.get(level, level), 6, style)
    begin, cells = len(line), line.cell_len
    text = text_of(entry, raw=drawn.raw)
    line.append(text, words)
    if drawn.find:
        for match in re.finditer(re.escape(drawn.find), text, re.IGNORECASE):
            line.stylize("reverse", begin + match.start(), begin + match.end())
    return line, cells


class DrawnLines:
    """Lines of one :class:`LogBook` as drawn, made once: the same are in sight again and again."""

    def __init__(self) -> None:
        self._lines: dict[tuple[int, bool], tuple[Text, int]] = {}
        self._how: tuple[Look, LineStyle] | None = None

    def line(self, entry: Entry, look: Look, drawn: LineStyle) -> tuple[Text, int]:
        """Return what :func:`log_line` does; the text is not to be changed."""
        if self._how != (look, drawn) or len(self._lines) >= REMEMBERED_LINES:
            self._lines.clear()
            self._how = look, drawn
        key = entry.seq, entry.hit
        if key not in self._lines:
            self._lines[key] = log_line(entry, look, drawn)
        return self._lines[key]


def _time(at: datetime | None, drawn: LineStyle) -> str:
    if at is None:
        return " " * (13 if drawn.wide else 9)
    here = at.astimezone(drawn.zone)
    thousandths = f".{here.microsecond // 1000:03}" if drawn.wide else ""
    return f"{here:%H:%M:%S}{thousandths} "


def file_lines(entries: Iterable[Entry]) -> Iterator[str]:
    """Yield lines as they are saved: time, replica, level, safe text."""
    for entry in entries:
        line = replace(entry.line, level=entry.level, text=clean(entry.line.text, 100_000))
        yield saved_line(line) + "\n"
