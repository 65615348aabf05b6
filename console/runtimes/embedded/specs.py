"""
What is written down: services, desired replicas, observed replicas.

``services.json`` and ``replicas/`` say what should be, ``run/`` what is.  The
supervisor knows nothing of the product; all it needs stands in a spec.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from console.domain.services import ReplicaState, Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """
    How to run one replica.

    Args:
        command: Argument list; ``{replica}``, ``{shared_fd}``, ``{private_fd}``
            are filled in.
        environment: All of its environment besides what the supervisor adds.
            Never a secret: programs read those from ``SECRETS_DIR``.
        directory: Working directory.
        wrapper: Commands that change identity; they stand before ``setpriv
            --pdeathsig``, because changing identity forgets that wish.
        stop_signal: Asks it to end; also what it gets if the supervisor dies.
        grace_seconds: From that signal to SIGKILL.
        tier: Higher tiers stop first; databases are 0.
        shared_port: Port on loopback that all replicas accept on; the
            supervisor owns the socket, so no request is refused while one
            replica gives way to another.
        private_socket: Give each replica a listening socket of its own too.
        requires: Path that must exist before the first start.
        exclusive_directory: Directory that one living process at most may have
            as its working directory; starting waits until strangers left it.
        stale_files: Files in there that a dead predecessor may have left.
    """

    command: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)
    directory: str
    wrapper: tuple[str, ...] = ()
    stop_signal: str = "TERM"
    grace_seconds: float = 30.0
    tier: int = 1
    shared_port: int | None = None
    private_socket: bool = False
    requires: str | None = None
    exclusive_directory: str | None = None
    stale_files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceDefinition:
    """
    One service of the catalogue.

    Args:
        replicas: How many to make when the stack is first brought up.
        labels: ``console.*`` labels; ``{replica}`` and ``{port}`` (of its
            private socket) are filled in per replica.
        url_secret: Name of the secret file with its connection URL.
        settings: Names in its environment that an operator may change.
    """

    name: str
    role: Role
    program: Program
    replicas: int = 1
    labels: dict[str, str] = field(default_factory=dict)
    core: bool = True
    url_secret: str | None = None
    settings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Companion:
    """A process that is kept running beside the replicas: the agent."""

    command: tuple[str, ...]
    lock: str
    directory: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """
    ``services.json``.

    Args:
        ports: Ports in use by purpose; kept over restarts.
        endpoints: Public addresses.
        seeded: Services whose first replicas were made; from then on only the
            operator decides how many there are, 0 included.
        complete: Release that was brought up to the end (migrated), "" while
            that is still to be done.
    """

    services: tuple[ServiceDefinition, ...] = ()
    ports: dict[str, int] = field(default_factory=dict)
    endpoints: dict[str, str] = field(default_factory=dict)
    seeded: tuple[str, ...] = ()
    companion: Companion | None = None
    environment: str = "dev"
    release: str = ""
    complete: str = ""

    def service(self, name: str) -> ServiceDefinition | None:
        """Return the service called *name*, or None."""
        return next((s for s in self.services if s.name == name), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaSpec:
    """
    One desired replica.

    Args:
        generation: Raised to have the process stopped and started again.
        leaving: It should stop for good; the spec goes when it has.
        grace_seconds: Grace of the stop that is asked for; None for the
            program's own.
    """

    name: str
    service: str
    program: Program
    labels: dict[str, str] = field(default_factory=dict)
    release: str = ""
    generation: int = 0
    leaving: bool = False
    grace_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaRecord:
    """
    One observed replica.

    Args:
        start_ticks: Start of the process in clock ticks since boot; with the
            pid and the boot id it names one process for ever.
        restarts: Starts after a death nobody asked for.
        ports: ``private`` and ``shared``, where there are such sockets.
    """

    name: str
    service: str
    state: ReplicaState
    pid: int | None = None
    start_ticks: int | None = None
    boot_id: str = ""
    started_at: datetime | None = None
    restarts: int = 0
    exit_reason: str = ""
    ports: dict[str, int] = field(default_factory=dict)
    release: str = ""
    generation: int = 0
