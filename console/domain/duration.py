"""Spans of time as operators type them."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, tzinfo

_UNITS = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(min|[smhdw])")
_AGO = re.compile(r"-\s*\d")
_CLOCK = re.compile(r"(\d{1,2}):(\d\d)(?::(\d\d))?")
#: More than anything that is kept.
LONGEST = timedelta(days=3650)


def parse_duration(text: str) -> timedelta:
    """
    Return ``90s``, ``15m``, ``1h30m``, ``2d`` as a span.

    Raises:
        ValueError: If it is none, has no unit, is 0, or exceeds ten years.
    """
    compact = text.strip().lower()
    if not compact or _PART.sub("", compact).strip():
        raise ValueError(f"{text!r} is no duration: write 90s, 15m, 1h30m or 2d")
    seconds = sum(float(count) * _UNITS[unit] for count, unit in _PART.findall(compact))
    if not 0 < seconds <= LONGEST.total_seconds():
        raise ValueError(f"{text!r} is no duration that makes sense here")
    return timedelta(seconds=seconds)


def parse_moment(text: str, now: datetime, zone: tzinfo | None = None) -> datetime:
    """
    Return the moment that ``1h`` or ``-1h`` (ago), ``14:30`` or ``2026-03-14 14:30`` means.

    Args:
        text: A clock time means the last time it was so late.
        now: The present, with a zone.
        zone: Of clock times and dates that name none; None for that of *now*.

    Raises:
        ValueError: If it is none of these, or still to come.
    """
    zone = zone or now.tzinfo
    compact = text.strip()
    if _AGO.match(compact):
        return now - parse_duration(compact[1:])
    if (clock := _CLOCK.fullmatch(compact)) is not None:
        here = now.astimezone(zone)
        try:
            at = here.replace(
                hour=int(clock[1]), minute=int(clock[2]), second=int(clock[3] or 0), microsecond=0
            )
        except ValueError:
            raise ValueError(f"{compact!r} is no time of day") from None
        at = at if at <= here else at - timedelta(days=1)
        return at.astimezone(now.tzinfo)
    if "-" in compact:
        try:
            at = datetime.fromisoformat(compact)
        except ValueError:
            raise ValueError(
                f"{text!r} is no moment: write 1h, 14:30 or 2026-03-14 14:30"
            ) from None
        at = at.replace(tzinfo=zone) if at.tzinfo is None else at
        if at > now:
            raise ValueError(f"{compact!r} is still to come")
        return at.astimezone(now.tzinfo)
    return now - parse_duration(compact)
