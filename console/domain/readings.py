"""
What one source saw at one moment.

A source returns one of these or raises; it never returns half a truth.  Fields
that the far side does not offer are None, never 0.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from console.domain.alerts import Alert, Silence
from console.domain.incidents import IncidentSummary
from console.domain.operations import Change, OperationSummary
from console.domain.services import ReplicaStats, TaskInHand, Topology


@dataclass(frozen=True, slots=True)
class RuntimeReading:
    """The topology with the statistics of its replicas, by replica id."""

    topology: Topology
    stats: dict[str, ReplicaStats] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """
    Answer of one replica to a health probe.

    Args:
        ok: True only for an answer that says ready.
        reason: Words for the operator when not ok, e.g. ``connection refused``.
        output: The probe's own last output, bounded, control characters removed.
        seconds: Time taken.
    """

    ok: bool
    reason: str
    output: str
    seconds: float


@dataclass(frozen=True, slots=True)
class HealthReading:
    """Probe results by replica id; replicas without a probe are absent."""

    probes: dict[str, ProbeResult]


@dataclass(frozen=True, slots=True)
class Misuse:
    """Requests that were turned away: wrong keys, over their rate, too large."""

    keys_refused: float = 0.0
    rate_limited: float = 0.0
    oversized: float = 0.0


@dataclass(frozen=True, slots=True)
class RequestCounters:
    """
    Counters of one replica since its start, from its ``/metrics``.

    Args:
        requests: ``http_requests_total`` over all labels, probes excluded.
        errors: The part of it with status 5xx.
        buckets: Cumulative histogram: upper bound in seconds (inf last) → count.
        in_flight: Requests being served now.
        misuse: What was turned away; None where the application does not count it.
    """

    requests: float
    errors: float
    buckets: tuple[tuple[float, float], ...]
    in_flight: float | None = None
    misuse: Misuse | None = None


@dataclass(frozen=True, slots=True)
class ScrapeReading:
    """Request counters by replica id."""

    counters: dict[str, RequestCounters]


@dataclass(frozen=True, slots=True)
class WorkerHeartbeat:
    """
    Last sign of life of one worker, written by the worker into the broker.

    Args:
        replica: Replica name, ``worker-llm-1``.
        queue: Queue it consumes.
        at: When it was written, UTC.
        active: Tasks it is running.
        reserved: Tasks it holds but has not started.
        processed: Tasks finished since its start.
        accepting: False once it was told to drain.
        phase: ``starting`` (model is loading), ``running`` or ``stopping``.
        slots: Tasks it can run at the same time, None where it does not say.
        tasks: Those it is running, as far as it tells.
        newest_checkpoint_at: When the last checkpoint it knows of was written.
    """

    replica: str
    queue: str
    at: datetime
    active: int
    reserved: int
    processed: int
    accepting: bool
    phase: str = "running"
    slots: int | None = None
    tasks: tuple[TaskInHand, ...] = ()
    newest_checkpoint_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class QueueReading:
    """One queue; totals count since the broker's data began, None if not kept."""

    name: str
    depth: int
    in_flight: int | None
    oldest_enqueued_at: datetime | None
    arrived_total: int | None
    completed_total: int | None
    failed_total: int | None = None


@dataclass(frozen=True, slots=True)
class BrokerReading:
    """The broker: queues, workers that registered, its memory and clients."""

    queues: tuple[QueueReading, ...]
    heartbeats: tuple[WorkerHeartbeat, ...]
    memory_bytes: int | None
    clients: int | None


@dataclass(frozen=True, slots=True)
class DatabaseReading:
    """The database: connections in use and allowed, migration revision."""

    connections: int
    connections_max: int
    revision: str | None = None


@dataclass(frozen=True, slots=True)
class Gpu:
    """A graphics processor: its use 0–1, its memory; None is unknown."""

    name: str
    used_ratio: float | None
    memory_used_bytes: int | None
    memory_bytes: int | None


@dataclass(frozen=True, slots=True)
class HostReading:
    """The host: used shares 0–1, and what is left in bytes; its GPUs, where there are any."""

    cpu_ratio: float | None
    memory_ratio: float
    disk_ratio: float
    cores: int
    memory_available_bytes: int
    disk_free_bytes: int
    gpus: tuple[Gpu, ...] = ()


@dataclass(frozen=True, slots=True)
class JournalReading:
    """What the journal says is going on: operation, incident, last changes."""

    operation: OperationSummary | None
    incident: IncidentSummary | None
    changes: tuple[Change, ...] = ()
    silences: tuple[Silence, ...] = ()


@dataclass(frozen=True, slots=True)
class Target:
    """
    One address that Prometheus scrapes.

    Args:
        job: Its job, named like the service.
        instance: Address with port.
        up: Whether the last scrape was good; None before the first.
        scraped_at: When it was last scraped, None before the first.
        error: Why the last scrape failed, "" when it was good.
    """

    job: str
    instance: str
    up: bool | None
    scraped_at: datetime | None
    error: str = ""


@dataclass(frozen=True, slots=True)
class MonitoringReading:
    """
    What Prometheus judges and whom it scrapes.

    ``silences`` are those of the Alertmanager, ``receivers`` the kinds of whom it tells;
    None while none answers.
    """

    alerts: tuple[Alert, ...]
    targets: tuple[Target, ...]
    silences: tuple[Silence, ...] | None = None
    receivers: tuple[str, ...] | None = None


Reading = (
    RuntimeReading
    | HealthReading
    | ScrapeReading
    | BrokerReading
    | DatabaseReading
    | HostReading
    | JournalReading
    | MonitoringReading
)


class SourceState(StrEnum):
    """Freshness of a source."""

    FRESH = "fresh"
    STALE = "stale"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """
    One source in a snapshot.

    ``age_seconds`` is since the last good reading, None if there never was one.
    ``error`` is the present failure in words, None when the last try was good.
    ``configured`` is False where the project gives nothing to ask: no trouble, for
    projects that know nothing of the console.
    """

    name: str
    state: SourceState
    age_seconds: float | None
    error: str | None
    configured: bool = True

    @property
    def troubled(self) -> bool:
        """Whether an operator must be told: something that should answer does not."""
        return self.configured and self.state is not SourceState.FRESH
