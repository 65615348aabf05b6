"""
When something will be full, if it goes on as it did; a straight line and nothing more.

A forecast is given only where a line fits what was measured.  Most figures go up and
down and have none: silence is better than a number somebody plans by.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

#: Share of the variation that the line must explain.
LEAST_FIT = 0.7
#: Share of the range that must be known, and how many values at least.
LEAST_KNOWN_RATIO = 0.5
LEAST_VALUES = 20
#: A line is not drawn further into the future than this many times its own length.
FARTHEST = 30.0


@dataclass(frozen=True, slots=True)
class Trend:
    """
    A straight line through a range.

    Args:
        per_day: How much it rises a day.
        days_left: Until the ceiling is reached.
        fit: Share of the variation the line explains, 0–1 (R²).
    """

    per_day: float
    days_left: float
    fit: float


def trend_of(
    values: Sequence[float | None], step_seconds: float, ceiling: float | None
) -> Trend | None:
    """
    Return when *ceiling* is reached at the pace of *values*.

    Args:
        values: At even steps, oldest first; None is unknown.
        step_seconds: Between two values.
        ceiling: What is full; None: nothing.

    Returns:
        None where there is no honest answer: it does not rise, a line does not fit,
        too little is known, or the answer lies too far outside what was seen.
    """
    known = [(i * step_seconds, v) for i, v in enumerate(values) if v is not None]
    if ceiling is None or len(known) < max(LEAST_VALUES, LEAST_KNOWN_RATIO * len(values)):
        return None
    mean_x = sum(x for x, _ in known) / len(known)
    mean_y = sum(y for _, y in known) / len(known)
    spread = sum((x - mean_x) ** 2 for x, _ in known)
    variation = sum((y - mean_y) ** 2 for _, y in known)
    if spread <= 0 or variation <= 0:
        return None
    slope = sum((x - mean_x) * (y - mean_y) for x, y in known) / spread
    fit = slope * slope * spread / variation
    if slope <= 0 or fit < LEAST_FIT:
        return None
    seconds = (ceiling - (mean_y + slope * (known[-1][0] - mean_x))) / slope
    seen = known[-1][0] - known[0][0]
    if not math.isfinite(seconds) or seconds > FARTHEST * seen:
        return None
    return Trend(slope * 86400, max(0.0, seconds) / 86400, min(1.0, fit))
