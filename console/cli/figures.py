"""Figures as words of fixed meaning: ``?`` is unknown, and never 0."""

from __future__ import annotations

import math
from datetime import datetime

UNKNOWN = "?"


def number(value: float | None, unit: str = "", digits: int = 1) -> str:
    """Return a figure with its unit; whole numbers without decimals."""
    if value is None:
        return UNKNOWN
    if math.isinf(value):
        return "never"
    text = f"{value:.{digits}f}".rstrip("0").rstrip(".") if value % 1 else f"{value:.0f}"
    return f"{text} {unit}".rstrip()


def percent(ratio: float | None) -> str:
    """Return a ratio of 0–1 as percent."""
    return UNKNOWN if ratio is None else f"{100 * ratio:.0f} %"


def size(size_bytes: float | None) -> str:
    """Return bytes in the largest binary unit that leaves at least 1."""
    if size_bytes is None:
        return UNKNOWN
    value = float(size_bytes)
    for unit in ("B", "KiB", "MiB"):
        if value < 1024:
            return f"{value:.0f} {unit}"
        value /= 1024
    return f"{value:.1f} GiB"


def duration(seconds: float | None) -> str:
    """Return seconds in at most two units, ``2 h 5 min``."""
    if seconds is None:
        return UNKNOWN
    if math.isinf(seconds):
        return "never"
    if seconds < 1:
        return f"{1000 * seconds:.0f} ms"
    if seconds < 60:
        return f"{seconds:.3g} s"
    if seconds < 3600:
        return f"{seconds // 60:.0f} min {seconds % 60:.0f} s"
    if seconds < 86400:
        return f"{seconds // 3600:.0f} h {seconds % 3600 // 60:.0f} min"
    return f"{seconds // 86400:.0f} d {seconds % 86400 // 3600:.0f} h"


def clock_time(at: datetime) -> str:
    """Return the UTC time of day."""
    return f"{at:%H:%M:%S}Z"


def table(rows: list[list[str]], indent: str = "  ") -> list[str]:
    """Return rows as aligned lines; the first is the heading, the last column runs free."""
    if not rows:
        return []
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        indent
        + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
