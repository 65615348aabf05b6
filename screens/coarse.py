"""
Coarser figures for a line on which every byte counts.

What is far from mattering moves in larger steps, so that it is drawn seldom; what may
be near an alarm stays as exact as it was.  Only for drawing: decisions and plans are
made by the engine from pictures of its own.
"""

from __future__ import annotations

import math
from dataclasses import replace

from console.domain.queues import Queue
from console.domain.services import Replica, Service
from console.domain.snapshot import Snapshot

#: Ratios below this are far from every alarm there is.
_CALM_RATIO = 0.5
_STEPS = 10
#: So are response times below this.
_CALM_SECONDS = 0.25


def coarse(snapshot: Snapshot) -> Snapshot:
    """Return *snapshot* with figures that change seldom."""
    metrics = snapshot.metrics
    return replace(
        snapshot,
        services=tuple(_service(service) for service in snapshot.services),
        queues=tuple(_queue(queue) for queue in snapshot.queues),
        metrics=replace(
            metrics,
            request_rate=two_digits(metrics.request_rate),
            p50_seconds=coarse_latency(metrics.p50_seconds),
            p95_seconds=coarse_latency(metrics.p95_seconds),
            p99_seconds=coarse_latency(metrics.p99_seconds),
            host_cpu_ratio=coarse_ratio(metrics.host_cpu_ratio),
            host_memory_ratio=coarse_ratio(metrics.host_memory_ratio),
        ),
    )


def two_digits(value: float | None) -> float | None:
    """Return *value* with two significant digits; unknown stays unknown."""
    return _rounded(value, 2)


def _rounded(value: float | None, digits: int) -> float | None:
    if value is None or value == 0 or not math.isfinite(value):
        return value
    return round(value, digits - 1 - math.floor(math.log10(abs(value))))


def coarse_latency(seconds: float | None) -> float | None:
    """Return a response time with one significant digit while it is short, else as it is."""
    return seconds if seconds is None or seconds >= _CALM_SECONDS else _rounded(seconds, 1)


def coarse_ratio(ratio: float | None) -> float | None:
    """Return *ratio* in steps of a tenth while it is low, else as it is."""
    if ratio is None or not 0 <= ratio < _CALM_RATIO:
        return ratio
    return round(ratio * _STEPS) / _STEPS


def coarse_memory(used: int | None, limit: float | None) -> int | None:
    """Return *used* bytes with two significant digits while far below *limit*, else as they are."""
    if used is None or (limit and used >= limit * _CALM_RATIO):
        return used
    rounded = two_digits(used)
    return None if rounded is None else int(rounded)


def _service(service: Service) -> Service:
    limit = service.memory_limit_bytes
    share = limit / len(service.replicas) if limit and service.replicas else None
    return replace(
        service,
        cpu_cores=two_digits(service.cpu_cores),
        cpu_ratio=coarse_ratio(service.cpu_ratio),
        memory_bytes=coarse_memory(service.memory_bytes, limit),
        replicas=tuple(_replica(found, share) for found in service.replicas),
    )


def _replica(found: Replica, limit: float | None) -> Replica:
    return replace(
        found,
        cpu_ratio=coarse_ratio(found.cpu_ratio),
        memory_bytes=coarse_memory(found.memory_bytes, limit),
    )


def _queue(queue: Queue) -> Queue:
    return replace(
        queue,
        arrived_per_second=two_digits(queue.arrived_per_second),
        completed_per_second=two_digits(queue.completed_per_second),
    )
