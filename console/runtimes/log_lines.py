"""One line of a log: its time, its level and its words."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import msgspec

from console.domain.logs import TRACEBACK, LogLine, level_of

#: Longer lines are cut: one stray dump must not fill memory or screen.
LONGEST_LINE_BYTES = 64 * 1024
CUT_MARK = " … [cut]"

#: A level in a plain line: PostgreSQL's ``FATAL:``, uvicorn's ``INFO:``, ``[warning  ]``.
#: Only near the beginning: further on it is somebody's prose.
_LEVEL = re.compile(
    r"(?:^|[\s\[<])(TRACE|DEBUG|INFO|LOG|NOTICE|STATEMENT|HINT|DETAIL|WARN|WARNING|ERR|ERROR|"
    r"CRITICAL|FATAL|PANIC)(?:\s*\]|:|>|\s)",
    re.IGNORECASE,
)
_LEVEL_WITHIN = 80

#: ISO 8601 and PostgreSQL's ``2026-01-01 00:00:00.000 UTC``.
_ISO = re.compile(
    r"^\W{0,2}(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d)(?:[.,](\d{1,6})\d*)?\s?(Z|UTC|[+-]\d\d:?\d\d)?"
)
#: Redis: ``1234:M 01 Jan 2026 00:00:00.000 * Ready``.
_REDIS = re.compile(r"^\d+:[A-Z] (\d\d \w{3} \d{4} \d\d:\d\d:\d\d)\.(\d{3}) ([.\-*#]) ")
_REDIS_LEVELS = {".": "debug", "-": "info", "*": "info", "#": "warning"}

#: Everything that could move a terminal's cursor or colour; tabs become blanks.
_CONTROL = dict.fromkeys((*range(32), 127, *range(128, 160))) | {0x09: 0x20}
_ESCAPES = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|.)")


def decode(raw: bytes) -> str:
    """Return a line as text without control characters, cut when it is too long."""
    cut = len(raw) > LONGEST_LINE_BYTES
    text = raw[:LONGEST_LINE_BYTES].decode(errors="replace")
    if "\x1b" in text:
        text = _ESCAPES.sub("", text)
    if not text.isprintable():
        text = text.translate(_CONTROL)
    return text + CUT_MARK if cut else text


def line_of(
    replica: str, service: str, at: datetime | None, level: str, text: str, written: str
) -> LogLine:
    """Return a line; *written* is kept where its words are not as they were written."""
    return LogLine(replica, service, at, level, text, None if text == written else written)


def parse(text: str) -> tuple[datetime | None, str, str]:
    """
    Take a line apart.

    Returns:
        Time (UTC, None where the line carries none), level (``info`` where none
        can be told) and the words.
    """
    if text.startswith("{") and text.endswith("}"):
        try:
            fields = msgspec.json.decode(text)
        except msgspec.MsgspecError:
            fields = None
        if isinstance(fields, dict):
            return _parse_fields(fields)
    if (redis := _REDIS.match(text)) is not None:
        at = _redis_time(redis[1], redis[2])
        return at, _REDIS_LEVELS[redis[3]], text
    if text.startswith(TRACEBACK):
        return None, "error", text
    level = _LEVEL.search(text, 0, _LEVEL_WITHIN)
    return _iso_time(text), level_of(level[1]) if level else "info", text


def _parse_fields(fields: dict[str, Any]) -> tuple[datetime | None, str, str]:
    at = fields.pop("timestamp", None) or fields.pop("time", None)
    level = str(fields.pop("level", None) or fields.pop("levelname", None) or "info")
    words = fields.pop("event", None) or fields.pop("message", None) or fields.pop("msg", None)
    error = fields.pop("exception", None)
    parts = [str(words)] if words is not None else []
    parts += [f"{name}={_short(value)}" for name, value in fields.items()]
    if error:
        parts.append(" ".join(str(error).split()))
    return _time_of(at), level_of(level), " ".join(parts).translate(_CONTROL)


def _short(value: object) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _time_of(value: object) -> datetime | None:
    if isinstance(value, int | float):
        try:
            return datetime.fromtimestamp(value, UTC)
        except (OverflowError, OSError, ValueError):
            return None
    return _iso_time(value) if isinstance(value, str) else None


def _iso_time(text: str) -> datetime | None:
    found = _ISO.match(text)
    if found is None:
        return None
    zone = found[3] or ""
    zone = "+00:00" if zone in {"", "Z", "UTC"} else zone
    try:
        at = datetime.fromisoformat(found[1].replace(" ", "T") + zone)
    except ValueError:
        return None
    return at.replace(microsecond=int((found[2] or "0").ljust(6, "0"))).astimezone(UTC)


def _redis_time(text: str, milliseconds: str) -> datetime | None:
    try:
        # Redis writes local time and does not say which; the host's is ours.
        at = datetime.strptime(text, "%d %b %Y %H:%M:%S").astimezone(UTC)
    except ValueError:
        return None
    return at.replace(microsecond=int(milliseconds) * 1000)
