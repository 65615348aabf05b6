"""Pictures of a stack as the screens may meet it, all taken at :data:`NOW`."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from console.domain.alerts import PROMETHEUS, Alert, AlertSeverity, AlertState, Silence
from console.domain.incidents import IncidentSummary, Severity
from console.domain.metrics import Metrics
from console.domain.operations import Change, OperationState, OperationSummary
from console.domain.queues import Queue
from console.domain.readings import HostReading, SourceState, SourceStatus
from console.domain.services import Drift, Health, Replica, ReplicaState, Role, Service, TaskInHand
from console.domain.snapshot import AgentState, Overall, Snapshot

#: The moment at which all scripted pictures were taken.
NOW = datetime(2026, 3, 14, 3, 12, 30, tzinfo=UTC)
OPERATION_ID = "op-0007"

_GIB = 1024**3


def replica(
    name: str,
    *,
    health: Health = Health.HEALTHY,
    state: ReplicaState = ReplicaState.RUNNING,
    reason: str = "",
    restarts: int = 0,
    minutes_up: float = 190,
    cpu: float | None = 0.12,
    memory_bytes: int | None = 320 * 1024**2,
    active: int | None = None,
    accepting: bool | None = None,
    slots: int | None = None,
    running: tuple[TaskInHand, ...] = (),
) -> Replica:
    return Replica(
        id=name,
        name=name,
        state=state,
        health=health,
        reason=reason,
        release="1.4.2",
        started_at=None if state is ReplicaState.BACKOFF else NOW - timedelta(minutes=minutes_up),
        cpu_ratio=cpu,
        memory_bytes=memory_bytes,
        restarts=restarts,
        health_output="",
        active_tasks=active,
        accepting=accepting,
        task_slots=slots,
        heartbeat_at=None if active is None else NOW - timedelta(seconds=1),
        tasks=running,
    )


def composing(number: int, seconds: float) -> TaskInHand:
    name = "workers.llm.tasks.compose_brief"
    return TaskInHand(f"job-{number:04}", name, NOW - timedelta(seconds=seconds))


def service(
    name: str,
    role: Role,
    *replicas: Replica,
    desired: int | None = None,
    limit_bytes: int | None = 2 * _GIB,
    queue: str | None = None,
) -> Service:
    ready = sum(r.health is Health.HEALTHY for r in replicas)
    worst = [r for r in replicas if r.health is not Health.HEALTHY]
    desired = len(replicas) if desired is None else desired
    health = worst[0].health if worst else Health.HEALTHY if replicas else Health.STOPPED
    known = [r.memory_bytes for r in replicas if r.memory_bytes is not None]
    ratios = [r.cpu_ratio for r in replicas if r.cpu_ratio is not None]
    return Service(
        name=name,
        role=role,
        desired=desired,
        ready=ready,
        health=health,
        reason=f"{worst[0].name} {worst[0].reason}" if worst else "",
        release="1.4.2",
        cpu_cores=sum(ratios) if ratios else None,
        cpu_ratio=sum(ratios) / len(ratios) if ratios else None,
        memory_bytes=sum(known) if known else None,
        memory_limit_bytes=limit_bytes * max(1, len(replicas)) if limit_bytes else None,
        restarts=sum(r.restarts for r in replicas),
        replicas=replicas,
        labels={"console.queue": queue} if queue else {},
    )


def services(*, llm: int = 2) -> tuple[Service, ...]:
    workers = [
        replica(
            f"worker-llm-{n}",
            cpu=0.61,
            memory_bytes=1_700_000_000,
            active=1,
            accepting=True,
            slots=1,
            running=(composing(n, 9.0 * n),),
        )
        for n in range(1, llm + 1)
    ]
    return (
        service("app", Role.APP, replica("app-1"), replica("app-2", cpu=0.09)),
        service("worker-llm", Role.WORKER, *workers, limit_bytes=8 * _GIB, queue="llm"),
        service(
            "worker-rl",
            Role.WORKER,
            replica("worker-rl-1", cpu=0.02, active=0, accepting=True),
            limit_bytes=8 * _GIB,
            queue="rl",
        ),
        service("postgres", Role.DATABASE, replica("postgres-1", cpu=0.03, minutes_up=5000)),
        service(
            "redis",
            Role.BROKER,
            replica("redis-1", cpu=0.01, memory_bytes=41 * 1024**2, minutes_up=5000),
            limit_bytes=_GIB,
        ),
    )


_FRESH = tuple(
    SourceStatus(name, SourceState.FRESH, 0.4, None)
    for name in ("runtime", "health", "metrics", "broker", "database", "host", "journal")
)


def normal(**changes: Any) -> Snapshot:
    """A calm night in development."""
    picture = Snapshot(
        taken_at=NOW,
        environment="dev",
        runtime="embedded",
        release="1.4.2",
        overall=Overall.HEALTHY,
        endpoints={"api": "http://127.0.0.1:8000"},
        agent=AgentState.RUNNING,
        services=services(),
        queues=(
            Queue("llm", 34, 2, 80.0, 0.3, 0.8, 2, 2.0),
            Queue("rl", 0, 0, None, 0.0, 0.0, 1),
        ),
        metrics=Metrics(
            request_rate=12.4,
            error_ratio=0.002,
            p50_seconds=0.038,
            p95_seconds=0.12,
            p99_seconds=0.34,
            database_connections=12,
            database_connections_max=100,
            redis_memory_bytes=41 * 1024**2,
            host_cpu_ratio=0.31,
            host_memory_ratio=0.46,
            host_disk_ratio=0.62,
        ),
        sources=_FRESH,
        changes=(
            Change(NOW - timedelta(minutes=14), "ana", "scale worker-llm 1 → 2", "done",
                   "queue growing"),
            Change(NOW - timedelta(hours=2), "ben (ssh 192.0.2.7)", "restart app", "done"),
            Change(NOW - timedelta(days=1), "ana", "start", "done"),
        ),
        host=HostReading(0.31, 0.46, 0.62, 8, 17 * _GIB, 38 * _GIB),
        redis_clients=9,
    )  # fmt: skip
    return replace(picture, **changes)


def blind(now: datetime) -> Snapshot:
    """The engine has gone: what ran is known, and nothing of how it does."""
    why = "cannot see its process: the Docker Engine is not running"
    lost = tuple(
        replace(
            found,
            ready=0,
            health=Health.UNKNOWN,
            reason=f"{len(found.replicas)} of {len(found.replicas)} cannot be told: {why}",
            cpu_cores=None,
            cpu_ratio=None,
            memory_bytes=None,
            replicas=tuple(
                replace(r, health=Health.UNKNOWN, reason=why, cpu_ratio=None, memory_bytes=None)
                for r in found.replicas
            ),
        )
        for found in services()
    )
    error = "the Docker Engine is not running"
    runtime = SourceStatus("runtime", SourceState.FAILED, (now - NOW).total_seconds(), error)
    return normal(
        taken_at=now,
        overall=Overall.UNKNOWN,
        services=lost,
        sources=(runtime, *(s for s in _FRESH if s.name != "runtime")),
    )


def busy() -> Snapshot:
    """A queue that has grown beyond what two workers drain."""
    return normal(
        queues=(Queue("llm", 120, 2, 96.0, 1.1, 0.8, 2), Queue("rl", 0, 0, None, 0.0, 0.0, 1)),
    )


def empty() -> Snapshot:
    """A stack that was never started."""
    return normal(
        running=False,
        overall=Overall.UNKNOWN,
        release=None,
        services=(),
        queues=(),
        metrics=Metrics(),
        sources=(),
        changes=(),
        host=None,
        redis_clients=None,
    )


def stale() -> Snapshot:
    """A picture nobody has renewed for two minutes."""
    return normal(taken_at=NOW - timedelta(seconds=125))


def failed() -> Snapshot:
    """Half the sources gone, a worker crashing, alerts firing."""
    crashing = replica(
        "worker-llm-2",
        health=Health.UNHEALTHY,
        state=ReplicaState.BACKOFF,
        reason="exited: killed by SIGKILL (out of memory), starts again",
        restarts=4,
        cpu=None,
        memory_bytes=None,
    )
    working = replica(
        "worker-llm-1",
        cpu=0.97,
        active=1,
        accepting=True,
        minutes_up=400,
        slots=1,
        running=(composing(1, 95),),
    )
    found = list(services())
    found[1] = service(
        "worker-llm", Role.WORKER, working, crashing, limit_bytes=8 * _GIB, queue="llm"
    )
    return normal(
        overall=Overall.DEGRADED,
        services=tuple(found),
        queues=(
            Queue("llm", 340, 1, 754.0, 0.9, 0.4, 1, 1.0, 0.02),
            Queue("rl", None, None, None, None, None, None),
        ),
        metrics=replace(normal().metrics, error_ratio=0.061, p95_seconds=1.84,
                        database_connections=None, database_connections_max=None),
        sources=(
            *(s for s in _FRESH if s.name not in {"database", "host"}),
            SourceStatus("database", SourceState.FAILED, 94.0, "connection refused"),
            SourceStatus("host", SourceState.STALE, 12.0, None),
        ),
        alerts=(
            Alert("HighErrorRate", AlertSeverity.CRITICAL, AlertState.FIRING,
                  NOW - timedelta(minutes=6), "higherrorrate", "5xx 6.1 % over 5 %"),
            Alert("WorkerQueueBacklog", AlertSeverity.WARNING, AlertState.PENDING,
                  NOW - timedelta(minutes=3), "workerqueuebacklog", "llm 340 over 100"),
        ),
    )  # fmt: skip


def alerted(picture: Snapshot) -> dict[str, Any]:
    """What else there is to be said of alerts: from Prometheus, silenced, over."""
    replica = Alert("ReplicaDown", AlertSeverity.WARNING, AlertState.PENDING,
                    NOW - timedelta(seconds=40), "replicadown", "10.0.0.7:9100 does not answer",
                    "instance=10.0.0.7:9100, job=worker-llm", PROMETHEUS)  # fmt: skip
    over = Alert("DiskSpace", AlertSeverity.WARNING, AlertState.FIRING,
                 NOW - timedelta(minutes=50), "diskspace", "disk is 86 % full (limit 85 %)",
                 ended_at=NOW - timedelta(minutes=20))  # fmt: skip
    return {
        "alerts": (*picture.alerts, replica),
        "ended_alerts": (over,),
        "silences": (
            Silence("WorkerQueueBacklog", NOW + timedelta(minutes=48), "ben", "load test",
                    NOW - timedelta(minutes=12), "5b1c"),
            Silence("", NOW + timedelta(hours=3), "ci", "deploys", NOW - timedelta(hours=1),
                    "77aa", "service=app, severity=warning"),
        ),
    }  # fmt: skip


def drifting() -> Snapshot:
    """What runs is not what is written down, and one replica gets nearly all requests."""
    picture = normal()
    app = picture.services[0]
    busy_one, idle_one = app.replicas
    app = replace(
        app,
        replicas=(replace(busy_one, request_rate=23.5), replace(idle_one, request_rate=0.9)),
        drift=(
            Drift(
                "app-1: made with another environment LOG_LEVEL "
                "(LOG_LEVEL is DEBUG, the file says INFO)",
                "docker compose --file compose.yaml up --detach --no-deps --scale app=2 app",
            ),
            Drift("app-2: has 0.5 cores, 1G of memory; written down are 2 cores, 2G of memory",
                  "fragrance resize app --cpus 2 --memory 2G"),
        ),
    )  # fmt: skip
    return replace(picture, services=(app, *picture.services[1:]))


def production(picture: Snapshot | None = None) -> Snapshot:
    """The same on the production stack."""
    return replace(picture or normal(), environment="production", runtime="compose")


def unfinished() -> Snapshot:
    """An operation whose runner died, and an incident."""
    return normal(
        operation=OperationSummary(
            OPERATION_ID,
            "scale",
            OperationState.INTERRUPTED,
            "start-worker-llm-3",
            NOW - timedelta(minutes=4),
            "ana",
        ),
        incident=IncidentSummary(
            "inc-3", Severity.P1, "slow answers", "investigating", NOW - timedelta(minutes=21)
        ),
    )
