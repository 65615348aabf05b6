"""
The snapshot: one immutable picture of the stack.

Its fields are the JSON contract of ``status --json`` (schema version 1): keys
stay, new ones may be added, unknown is None and never 0.  Everything the console
decides or draws comes from one of these.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from console.domain.alerts import Alert, Silence
from console.domain.decisions import Decision
from console.domain.incidents import IncidentSummary
from console.domain.metrics import Metrics
from console.domain.operations import Change, OperationSummary
from console.domain.queues import Queue
from console.domain.readings import HostReading, SourceState, SourceStatus, Target
from console.domain.services import Replica, Service

SCHEMA_VERSION = 1


class Overall(StrEnum):
    """The whole stack in one word."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"
    UNKNOWN = "unknown"


class AgentState(StrEnum):
    """Whether the resident agent made this picture."""

    RUNNING = "running"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """
    One picture of the stack, complete in itself.

    Args:
        taken_at: When it was composed, UTC.
        environment: ``APP_ENV`` of the stack.
        runtime: ``embedded``, ``compose`` or ``swarm``.
        release: Version in use, None where replicas differ or it is unknown.
        sources: Freshness of each source, so that a gap explains itself.
        changes: The last changes made by anybody, newest first.
        host: The host's reading, None where unknown.
        redis_clients: Clients connected to the broker.
        maintenance: Whether users are shown the maintenance page; None where there is
            none, or a proxy does not say.
        maintenance_since: Since when they are, None while they are not.
        settings: Values that were set, by name; no secret is among them.
        ended_alerts: Alerts of the last hour that are over, the last one first.
        silences: Alerts of which nobody wants to be told for a while.
        targets: What Prometheus scrapes; empty where there is none.
        receivers: Kinds of whom the Alertmanager tells of alerts; None where none answers.
        autoscale: The autoscaler's last decision about each service it is on for, hold
            included; empty without an agent.
    """

    taken_at: datetime
    environment: str
    runtime: str
    release: str | None
    overall: Overall
    endpoints: dict[str, str]
    agent: AgentState
    services: tuple[Service, ...]
    queues: tuple[Queue, ...]
    metrics: Metrics
    sources: tuple[SourceStatus, ...]
    alerts: tuple[Alert, ...] = ()
    operation: OperationSummary | None = None
    incident: IncidentSummary | None = None
    changes: tuple[Change, ...] = ()
    host: HostReading | None = None
    redis_clients: int | None = None
    running: bool = True
    maintenance: bool | None = None
    maintenance_since: datetime | None = None
    settings: dict[str, str] = field(default_factory=dict)
    autoscale: tuple[Decision, ...] = ()
    ended_alerts: tuple[Alert, ...] = ()
    silences: tuple[Silence, ...] = ()
    targets: tuple[Target, ...] = ()
    receivers: tuple[str, ...] | None = None
    schema_version: int = field(default=SCHEMA_VERSION)

    def service(self, name: str) -> Service | None:
        """Return the service called *name*, or None."""
        return next((s for s in self.services if s.name == name), None)

    @property
    def unseen(self) -> str | None:
        """Why it cannot be told what runs; None where it can: unseen is not stopped."""
        runtime = next((s for s in self.sources if s.name == "runtime"), None)
        if self.services or runtime is None or not runtime.troubled:
            return None
        return runtime.error or "no news"

    def replica(self, name: str) -> Replica | None:
        """Return the replica called *name* of any service, or None."""
        return next((r for s in self.services for r in s.replicas if r.name == name), None)

    def source_is_fresh(self, name: str) -> bool:
        """Whether the source called *name* answered just now; absent ones did not."""
        return any(s.name == name and s.state is SourceState.FRESH for s in self.sources)
