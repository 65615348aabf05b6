"""Small arithmetic on odour family vectors."""

from __future__ import annotations

import math
from collections.abc import Sequence


def cosine(left: Sequence[float], right: Sequence[float]) -> float:
    """
    Return the cosine of the angle between two vectors of equal length.

    Returns:
        -1 to 1; 0 where one of them has no length.
    """
    length = math.hypot(*left) * math.hypot(*right)
    if length == 0:
        return 0.0
    return math.fsum(a * b for a, b in zip(left, right, strict=True)) / length
