"""Request metrics: rates and percentiles from cumulative counters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Metrics:
    """
    Figures of the whole stack; rates and percentiles over 60 s, None is unknown.

    ``requests_in_flight``: being served or waiting in the application at the last scrape.
    ``keys_refused``, ``rate_limited`` and ``oversized``: requests turned away in the last
    5 minutes.  Units are in the names; ratios are 0–1.
    """

    request_rate: float | None = None
    error_ratio: float | None = None
    p50_seconds: float | None = None
    p95_seconds: float | None = None
    p99_seconds: float | None = None
    requests_in_flight: float | None = None
    database_connections: int | None = None
    database_connections_max: int | None = None
    redis_memory_bytes: int | None = None
    host_cpu_ratio: float | None = None
    host_memory_ratio: float | None = None
    host_disk_ratio: float | None = None
    keys_refused: float | None = None
    rate_limited: float | None = None
    oversized: float | None = None


def increase(earlier: float, later: float) -> float:
    """
    Return how much a counter rose, allowing for one restart in between.

    A counter that fell was reset to 0 by a restart; what it shows now is all
    that can be known of the increase (Prometheus' rule).
    """
    return later - earlier if later >= earlier else later


def quantile(q: float, buckets: Sequence[tuple[float, float]]) -> float | None:
    """
    Estimate a quantile from cumulative histogram buckets.

    Linear inside the bucket, as Prometheus' ``histogram_quantile`` does.

    Args:
        q: 0–1.
        buckets: (upper bound in seconds, cumulative count), ascending, last inf.

    Returns:
        Seconds; the highest finite bound when the quantile lies beyond it; None
        when nothing was counted or there are no finite bounds.

    Raises:
        ValueError: If *q* is outside 0–1.
    """
    if not 0 <= q <= 1:
        raise ValueError(f"quantile {q} is outside 0–1")
    finite = [bound for bound, _ in buckets if math.isfinite(bound)]
    if not buckets or not finite or buckets[-1][1] <= 0:
        return None
    rank = q * buckets[-1][1]
    lower_bound, lower_count = 0.0, 0.0
    for bound, count in buckets:
        if count >= rank and count > lower_count:
            if math.isinf(bound):
                return finite[-1]
            return lower_bound + (bound - lower_bound) * (rank - lower_count) / (
                count - lower_count
            )
        lower_bound, lower_count = (bound if math.isfinite(bound) else lower_bound), count
    return finite[-1]
