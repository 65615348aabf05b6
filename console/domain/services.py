"""Services and replicas: what is meant to run and what was seen running."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

#: Two numbers of cores closer than this are the same one.
_CORES_APART = 1e-6


class Role(StrEnum):
    """What a service is for; label ``console.role``."""

    APP = "app"
    WORKER = "worker"
    DATABASE = "database"
    BROKER = "broker"
    PROXY = "proxy"
    MONITORING = "monitoring"
    OTHER = "other"


class Health(StrEnum):
    """Health as the operator is told it; *unknown* is never *healthy*."""

    HEALTHY = "healthy"
    STARTING = "starting"
    UNHEALTHY = "unhealthy"
    STOPPED = "stopped"
    UNKNOWN = "unknown"


class ReplicaState(StrEnum):
    """State of the process or container itself, apart from its health."""

    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    BACKOFF = "backoff"
    EXITED = "exited"
    UNKNOWN = "unknown"


class Route(StrEnum):
    """
    Whether the proxy sends requests to a replica.

    ``leaving``: no new ones, while workers of the proxy's old configuration may
    still be at some; ``pending``: what is written is not in force (yet).
    """

    IN = "in"
    OUT = "out"
    LEAVING = "leaving"
    PENDING = "pending"


@dataclass(frozen=True, slots=True)
class RuntimeHealth:
    """
    What the runtime's own health check says of a replica.

    Args:
        health: ``healthy``, ``starting`` or ``unhealthy``.
        output: Last output of the check, bounded.
    """

    health: Health
    output: str = ""


@dataclass(frozen=True, slots=True)
class Limits:
    """
    What one replica may use, and what is kept for it; None for no limit, or nothing kept.

    Args:
        cpu_cores: Most processor time, in cores.
        memory_bytes: Above this the kernel kills.
        cpu_reserved_cores: Only said by the configuration: an engine of one host
            keeps no processor time.
        memory_reserved_bytes: Left to it when the host runs short.
    """

    cpu_cores: float | None = None
    memory_bytes: int | None = None
    cpu_reserved_cores: float | None = None
    memory_reserved_bytes: int | None = None

    def meets(self, wanted: Limits) -> bool:
        """Whether what an engine enforces is as *wanted* says; its None is left out."""
        cores = wanted.cpu_cores is None or (
            self.cpu_cores is not None and abs(self.cpu_cores - wanted.cpu_cores) < _CORES_APART
        )
        return (
            cores
            and wanted.memory_bytes in (None, self.memory_bytes)
            and wanted.memory_reserved_bytes in (None, self.memory_reserved_bytes)
        )


@dataclass(frozen=True, slots=True)
class Drift:
    """
    Something that runs otherwise than what is written down says.

    Args:
        what: In words, with what runs and what should.
        mend: The command that makes it so again.
    """

    what: str
    mend: str


@dataclass(frozen=True, slots=True)
class ReplicaFact:
    """
    One replica as its runtime reports it, before any probe.

    Args:
        id: Identity within the runtime; a new process or container may keep it
            on embedded (same name) and gets a new one on compose.
        name: Unique and stable, ``<service>-<number>``.
        state: State of the process.
        pid: Process id on this host, where there is one.
        started_at: Start of the present process, UTC.
        restarts: Restarts since the replica was created.
        exit_reason: Words for the last exit (``killed by SIGKILL``), else "".
        release: Version it runs, where known.
        health_url: Where its own health is asked, private to this replica.
        metrics_url: Where its own metrics are scraped.
        checked: What the runtime's own health check says; None where it has none.
        reports_as: Name under which it knows itself and reports to the broker,
            where that is not the name it is known by here (a container's host name).
        route: Whether the proxy sends requests to it; None where that is not ours
            to say.
        limits: In force on it now; None where the runtime sets none.
    """

    id: str
    name: str
    state: ReplicaState
    pid: int | None = None
    started_at: datetime | None = None
    restarts: int = 0
    exit_reason: str = ""
    release: str | None = None
    health_url: str | None = None
    metrics_url: str | None = None
    checked: RuntimeHealth | None = None
    reports_as: str | None = None
    route: Route | None = None
    limits: Limits | None = None


@dataclass(frozen=True, slots=True)
class ServiceFact:
    """
    One service as its runtime reports it.

    Args:
        name: Service name, as in the compose file.
        role: From ``console.role``; decides how its health is judged.
        desired: Replicas that should run.
        labels: All ``console.*`` labels.
        core: Whether it counts for the overall health (profiles aside).
        limits: What one new replica is given; None where the runtime sets none.
        single: Why there can be no second replica beside the first; empty if there can.
        drift: Where what runs differs from what is written down, as far as one look tells.
    """

    name: str
    role: Role
    desired: int
    replicas: tuple[ReplicaFact, ...]
    labels: dict[str, str] = field(default_factory=dict)
    core: bool = True
    limits: Limits | None = None
    single: str = ""
    drift: tuple[Drift, ...] = ()


@dataclass(frozen=True, slots=True)
class Maintenance:
    """
    Whether users are shown the maintenance page.

    Args:
        shown: By every running proxy; None while one of them cannot be asked, or does
            not do (yet) what it was told.
        since: Since when it is to be shown, UTC; None when it is not.
    """

    shown: bool | None
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Topology:
    """
    Everything the runtime knows, in one reading.

    Args:
        running: Whether the runtime itself is up (supervisor, engine).
        services: In a fixed order, product first.
        endpoints: Public addresses, ``{"api": "http://127.0.0.1:8000"}``.
        maintenance: The maintenance page; None where there is none.
        settings: Values that were set, by name; no secret is among them.
        doubt: Why all this may be true no more, though it can be read; empty where it is.
    """

    running: bool
    services: tuple[ServiceFact, ...]
    endpoints: dict[str, str] = field(default_factory=dict)
    maintenance: Maintenance | None = None
    settings: dict[str, str] = field(default_factory=dict)
    doubt: str = ""

    def service(self, name: str) -> ServiceFact | None:
        """Return the service called *name*, or None."""
        return next((s for s in self.services if s.name == name), None)


@dataclass(frozen=True, slots=True)
class ReplicaStats:
    """CPU (cores used since the last reading) and resident memory of a replica."""

    cpu_cores: float | None
    memory_bytes: int | None


@dataclass(frozen=True, slots=True)
class Training:
    """
    How far a running search is, by its worker's own word; None is not told.

    Args:
        method: ``ppo`` or ``genetic``.
        step: Steps or generations done.
        steps: Those asked for.
        reward: Of the last update.
        entropy: Coefficient of the present update; the genetic search has none.
        checkpoint_at: When its newest checkpoint was written, UTC; None: not yet.
    """

    method: str
    step: float | None = None
    steps: float | None = None
    reward: float | None = None
    entropy: float | None = None
    checkpoint_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class TaskInHand:
    """A task that a worker is running, by its own word: since when, and which."""

    task_id: str
    name: str
    started_at: datetime
    training: Training | None = None


@dataclass(frozen=True, slots=True)
class Replica:
    """
    One replica in a snapshot: the fact joined with probes and statistics.

    ``cpu_ratio`` is cores used ÷ limit (÷ one core where there is no limit).
    ``probed`` is False where nothing tells whether it works; ``route`` is None
    where no proxy of ours is before it.
    ``active_tasks`` (running), ``reserved_tasks`` (held, not started), ``task_slots``
    (how many it can run at the same time), ``accepting`` and ``heartbeat_at`` are None for
    anything but a worker that sends heartbeats; ``tasks`` are those it is running.
    ``newest_checkpoint_at`` is when the last checkpoint that the worker knows of was written.
    ``request_rate`` is requests a second over 60 s, None for what does not count them.
    """

    id: str
    name: str
    state: ReplicaState
    health: Health
    reason: str
    release: str | None
    started_at: datetime | None
    cpu_ratio: float | None
    memory_bytes: int | None
    restarts: int
    health_output: str
    pid: int | None = None
    active_tasks: int | None = None
    reserved_tasks: int | None = None
    accepting: bool | None = None
    probed: bool = True
    route: Route | None = None
    task_slots: int | None = None
    limits: Limits | None = None
    heartbeat_at: datetime | None = None
    tasks: tuple[TaskInHand, ...] = ()
    request_rate: float | None = None
    newest_checkpoint_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Service:
    """One service in a snapshot; figures are sums over its replicas.

    ``replica_cpu_limit_cores`` and ``replica_memory_limit_bytes`` are of one replica,
    None where it is not limited; ``limits`` has all that a new one is given.
    """

    name: str
    role: Role
    desired: int
    ready: int
    health: Health
    reason: str
    release: str | None
    cpu_cores: float | None
    cpu_ratio: float | None
    memory_bytes: int | None
    memory_limit_bytes: int | None
    restarts: int
    replicas: tuple[Replica, ...]
    labels: dict[str, str] = field(default_factory=dict)
    core: bool = True
    single: str = ""
    replica_cpu_limit_cores: float | None = None
    replica_memory_limit_bytes: int | None = None
    limits: Limits | None = None
    drift: tuple[Drift, ...] = ()

    @property
    def ready_words(self) -> str:
        """Return ``2/3``; ``≥1/3`` or ``?/3`` where some or all of the others cannot be told."""
        told = str(self.ready)
        if self.ready < self.desired and any(r.health is Health.UNKNOWN for r in self.replicas):
            told = f"≥{told}" if self.ready else "?"
        return f"{told}/{self.desired}"
