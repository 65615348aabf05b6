"""
All judgement in one place: readings in, snapshot out; pure.

The collector gathers and remembers, this decides.  Nothing here asks the time or
the world, so every rule can be tested with two dataclasses and a moment.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from console.domain.alerting import Figures, ended, evaluate, merge
from console.domain.alerts import CONSOLE, Alert, Silence
from console.domain.health import HEARTBEAT_MAX_AGE_SECONDS, Evidence
from console.domain.metrics import Metrics
from console.domain.observed import Failure, Observations, evidence, find, shown
from console.domain.policy import Policy
from console.domain.queues import Queue
from console.domain.readings import (
    BrokerReading,
    DatabaseReading,
    HealthReading,
    HostReading,
    JournalReading,
    MonitoringReading,
    QueueReading,
    Reading,
    RuntimeReading,
    ScrapeReading,
    Target,
)
from console.domain.rollup import build_service, common, judge_overall
from console.domain.services import Role, Service, Topology
from console.domain.snapshot import AgentState, Overall, Snapshot
from console.domain.windows import Windows

#: The source that asks Prometheus.
MONITORING = "prometheus"


@dataclass(frozen=True, slots=True)
class Identity:
    """What a snapshot says of itself whatever is observed."""

    environment: str
    runtime: str


def absorb(
    windows: Windows, reading: Reading, topology: Topology | None, begun_at: datetime, at: datetime
) -> Windows:
    """
    Return the memory after one good reading.

    Args:
        windows: Memory so far.
        reading: The new reading.
        topology: The latest one known; names the replicas a reading speaks for.
        begun_at: When the read began.
        at: When it ended.
    """
    match reading:
        case ScrapeReading():
            return windows.with_scrape(reading, at)
        case HealthReading():
            return windows.with_health(reading, begun_at)
        case DatabaseReading():
            return windows.with_answer(_ids_of_role(topology, Role.DATABASE), begun_at)
        case BrokerReading():
            windows = windows.with_broker(reading, at)
            windows = windows.with_answer(_ids_of_role(topology, Role.BROKER), begun_at)
            for beat in reading.heartbeats:
                if beat.phase == "running":
                    windows = windows.with_answer(_ids_of_name(topology, beat.replica), beat.at)
            return windows
        case _:
            return windows


def assemble(
    observations: Observations,
    windows: Windows,
    policy: Policy,
    now: datetime,
    *,
    identity: Identity,
    previous_alerts: Sequence[Alert] = (),
    ended_alerts: Sequence[Alert] = (),
    agent: AgentState = AgentState.ABSENT,
) -> Snapshot:
    """
    Compose the snapshot of this moment.

    Args:
        observations: Every source as it was last seen.
        windows: Counters of the last 60 s and who has answered before.
        policy: Thresholds.
        now: The moment, UTC.
        identity: Environment and runtime.
        previous_alerts: Alerts of the snapshot before, for their ``since``.
        ended_alerts: Those that had ended by then.
        agent: Who composes.

    Returns:
        The snapshot; with no reading at all everything in it is unknown.
    """
    runtime = find(observations, RuntimeReading)
    topology = runtime[1].topology if runtime is not None else None
    stats = runtime[1].stats if runtime is not None and runtime[0].is_evidence(now) else {}
    judged_by = Evidence.of(observations, windows, now)
    services: tuple[Service, ...] = ()
    if topology is not None:
        services = tuple(
            build_service(fact, stats, judged_by, stack_running=topology.running)
            for fact in topology.services
        )
    queues = _queues(observations, windows, now)
    metrics = _metrics(observations, windows, now)
    own = evaluate(
        Figures(
            metrics=_measured(metrics, observations, now),
            queues=queues if evidence(observations, BrokerReading, now) else (),
            services=services,
        ),
        policy,
        previous_alerts,
        now,
    )
    monitoring = evidence(observations, MonitoringReading, now)
    alerts = merge(
        own,
        None if monitoring is None else monitoring.alerts,
        previous_alerts,
        expected=_is_monitored(observations),
    )
    journal = shown(observations, JournalReading, now)
    broker = shown(observations, BrokerReading, now)
    maintenance = topology.maintenance if topology is not None else None
    return Snapshot(
        taken_at=now,
        environment=identity.environment,
        runtime=identity.runtime,
        release=common(
            replica.release
            for service in services
            if service.role in {Role.APP, Role.WORKER}
            for replica in service.replicas
        ),
        overall=(
            judge_overall(services, alerts)
            if evidence(observations, RuntimeReading, now)
            else Overall.UNKNOWN
        ),
        endpoints=dict(topology.endpoints) if topology is not None else {},
        agent=agent,
        services=services,
        queues=queues,
        metrics=metrics,
        sources=tuple(
            observed.status(now)
            for name, observed in observations.items()
            # Monitoring may be left out of a stack: then nothing is missing.
            if not (name == MONITORING and observed.failure is Failure.NOT_CONFIGURED)
        ),
        alerts=alerts,
        operation=journal.operation if journal is not None else None,
        incident=journal.incident if journal is not None else None,
        changes=journal.changes if journal is not None else (),
        host=shown(observations, HostReading, now),
        redis_clients=broker.clients if broker is not None else None,
        running=topology.running if topology is not None else False,
        maintenance=maintenance.shown if maintenance is not None else None,
        maintenance_since=maintenance.since if maintenance is not None else None,
        settings=dict(topology.settings) if topology is not None else {},
        ended_alerts=ended(
            [a for a in previous_alerts if a.origin == CONSOLE or monitoring is not None],
            alerts,
            ended_alerts,
            now,
        ),
        silences=_silences(observations, now),
        targets=_targets(observations, now),
        receivers=_receivers(observations, now),
    )


def _is_monitored(observations: Observations) -> bool:
    """Whether there is a Prometheus, answering or not."""
    source = observations.get(MONITORING)
    return (
        source is not None
        and source.reading is not None
        and source.failure is not Failure.NOT_CONFIGURED
    )


def _silences(observations: Observations, now: datetime) -> tuple[Silence, ...]:
    """Return the Alertmanager's, and ours that it does not know; who made ours is in ours."""
    journal = shown(observations, JournalReading, now)
    monitoring = shown(observations, MonitoringReading, now)
    ours = () if journal is None else journal.silences
    theirs = () if monitoring is None else monitoring.silences or ()
    known = {silence.id for silence in ours if silence.id}
    return tuple(
        silence
        for silence in (*ours, *(s for s in theirs if s.id not in known))
        if silence.until > now
    )


def _targets(observations: Observations, now: datetime) -> tuple[Target, ...]:
    monitoring = shown(observations, MonitoringReading, now)
    return () if monitoring is None else monitoring.targets


def _receivers(observations: Observations, now: datetime) -> tuple[str, ...] | None:
    monitoring = shown(observations, MonitoringReading, now)
    return None if monitoring is None else monitoring.receivers


def _queues(observations: Observations, windows: Windows, now: datetime) -> tuple[Queue, ...]:
    broker = shown(observations, BrokerReading, now)
    if broker is None:
        return ()
    fresh = evidence(observations, BrokerReading, now) is not None
    return tuple(_queue(queue, broker if fresh else None, windows, now) for queue in broker.queues)


def _queue(
    queue: QueueReading, broker: BrokerReading | None, windows: Windows, now: datetime
) -> Queue:
    arrived, completed = windows.queue_rates(queue.name, now)
    oldest = queue.oldest_enqueued_at
    return Queue(
        name=queue.name,
        depth=queue.depth,
        in_flight=queue.in_flight,
        oldest_age_seconds=(
            None if oldest is None else round(max(0.0, (now - oldest).total_seconds()), 3)
        ),
        arrived_per_second=arrived,
        completed_per_second=completed,
        workers=None
        if broker is None
        else sum(
            beat.queue == queue.name
            and beat.accepting
            and (now - beat.at).total_seconds() <= HEARTBEAT_MAX_AGE_SECONDS
            for beat in broker.heartbeats
        ),
        busy_average=windows.queue_busy(queue.name, now),
        failed_per_second=windows.queue_failures(queue.name, now),
    )


def _metrics(observations: Observations, windows: Windows, now: datetime) -> Metrics:
    requests = windows.request_figures(now)
    database = shown(observations, DatabaseReading, now)
    broker = shown(observations, BrokerReading, now)
    host = shown(observations, HostReading, now)
    scrape = shown(observations, ScrapeReading, now)
    turned_away = windows.turned_away(now) if scrape is not None else None
    return Metrics(
        request_rate=requests.request_rate,
        error_ratio=requests.error_ratio,
        p50_seconds=requests.p50_seconds,
        p95_seconds=requests.p95_seconds,
        p99_seconds=requests.p99_seconds,
        requests_in_flight=_in_flight(scrape),
        database_connections=database.connections if database else None,
        database_connections_max=database.connections_max if database else None,
        redis_memory_bytes=broker.memory_bytes if broker else None,
        host_cpu_ratio=host.cpu_ratio if host else None,
        host_memory_ratio=host.memory_ratio if host else None,
        host_disk_ratio=host.disk_ratio if host else None,
        keys_refused=turned_away.keys_refused if turned_away else None,
        rate_limited=turned_away.rate_limited if turned_away else None,
        oversized=turned_away.oversized if turned_away else None,
    )


def _in_flight(scrape: ScrapeReading | None) -> float | None:
    """Sum over replicas; None when one of them does not say."""
    counts = [] if scrape is None else [c.in_flight for c in scrape.counters.values()]
    known = [count for count in counts if count is not None]
    return sum(known) if counts and len(known) == len(counts) else None


def _measured(metrics: Metrics, observations: Observations, now: datetime) -> Metrics:
    """Leave out what is shown but too old to raise an alert by."""
    if evidence(observations, ScrapeReading, now) is None:
        metrics = replace(
            metrics,
            request_rate=None,
            error_ratio=None,
            p50_seconds=None,
            p95_seconds=None,
            p99_seconds=None,
            requests_in_flight=None,
            keys_refused=None,
            rate_limited=None,
            oversized=None,
        )
    if evidence(observations, DatabaseReading, now) is None:
        metrics = replace(metrics, database_connections=None, database_connections_max=None)
    if evidence(observations, HostReading, now) is None:
        metrics = replace(
            metrics, host_cpu_ratio=None, host_memory_ratio=None, host_disk_ratio=None
        )
    return metrics


def _ids_of_role(topology: Topology | None, role: Role) -> tuple[str, ...]:
    if topology is None:
        return ()
    return tuple(r.id for s in topology.services if s.role is role for r in s.replicas)


def _ids_of_name(topology: Topology | None, name: str) -> tuple[str, ...]:
    if topology is None:
        return ()
    return tuple(r.id for s in topology.services for r in s.replicas if r.name == name)
