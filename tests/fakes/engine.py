"""
An engine of scripted pictures, for the screens alone.

A test sets :attr:`FakeEngine.picture`, or makes the next call fail; what the
screens asked for is in :attr:`FakeEngine.asked`.  It imports nothing of the
real engine, so that a screen can be tested whatever state that is in.
"""

from __future__ import annotations

import math
import threading
from collections import Counter, deque
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from console.domain.alerts import PROMETHEUS, Alert, AlertSeverity, AlertState, Silence
from console.domain.audit import AuditVerdict
from console.domain.description import (
    CheckRun,
    ReplicaDescription,
    RuntimeEvent,
    ServiceDescription,
    variables_of,
)
from console.domain.happenings import Happening, Kind, concerning, merged
from console.domain.incidents import IncidentSummary, Severity
from console.domain.measures import (
    Curve,
    Measure,
    MeasuredRange,
    Unit,
    measures_of,
    step_of,
)
from console.domain.metrics import Metrics
from console.domain.operations import (
    Actor,
    Change,
    Operation,
    OperationState,
    OperationSummary,
    StepEvent,
    StepPhase,
    StepRecord,
)
from console.domain.plans import Plan, Risk, Step
from console.domain.policy import Policy
from console.domain.queues import Queue
from console.domain.readings import HostReading, SourceState, SourceStatus
from console.domain.runbook import Runbook, parse_runbook
from console.domain.services import Drift, Health, Replica, ReplicaState, Role, Service, TaskInHand
from console.domain.settling import Settling
from console.domain.snapshot import AgentState, Overall, Snapshot
from console.domain.tunables import LimitSettings, Setting
from console.duties.autoscale import Switch
from console.errors import ConsoleError, ReadOnly, Refused
from console.ports import LogLine, LogRequest
from console.settings import PROJECT

#: The moment at which all scripted pictures were taken.
NOW = datetime(2026, 3, 14, 3, 12, 30, tzinfo=UTC)
OPERATION_ID = "op-0007"

_GIB = 1024**3


class FrozenClock:
    """Time that stands still until a test moves it."""

    def __init__(self, now: datetime = NOW) -> None:
        self._now = now

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._now.timestamp()

    def sleep(self, seconds: float) -> None:
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)


class CapableRuntime:
    """As much of a runtime as the screens look at: which capabilities it has."""

    name = "embedded"

    def replica_names(self, service: str, count: int, taken: object) -> list[str]:
        return [f"{service}-{number}" for number in range(1, count + 1)]

    def start_replica(self, service: str, replica: str, labels: object) -> None:
        raise AssertionError("screens never start a replica")

    def start_command(self, service: str, replica: str) -> str:
        return f"start {replica}"

    def remove_replica(self, replica: str, grace_seconds: float) -> None:
        raise AssertionError("screens never remove a replica")

    def remove_command(self, replica: str, grace_seconds: float) -> str:
        return f"stop {replica}"

    def restart_replica(self, replica: str, grace_seconds: float) -> None:
        raise AssertionError("screens never restart a replica")

    def settings(self) -> tuple[Setting, ...]:
        return (
            Setting("LOG_LEVEL", "INFO", "INFO", "how much is logged"),
            Setting("LLM_BATCH_SIZE", None, "4", "briefs at a time"),
            Setting("POSTGRES_PASSWORD", secret=True, explanation="the database's"),
        )

    def concerned(self, values: object) -> tuple[str, ...]:
        return ("app",)

    def write_settings(self, values: object) -> None:
        raise AssertionError("screens never write a setting")

    def why_not_anew(self, service: str) -> str:
        return ""

    def settings_command(self, values: object) -> str:
        return "write settings"

    def limit_settings(self, service: str) -> LimitSettings:
        return LimitSettings()

    def set_limits(self, replica: str, limits: object) -> None:
        raise AssertionError("screens never set a limit")

    def limits_command(self, replica: str, limits: object) -> str:
        return f"update {replica}"

    def old_logs(self, days: float) -> list[object]:
        raise AssertionError("screens never look for logs")

    def remove_log(self, name: str) -> None:
        raise AssertionError("screens never remove a log")

    def has_maintenance(self) -> bool:
        return True

    def set_maintenance(self, *, on: bool) -> None:
        raise AssertionError("screens never switch anything themselves")

    def maintenance_command(self, *, on: bool) -> str:
        return f"maintenance page {'on' if on else 'off'}"

    def restart_command(self, replica: str, grace_seconds: float) -> str:
        return f"restart {replica}"


@dataclass
class FakeSettings:
    state: Path
    environment: str = "dev"
    policy: Policy = field(default_factory=Policy)
    low_bandwidth: bool = False

    @property
    def production(self) -> bool:
        return self.environment in {"prod", "production"}


@dataclass(frozen=True)
class FakeAccess:
    write: bool
    until: datetime | None = None


# Pictures ------------------------------------------------------------------------


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


# Operations ----------------------------------------------------------------------


def scale_plan(name: str = "worker-llm", now: int = 2, target: int = 4) -> Plan:
    """The plan of a scaling, as the real planner words it."""
    adding = target > now
    numbers = range(now + 1, target + 1) if adding else range(now, target, -1)
    verb, other = ("start", "stop") if adding else ("stop", "start")
    steps = tuple(
        Step(
            name=f"{verb}-{name}-{number}",
            kind=f"{verb}_replica",
            arguments={"service": name, "replica": f"{name}-{number}"},
            command=f"python -m workers llm   # as {name}-{number}",
            risk=Risk.LOW if adding else Risk.MEDIUM,
        )
        for number in numbers
    )
    undo = tuple(
        Step(name=f"{other}-{name}-{n}", kind=f"{other}_replica", command=f"{other} {name}-{n}")
        for n in reversed(numbers)
    )
    return Plan(
        verb="scale",
        summary=f"{name} {now} → {target}",
        steps=steps,
        undo=undo,
        warnings=("cpu is overcommitted: 16 cores of limits on 8 cores",) if adding else (),
        expects={name: [f"{name}-{number}" for number in range(1, now + 1)]},
        wish={"targets": {name: target}},
    )


def restart_plan(*replicas: str, service: str = "app", risk: Risk = Risk.LOW) -> Plan:
    """The plan of a restart, as the real planner words it."""
    return Plan(
        verb="restart",
        summary=f"{service} ×{len(replicas)}" if len(replicas) > 1 else replicas[0],
        steps=tuple(
            Step(
                name=f"{verb}-{replica}",
                kind=f"{verb}_replica",
                command=f"{verb} {replica}",
                risk=risk if verb == "restart" else Risk.NONE,
            )
            for replica in replicas
            for verb in ("restart", "gate")
        ),
        undo=tuple(Step(f"recover-{r}", "gate_replica", command=f"gate {r}") for r in replicas),
        warnings=() if len(replicas) > 1 else (f"{service} answers with one replica less",),
        expects={service: list(replicas)},
        wish={"services": [service]},
    )


def operation(
    state: OperationState,
    *,
    operation_id: str = OPERATION_ID,
    plan: Plan | None = None,
    phases: tuple[StepPhase, ...] = (),
    **changes: Any,
) -> Operation:
    """One operation in *state*, its first steps in *phases*."""
    plan = plan or scale_plan()
    begun = NOW - timedelta(minutes=4)
    steps = tuple(
        StepRecord(place, step.name, phase, begun, "healthy" if phase is StepPhase.DONE else "")
        for place, (step, phase) in enumerate(zip(plan.steps, phases, strict=False), 1)
    )
    made = Operation(
        id=operation_id,
        verb=plan.verb,
        actor=Actor("ana", 1000),
        reason="queue growing",
        state=state,
        plan=plan,
        submitted_at=begun,
        started_at=begun,
        steps=steps,
    )
    return replace(made, **changes)


def described(name: str, picture: Snapshot | None) -> ServiceDescription:
    """What a runtime would tell of a service: each replica alike, a check that failed."""
    found = picture.service(name) if picture else None
    environment = {
        "LOG_LEVEL": "INFO",
        "POSTGRES_PASSWORD": "not for the screen",
        "BROKER_URL": "redis://:not-for-the-screen@redis:6379/0",
        "WORDS": "[/x] \x1b[2J \u202e hostile",
    }
    replicas = tuple(
        ReplicaDescription(
            r.name,
            image="fragrance-ai-app:v1.4.2",
            image_id="f0b90d591a25",
            command="python -m workers llm",
            user="fragrance",
            addresses=("172.18.0.5 in fragrance_default",),
            ports=("127.0.0.1:8443 → 8443/tcp",),
            mounts=("/data ← volume fragrance_data", "/etc/app ← /srv/app, read only"),
            environment=variables_of(environment, {}),
            checks=(
                CheckRun(NOW - timedelta(seconds=20), passed=r.health is Health.HEALTHY,
                         output="ready" if r.health is Health.HEALTHY else "no answer in 2 s"),
            ),
            failures=0 if r.health is Health.HEALTHY else 3,
            out_of_memory=r.state is ReplicaState.BACKOFF,
            exit_code=137 if r.state is ReplicaState.BACKOFF else None,
        )
        for r in (found.replicas if found else ())
    )  # fmt: skip
    events = tuple(
        RuntimeEvent(NOW - timedelta(minutes=minutes), r.name, words, grave)
        for r in (found.replicas[:2] if found else ())
        if r.restarts
        for minutes, words, grave in (
            (1, "started", False),
            (2, "ended: killed by SIGKILL", True),
            (2, "out of memory: the kernel kills", True),
        )
    )
    drift = found.drift if found else ()
    return ServiceDescription(name, replicas, events, drift)


def rising(cells: int = 12, top: float = 1.0) -> tuple[float | None, ...]:
    """Means that rise from nothing to *top*."""
    return tuple(top * place / (cells - 1) for place in range(cells))


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


def happenings() -> list[Happening]:
    """An hour in which something happened."""
    return [
        Happening(NOW - timedelta(minutes=50), Kind.ALERT, "HighErrorRate",
                  "alert HighErrorRate firing (critical): 5xx 6.1 % over 5 %", True),
        Happening(NOW - timedelta(minutes=48), Kind.REPLICA, "app-1",
                  "app-1 healthy → unhealthy: killed by SIGKILL, restarted once", True),
        Happening(NOW - timedelta(minutes=30), Kind.ALERT, "HighErrorRate",
                  "alert HighErrorRate is over"),
        Happening(NOW - timedelta(minutes=12), Kind.SETTING, "LOG_LEVEL",
                  "setting LOG_LEVEL INFO → DEBUG"),
    ]  # fmt: skip


_USUAL = {
    Unit.RATE: 6.0,
    Unit.RATIO: 0.3,
    Unit.SECONDS: 0.2,
    Unit.COUNT: 14.0,
    Unit.BYTES: 40.0 * 1024**2,
}


def curve_values(measure: Measure, count: int, origin: str) -> tuple[float | None, ...]:
    """A wave with a peak at the end, a gap in it, and nothing before the first third."""
    usual = _USUAL[measure.unit]
    high = 1.2 * measure.limit if measure.name == "error_ratio" and measure.limit else usual
    return tuple(
        None
        if place < count / 3 or count * 0.55 < place < count * 0.6
        else high
        if place > count * 0.9
        else usual * (0.6 + 0.4 * math.sin(place * 12 / count)) * (0.1 if high != usual else 1)
        for place in range(count)
    )


class FakeEngine:
    """
    The engine's surface over scripted pictures.

    Args:
        picture: What ``snapshot`` returns; None lets it wait until one is set.
        state: Directory for files the screens save.
        environment: ``APP_ENV``.
    """

    def __init__(
        self, picture: Snapshot | None, state: Path = Path("state"), environment: str = ""
    ) -> None:
        chosen = environment or (picture.environment if picture else "dev")
        self.settings = FakeSettings(state, chosen)
        self.runtime: object = CapableRuntime()
        self.clock = FrozenClock()
        self.actor = Actor("ana", 1000)
        self.recalled: Snapshot | None = None
        self.failure: Exception | None = None
        self.refusal: ConsoleError | None = None
        self.asked: list[tuple[Any, ...]] = []
        self.journal: list[Operation] = []
        #: Newest first, as the engine gives them.
        self.entries: list[dict[str, Any]] = []
        self.verdict = AuditVerdict(valid=True, entries=0)
        self.next_plan: Plan | None = None
        self.settled: Settling | None = None
        self.switched: dict[str, Switch] = {}
        self.history: dict[str, list[tuple[datetime, float | None]]] = {}
        #: What the agent saw, what people did, means by figure, what services are made of.
        self.seen: list[Happening] = []
        self.done: list[Change] = []
        self.trends: dict[str, tuple[float | None, ...]] = {}
        self.descriptions: dict[str, ServiceDescription] = {}
        self.describe_failure: ConsoleError | None = None

        self.procedures = ""
        self.measured_from = PROMETHEUS
        self.prometheus_trouble = ""
        self.unmeasured: ConsoleError | None = None
        #: Means by the name of the figure, the oldest first.
        self.log: deque[LogLine] = deque()
        self._events: list[StepEvent] = []
        self._granted = FakeAccess(write=not self.settings.production)
        self._picture = picture
        self._closed = False
        self._there = threading.Condition()

    # What a test makes happen ------------------------------------------------

    @property
    def picture(self) -> Snapshot | None:
        return self._picture

    @picture.setter
    def picture(self, picture: Snapshot | None) -> None:
        with self._there:
            self._picture = picture
            self._there.notify_all()

    def step(self, name: str, phase: StepPhase, detail: str = "") -> None:
        """Let the newest operation's step *name* enter *phase*."""
        current = self.journal[0]
        seq = next((i for i, s in enumerate(current.plan.steps, 1) if s.name == name), 99)
        self._events.append(
            StepEvent(len(self._events) + 1, current.id, seq, name, phase, self.clock.now(), detail)
        )
        record = StepRecord(seq, name, phase, self.clock.now(), detail)
        others = tuple(s for s in current.steps if s.name != name)
        steps = tuple(sorted((*others, record), key=lambda s: s.seq))
        self.journal[0] = replace(current, state=OperationState.RUNNING, steps=steps)

    def end(self, state: OperationState, **changes: Any) -> None:
        """Let the newest operation end in *state*."""
        self.journal[0] = replace(
            self.journal[0], state=state, ended_at=self.clock.now(), **changes
        )

    # Engine ------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        if self.failure is not None:
            raise self.failure
        with self._there:
            # The real one waits for its slowest source, bounded by that one's timeout.
            self._there.wait_for(lambda: self._picture is not None or self._closed, timeout=30)
            if self._picture is None:
                raise ConsoleError("no source has answered")
            return self._picture

    def last_picture(self) -> Snapshot | None:
        return self.recalled

    def watch(self) -> None:
        if ("watch",) not in self.asked:
            self.asked.append(("watch",))

    def close(self) -> None:
        self.asked.append(("close",))
        with self._there:
            self._closed = True
            self._there.notify_all()

    def logs(self, request: LogRequest) -> Iterator[LogLine | None]:
        self.asked.append(("logs", request.services))
        given = len(self.log)
        past = [line for line in list(self.log)[:given] if _asked_for(line, request)]
        left = Counter(line.replica for line in past)
        for line in past:
            left[line.replica] -= 1
            if left[line.replica] < request.tail:
                yield line
        while True:
            lines = list(self.log)
            yield from (line for line in lines[given:] if _asked_for(line, request))
            given = len(lines)
            if not request.follow or request.until is not None:
                return
            yield None
            threading.Event().wait(0.02)

    def access(self) -> FakeAccess:
        return self._granted

    def elevate(self, minutes: int, reason: str) -> FakeAccess:
        self.asked.append(("elevate", minutes, reason))
        self._granted = FakeAccess(minutes > 0, self.clock.now() + timedelta(minutes=minutes))
        return self._granted

    def plan(self, verb: str, wish: dict[str, Any]) -> Plan:
        self.asked.append(("plan", verb, wish))
        if self.refusal is not None:
            raise self.refusal
        if self.next_plan is not None:
            return replace(self.next_plan, wish=wish)
        plans = []
        for name, target in wish["targets"].items():
            found = self._picture.service(name) if self._picture else None
            plans.append(scale_plan(name, found.desired if found else 0, target))
        return replace(
            plans[0],
            summary=", ".join(p.summary for p in plans),
            steps=tuple(step for p in plans for step in p.steps),
            undo=tuple(step for p in reversed(plans) for step in p.undo),
            expects={name: names for p in plans for name, names in p.expects.items()},
            wish=wish,
        )

    def preempt(self) -> Operation | None:
        self._require_write()
        active = {OperationState.RUNNING, OperationState.SUBMITTED}
        for place, found in enumerate(self.journal):
            if found.state in active:
                self.asked.append(("preempt", found.id))
                self.journal[place] = replace(found, state=OperationState.CANCELLED)
                return self.journal[place]
        return None

    def settling(self, operation: Operation) -> Settling | None:
        return self.settled

    def series(self, name: str, seconds: float) -> list[tuple[datetime, float | None]]:
        since = self.clock.now() - timedelta(seconds=seconds)
        return [(at, value) for at, value in self.history.get(name, []) if at >= since]

    def means(
        self, names: Collection[str], seconds: float, count: int
    ) -> dict[str, tuple[float | None, ...]]:
        known = self.trends
        return {name: known[name] for name in names if name in known}

    def happened(self, seconds: float, service: str | None = None) -> list[Happening]:
        since = self.clock.now() - timedelta(seconds=seconds)
        found = merged([one for one in self.seen if one.at >= since], self.done, self.journal)
        return found if service is None else concerning(found, service)

    def describe(self, service: str) -> ServiceDescription:
        self.asked.append(("describe", service))
        if self.describe_failure is not None:
            raise self.describe_failure
        return self.descriptions.get(service) or described(service, self._picture)

    def measured(self, seconds: float) -> MeasuredRange:
        self.asked.append(("measured", seconds))
        if self.unmeasured is not None:
            raise self.unmeasured
        count = round(seconds / step_of(seconds))
        begin = NOW - timedelta(seconds=step_of(seconds) * (count - 1))
        curves = tuple(
            Curve(
                measure,
                curve_values(measure, count, self.measured_from)
                if self._picture and self._picture.running
                else (None,) * count,
                self.measured_from,
            )
            for measure in measures_of(self._picture, self.settings.policy)
        )
        trouble = "" if self.measured_from == PROMETHEUS else self.prometheus_trouble
        silent = NOW - timedelta(minutes=7) if trouble else None
        return MeasuredRange(begin, step_of(seconds), curves, trouble, silent)

    def runbook(self) -> Runbook:
        return parse_runbook(self.procedures or (PROJECT / "RUNBOOK.md").read_text("utf-8"))

    def silence(self, alert: str, seconds: float, reason: str) -> Silence:
        self._require_write()
        if self.refusal is not None:
            raise self.refusal
        self.asked.append(("silence", alert, seconds, reason))
        now = self.clock.now()
        return Silence(alert, now + timedelta(seconds=seconds), "ana", reason, now)

    def unsilence(self, alert: str, reason: str = "") -> list[Silence]:
        self._require_write()
        self.asked.append(("unsilence", alert, reason))
        return []

    def submit(self, plan: Plan, reason: str) -> Operation:
        self.asked.append(("submit", plan.summary, reason))
        self._require_write()
        made = operation(OperationState.RUNNING, plan=plan, reason=reason, operation_id="op-0008")
        self.journal.insert(0, replace(made, submitted_at=NOW, started_at=NOW))
        return self.journal[0]

    def operation(self, operation_id: str) -> Operation:
        return next(o for o in self.journal if o.id == operation_id)

    def operations(self, limit: int = 50, before: str | None = None) -> list[Operation]:
        number = float("inf") if before is None else int(before.removeprefix("op-"))
        return [o for o in self.journal if int(o.id.removeprefix("op-")) < number][:limit]

    def audit(self, limit: int = 50, before: int | None = None) -> list[dict[str, Any]]:
        if self.failure is not None:
            raise self.failure
        return [e for e in self.entries if before is None or e["seq"] < before][:limit]

    def verify_audit(self) -> AuditVerdict:
        if self.failure is not None:
            raise self.failure
        return self.verdict

    def events(self, operation_id: str, after_event_id: int = 0) -> list[StepEvent]:
        return [
            e
            for e in self._events
            if e.operation_id == operation_id and e.event_id > after_event_id
        ]

    def cancel(self, operation_id: str, reason: str = "") -> None:
        self._change("cancel", operation_id, reason)

    def answer(
        self, operation_id: str, word: str, reason: str = "", step: str | None = None
    ) -> None:
        self._change("answer", operation_id, word, reason, step or "")

    def autoscaled(self) -> dict[str, Switch]:
        return self.switched

    def autoscale(self, service: str, reason: str, *, on: bool) -> list[str]:
        self._change("autoscale", service, reason, "on" if on else "off")
        return [service]

    def resume(self, operation_id: str, reason: str = "") -> None:
        self._change("resume", operation_id, reason)

    def undo(self, operation_id: str, reason: str = "") -> None:
        self._change("undo", operation_id, reason)

    def accept(self, operation_id: str, reason: str) -> None:
        self._change("accept", operation_id, reason)

    def _change(self, *what: str) -> None:
        self._require_write()
        if self.refusal is not None:
            raise self.refusal
        self.asked.append(what)

    def _require_write(self) -> None:
        if not self._granted.write:
            raise ReadOnly(
                f"read-only: this is {self.settings.environment}",
                unchanged="nothing was changed",
                remedy="w takes write access",
            )


def _asked_for(line: LogLine, request: LogRequest) -> bool:
    if line.at is not None and (
        (request.since is not None and line.at < request.since)
        or (request.until is not None and line.at > request.until)
    ):
        return False
    return not request.services or bool({line.service, line.replica} & {*request.services})


#: A refusal as the real planner words it.
TOO_MANY = Refused(
    "worker-llm cannot run 9 replicas: 27 GiB more are needed, 17 GiB are free",
    unchanged="nothing was changed",
    remedy="scale to 4, or free memory on this host",
)


def log_lines(count: int = 30) -> list[LogLine]:
    """Ordinary log lines, one a second."""
    words = ("GET /v1/formulas 200 in 38 ms", "composed formula f-81 in 4.2 s", "heartbeat sent")
    replicas = ("app-1", "worker-llm-1", "worker-rl-1")
    return [
        LogLine(
            replica=replicas[n % 3],
            service=replicas[n % 3].rsplit("-", 1)[0],
            at=NOW - timedelta(seconds=count - n),
            level="error" if n % 11 == 10 else "warning" if n % 7 == 6 else "info",
            text="connection to redis lost, trying again" if n % 11 == 10 else words[n % 3],
        )
        for n in range(count)
    ]


def audit_entries() -> list[dict[str, Any]]:
    """Entries of the audit as they are written, newest first."""
    ana: dict[str, Any] = {"user": "ana", "uid": 1000, "origin": "local"}
    ben: dict[str, Any] = {"user": "ben", "uid": 1001, "origin": "ssh 192.0.2.7"}
    rows: list[tuple[int, str, dict[str, Any], str, str, str, str | None]] = [
        (5, "access", ana, "write access until 03:20 UTC", "granted", "queue grows", None),
        (14, "operation", ben, "scale worker-llm 2 → 4", "done", "queue growing", OPERATION_ID),
        (90, "operation", ana, "restart app ×2", "refused", "", "op-0006"),
        (1500, "change", ana, "start", "done", "", None),
    ]
    return [
        {
            "seq": len(rows) - place,
            "at": (NOW - timedelta(minutes=minutes)).isoformat(),
            "kind": kind,
            "actor": actor,
            "what": what,
            "outcome": outcome,
            "reason": reason,
            "operation_id": operation_id,
            "details": {"verified": "yes"} if kind == "operation" else {},
            "hash": f"{place}" * 64,
        }
        for place, (minutes, kind, actor, what, outcome, reason, operation_id) in enumerate(rows)
    ]
