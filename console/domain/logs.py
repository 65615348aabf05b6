"""
Log lines: how bad one is, which belong together, which are wanted.

One filter for the screen and for ``fragrance logs``, so that both show the same.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from console.domain.text import plain_text

#: Least severe first; what has no known level counts as ``info``.
LEVELS = ("debug", "info", "warning", "error", "critical")
_OTHER_WORDS = {
    "trace": "debug",
    "log": "info",
    "notice": "info",
    "statement": "info",
    "hint": "info",
    "detail": "info",
    "warn": "warning",
    "err": "error",
    "exception": "error",
    "fatal": "critical",
    "panic": "critical",
}
_LEVEL_OF = {**{level: level for level in LEVELS}, **_OTHER_WORDS}
_SEVERITY = {word: LEVELS.index(level) for word, level in _LEVEL_OF.items()}
_INFO, _ERROR = LEVELS.index("info"), LEVELS.index("error")

#: A pattern is looked for this far into a line: one stray dump must not stop the rest.
SEARCHED_CHARACTERS = 4_000
#: Lines of one record that are held back until one of them is wanted.
_RECORD_LINES = 500

TRACEBACK = "Traceback (most recent call last)"
#: What goes on after the last line of a traceback.
_GOES_ON = ("During handling of", "The above exception", "Caused by:")
#: ``ValueError: no``, ``package.SomeError``: the last line of a traceback, which is not indented.
_EXCEPTION = re.compile(r"(?:\w+\.)*[A-Z]\w*[a-z]\w*(?::\s|:?$)")
#: What in a pattern is no letter to be found: ``\S``, ``(?P<Name>…)``.
_NOT_LETTERS = re.compile(r"\\.|\(\?P?<\w+>")


@dataclass(frozen=True, slots=True)
class LogLine:
    """
    One line of one replica.

    Args:
        replica: Who said it.
        service: Of which service.
        at: When, UTC; None where the line carries no time.
        level: In its own word, see :func:`level_of`.
        text: Its words, readable: ``message key=value`` of a JSON line.
        raw: As it was written, None where that is *text*.
    """

    replica: str
    service: str
    at: datetime | None
    level: str
    text: str
    raw: str | None = None


@dataclass(frozen=True, slots=True)
class LogRequest:
    """
    What to read from the logs.

    Args:
        services: Service or replica names; empty for all.
        tail: Lines per replica to begin with.
        since: Leave out what is older, None for no bound.
        follow: Keep yielding as lines come.
        until: Leave out what is younger, None for no bound; then nothing is followed.
    """

    services: tuple[str, ...] = ()
    tail: int = 100
    since: datetime | None = None
    follow: bool = False
    until: datetime | None = None


def level_of(word: str) -> str:
    """Return a level as one of :data:`LEVELS`; unknown counts as info."""
    return _LEVEL_OF.get(word) or _LEVEL_OF.get(word.lower(), "info")


def known_level(word: str) -> str | None:
    """Return a level as one of :data:`LEVELS`, None for an unknown word."""
    return _LEVEL_OF.get(word.lower())


def severity(word: str) -> int:
    """Return the index of a level in :data:`LEVELS`; unknown counts as info."""
    found = _SEVERITY.get(word)
    return found if found is not None else _SEVERITY.get(word.lower(), _INFO)


def parse_pattern(text: str) -> re.Pattern[str]:
    """
    Return a regular expression; capitals matter only if it has one.

    Raises:
        re.error: If it is none.
    """
    written = _NOT_LETTERS.sub("", text)
    return re.compile(text, re.IGNORECASE if written == written.lower() else 0)


def saved_line(line: LogLine) -> str:
    """Return a line as written to a file or a pipe: time, replica, level, text."""
    at = f"{line.at:%Y-%m-%dT%H:%M:%S}.{line.at.microsecond // 1000:03}Z" if line.at else "-"
    return f"{at} {plain_text(line.replica, 200)} {line.level or '-'} {line.text}"


@dataclass(slots=True)
class Entry:
    """
    One line on its way through a :class:`Sieve`.

    Args:
        seq: Rises by one with every line.
        line: The line.
        level: One of :data:`LEVELS`; that of its record where that is worse.
        continues: Whether it goes on with the line before of the same replica.
        hit: Whether it was wanted for itself, and not as context of another.
        shown: Whether the sieve let it through.
    """

    seq: int
    line: LogLine
    level: str
    continues: bool
    hit: bool = True
    shown: bool = False


@dataclass(slots=True)
class _Open:
    """The record a replica is at."""

    level: int
    traceback: bool = False
    ended: bool = False


class Records:
    """Tells which lines belong together, by replica: those of a traceback, indented ones."""

    def __init__(self) -> None:
        self._open: dict[str, _Open] = {}
        self._seq = 0

    def entry(self, line: LogLine) -> Entry:
        """Return *line* with its place; lines of one replica must come in their order."""
        self._seq += 1
        text = line.text
        known = self._open.get(line.replica)
        level = severity(line.level)
        if known is not None and (text[:1] in (" ", "\t") or self._goes_on(known, text)):
            return Entry(self._seq, line, LEVELS[max(level, known.level)], True)
        if text.startswith(TRACEBACK):
            level = max(level, _ERROR)
            self._open[line.replica] = _Open(level, traceback=True)
        elif known is None:
            self._open[line.replica] = _Open(level)
        else:
            known.level, known.traceback, known.ended = level, False, False
        return Entry(self._seq, line, LEVELS[level], False)

    @staticmethod
    def _goes_on(known: _Open, text: str) -> bool:
        if text.startswith(TRACEBACK):
            # Under the error that was logged with it, or the one it was raised in.
            goes_on = known.traceback or known.level >= _ERROR
            known.traceback, known.ended = known.traceback or goes_on, False
            return goes_on
        if not known.traceback:
            return False
        if not text or text.startswith(_GOES_ON):
            return True
        if not known.ended and _EXCEPTION.match(text):
            known.ended = True
            return True
        return False


@dataclass(frozen=True, slots=True)
class LogFilter:
    """
    Which lines are wanted.

    Args:
        services: Services or replicas; empty for all.
        level: Lowest level wanted.
        pattern: To be found in the text, None for any.
        context: Lines around a wanted one that are shown with it.
    """

    services: frozenset[str] = frozenset()
    level: str = LEVELS[0]
    pattern: re.Pattern[str] | None = None
    context: int = 0

    @property
    def filters(self) -> bool:
        """Whether it can leave out a line of the services."""
        return self.level != LEVELS[0] or self.pattern is not None

    def concerns(self, line: LogLine) -> bool:
        """Whether *line* is of the wanted services."""
        wanted = self.services
        return not wanted or line.service in wanted or line.replica in wanted

    def hits(self, entry: Entry) -> bool:
        """Whether *entry* is wanted for itself."""
        if _SEVERITY[entry.level] < _SEVERITY[self.level]:
            return False
        if self.pattern is None:
            return True
        return self.pattern.search(entry.line.text, 0, SEARCHED_CHARACTERS) is not None

    def words(self) -> str:
        """Return the filter as the operator reads it."""
        parts = [", ".join(sorted(self.services)) or "all services"]
        if self.level != LEVELS[0]:
            parts.append(f"{self.level} and above" if self.level != LEVELS[-1] else self.level)
        if self.pattern is not None:
            parts.append(f"/{self.pattern.pattern}/")
        if self.context and self.filters:
            parts.append(f"±{self.context} lines")
        return " · ".join(parts)


@dataclass(slots=True)
class _Record:
    wanted: bool = False
    waiting: list[Entry] = field(default_factory=list)


class Sieve:
    """
    Lets through what a filter wants, with its context and the whole record it is part of.

    Args:
        wanted: The filter.
    """

    def __init__(self, wanted: LogFilter) -> None:
        self._wanted = wanted
        self._records: dict[str, _Record] = {}
        self._before: deque[Entry] = deque(maxlen=wanted.context)
        self._after = 0

    def sift(self, entry: Entry) -> Sequence[Entry]:
        """Return what is to be shown now: nothing, *entry*, or with it what was held back."""
        wanted, line = self._wanted, entry.line
        entry.shown = False
        if wanted.services and not wanted.concerns(line):
            return ()
        if not wanted.filters:
            entry.hit = entry.shown = True
            return (entry,)
        record = self._records.get(line.replica)
        if record is None or not entry.continues:
            record = self._records[line.replica] = _Record()
        entry.hit = (entry.continues and record.wanted) or wanted.hits(entry)
        if not entry.hit:
            return self._held(entry, record)
        if record.wanted:
            self._after = max(self._after, wanted.context)
            entry.shown = True
            return (entry,)
        for held in record.waiting:
            held.hit = True
        waited = {e.seq: e for e in (*self._before, *record.waiting) if not e.shown}
        found = [*(waited[seq] for seq in sorted(waited)), entry]
        for shown in found:
            shown.shown = True
        record.wanted = True
        record.waiting.clear()
        self._before.clear()
        self._after = wanted.context
        return found

    def _held(self, entry: Entry, record: _Record) -> Sequence[Entry]:
        if self._after:
            self._after -= 1
            entry.shown = True
        else:
            self._before.append(entry)
        if len(record.waiting) < _RECORD_LINES:
            record.waiting.append(entry)
        return (entry,) if entry.shown else ()
