"""A figure over time in one line of text: one sign a span, nothing where it is unknown."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

LEVELS = "▁▂▃▄▅▆▇█"
#: Where nothing is known; never the sign of 0.
GAP = " "


def spark(values: Sequence[float | None], cells: int, top: float | None = None) -> str:
    """
    Return *values* in *cells* signs, from 0 to the largest.

    Args:
        values: Oldest first; None is unknown.
        cells: Width; where there are more values each sign is the largest of its span,
            so that no peak is lost.
        top: What the highest sign stands for; None: the largest value.
    """
    if cells <= 0:
        return ""
    peaks = [_peak(span) for span in _spans(values, cells)]
    known = [peak for peak in peaks if peak is not None]
    highest = max(known, default=0.0) if top is None else top
    return "".join(GAP if peak is None else _level(peak, highest) for peak in peaks)


def _spans(values: Sequence[float | None], cells: int) -> list[Sequence[float | None]]:
    """Return *cells* spans; fewer values stand at the right end, where the present is."""
    if len(values) <= cells:
        return [
            (),
        ] * (cells - len(values)) + [(value,) for value in values]
    edges = [place * len(values) // cells for place in range(cells + 1)]
    return [values[begin:end] for begin, end in pairwise(edges)]


def _peak(span: Sequence[float | None]) -> float | None:
    return max((value for value in span if value is not None), default=None)


def _level(value: float, highest: float) -> str:
    if highest <= 0 or value <= 0:
        return LEVELS[0]
    return LEVELS[min(len(LEVELS) - 1, int(value / highest * len(LEVELS)))]
