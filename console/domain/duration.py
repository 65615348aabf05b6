"""Spans of time as operators type them."""

from __future__ import annotations

import re
from datetime import timedelta

_UNITS = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(min|[smhdw])")
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
