"""
The figures of a snapshot that are worth keeping over time, by name.

Names are stable: ``request_rate`` and the other fields of
:class:`console.domain.metrics.Metrics`, ``queue.<name>.<field>``,
``service.<name>.<field>``, and ``service.<name>.request_rate`` and
``replica.<name>.request_rate`` of what counts its requests.
"""

from __future__ import annotations

from dataclasses import fields

from console.domain.metrics import Metrics
from console.domain.snapshot import Snapshot

METRIC_NAMES = tuple(f.name for f in fields(Metrics))
QUEUE_FIELDS = (
    "depth",
    "in_flight",
    "oldest_age_seconds",
    "arrived_per_second",
    "completed_per_second",
    "failed_per_second",
    "seconds_per_task",
    "workers",
)
SERVICE_FIELDS = ("ready", "desired", "cpu_cores", "cpu_ratio", "memory_bytes", "restarts")


def figures_of(snapshot: Snapshot) -> dict[str, float | None]:
    """Return every figure by its name; None is unknown."""
    found: dict[str, float | None] = {
        name: getattr(snapshot.metrics, name) for name in METRIC_NAMES
    }
    for queue in snapshot.queues:
        for field in QUEUE_FIELDS:
            found[f"queue.{queue.name}.{field}"] = getattr(queue, field)
    for service in snapshot.services:
        for field in SERVICE_FIELDS:
            found[f"service.{service.name}.{field}"] = getattr(service, field)
        rates = {r.name: r.request_rate for r in service.replicas if r.request_rate is not None}
        if rates:
            found[request_figure(service.name)] = sum(rates.values())
            found |= {replica_request_figure(name): rate for name, rate in rates.items()}
    return found


def request_figure(service: str) -> str:
    """Return the name of the requests a second of a service."""
    return f"service.{service}.request_rate"


def replica_request_figure(replica: str) -> str:
    """Return the name of the requests a second of one replica."""
    return f"replica.{replica}.request_rate"
