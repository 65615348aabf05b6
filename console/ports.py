"""
Ports: what the engine needs from the outside world, and nothing more.

A runtime is what runs replicas.  The common port is small; everything else is a
capability of its own, so that a key or a command exists only where the thing can
be done.  Adapters live in :mod:`console.runtimes`, :mod:`console.sources` and
:mod:`console.journal`; fakes in ``tests/fakes`` pass the same contract suites.

Every method that waits takes or states a timeout and raises
:class:`console.errors.Unreachable` when it passes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, runtime_checkable

from console.domain.audit import AuditVerdict
from console.domain.leftovers import Leftover
from console.domain.operations import Actor, Change, Operation, OperationState, StepEvent, StepPhase
from console.domain.plans import Json, Observation, Plan, Step
from console.domain.readings import Reading
from console.domain.services import Limits, ReplicaStats, Topology
from console.domain.snapshot import Snapshot
from console.domain.tunables import LimitSettings, Setting


class Clock(Protocol):
    """Time as a port, so that tests can stop it."""

    def now(self) -> datetime:
        """Return the aware UTC time, for records."""

    def monotonic(self) -> float:
        """Return seconds that never go back, for durations."""

    def sleep(self, seconds: float) -> None:
        """Wait; a fake advances at once."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of one replica; ``at`` is None where the line carries no time."""

    replica: str
    service: str
    at: datetime | None
    level: str
    text: str


@dataclass(frozen=True, slots=True)
class LogRequest:
    """
    What to read from the logs.

    Args:
        services: Service or replica names; empty for all.
        tail: Lines per replica to begin with.
        since: Leave out what is older, None for no bound.
        follow: Keep yielding as lines come.
    """

    services: tuple[str, ...] = ()
    tail: int = 100
    since: datetime | None = None
    follow: bool = False


@dataclass(frozen=True, slots=True)
class ExecResult:
    """Result of a command run in a replica; output bounded to 64 KiB."""

    exit_code: int
    output: str


class Runtime(Protocol):
    """What every runtime can do: list, watch, stats, logs, exec."""

    @property
    def name(self) -> str:
        """``embedded``, ``compose`` or ``swarm``."""

    def topology(self) -> Topology:
        """Return what should run and what runs; raises Unreachable."""

    def wait_for_change(self, timeout_seconds: float) -> bool:
        """Block until something started, died or changed, or the timeout; True if so."""

    def stats(self, topology: Topology) -> dict[str, ReplicaStats]:
        """Return CPU and memory by replica id; CPU None at the first reading."""

    def logs(self, request: LogRequest) -> Iterator[LogLine | None]:
        """
        Yield log lines merged in time order.

        With ``follow`` it yields None about every 0.2 s while nothing comes, so
        that the reader can stop.
        """

    def exec(self, replica: str, command: Sequence[str], timeout_seconds: float) -> ExecResult:
        """Run *command* where the replica runs, with its environment."""

    def connection_url(self, service: str) -> str | None:
        """Return the URL with credentials of a database or broker service, or None."""


@runtime_checkable
class StartsReplicas(Protocol):
    """Capability: add a replica of a service."""

    def replica_names(self, service: str, count: int, taken: Sequence[str]) -> list[str]:
        """Return *count* names, stable and not among *taken*, for new replicas."""

    def start_replica(self, service: str, replica: str, labels: dict[str, str]) -> None:
        """Start *replica*; returns once it is created, not once it is healthy. Idempotent."""

    def start_command(self, service: str, replica: str) -> str:
        """Return the command that :meth:`start_replica` amounts to, for the operator."""


@runtime_checkable
class RemovesReplica(Protocol):
    """Capability: remove one chosen replica."""

    def remove_replica(self, replica: str, grace_seconds: float) -> None:
        """Tell *replica* to stop for good; killed after the grace. Does not wait. Idempotent."""

    def remove_command(self, replica: str, grace_seconds: float) -> str:
        """Return the command that :meth:`remove_replica` amounts to."""


@runtime_checkable
class RestartsReplica(Protocol):
    """Capability: restart the process of one replica in place."""

    def restart_replica(self, replica: str, grace_seconds: float) -> None:
        """Stop and start *replica* under the same name. Does not wait."""

    def restart_command(self, replica: str, grace_seconds: float) -> str:
        """Return the command that :meth:`restart_replica` amounts to."""


@runtime_checkable
class Routes(Protocol):
    """
    Capability: say which replicas the proxy sends requests to.

    Where a replica stands is in its :attr:`console.domain.services.ReplicaFact.route`.
    """

    def routes(self, service: str) -> bool:
        """Whether the proxy's members of *service* are ours to set; pure."""

    def set_route(self, replica: str, *, member: bool) -> None:
        """
        Let *replica* get requests, or no new ones any more.

        Returns once the proxy answers with the new configuration; requests it had
        sent before may still be going on.  Idempotent.

        Raises:
            Unreachable: If the proxy does not answer.
            ConsoleError: If it declines; it goes on as before.
        """

    def route_command(self, replica: str, *, member: bool) -> str:
        """Return what :meth:`set_route` does, for the operator."""


@runtime_checkable
class HasMaintenance(Protocol):
    """
    Capability: show users a maintenance page in place of the application.

    Whether it is shown is in :attr:`console.domain.services.Topology.maintenance`.
    """

    def has_maintenance(self) -> bool:
        """Whether this stack's proxy has such a page."""

    def set_maintenance(self, *, on: bool) -> None:
        """Have every proxy show it from the next request on, or no more.  Idempotent."""

    def maintenance_command(self, *, on: bool) -> str:
        """Return what :meth:`set_maintenance` does, for the operator."""


@runtime_checkable
class HasSettings(Protocol):
    """Capability: change settings (Topology.settings) for replicas started from then on."""

    def settings(self) -> tuple[Setting, ...]:
        """Return every setting that is known, with its value unless it is a secret."""

    def concerned(self, values: Mapping[str, str | None]) -> tuple[str, ...]:
        """
        Return the services whose configuration these values (None: the default) would change.

        Raises:
            UsageError: If the stack would not be understood with them.
        """

    def write_settings(self, values: Mapping[str, str | None]) -> None:
        """Set them, None removing what was set; what runs goes on as it is.  Idempotent."""

    def settings_command(self, values: Mapping[str, str | None]) -> str:
        """Return what :meth:`write_settings` does, for the operator; pure."""


@runtime_checkable
class SetsLimits(Protocol):
    """Capability: change the limits (ReplicaFact.limits) of a replica while it runs."""

    def limit_settings(self, service: str) -> LimitSettings:
        """Return which settings a new replica of *service* has its limits from."""

    def set_limits(self, replica: str, limits: Limits) -> None:
        """
        Set the limits that are not None; idempotent.

        Raises:
            ConsoleError: If the engine declines; they are as before then.
        """

    def limits_command(self, replica: str, limits: Limits) -> str:
        """Return the command that :meth:`set_limits` amounts to."""


@runtime_checkable
class HasImages(Protocol):
    """Capability: know which images the product no longer needs, and remove them."""

    def removable_images(self, kept: int) -> list[Leftover]:
        """
        Return images of older releases, and of our builds that lost their name.

        Never one that any container has.

        Args:
            kept: How many releases before the present one stay.
        """

    def image_exists(self, image: str) -> bool:
        """Whether there is an image of that name or id."""

    def remove_image(self, image: str) -> None:
        """Remove it; declined while a container has it.  Idempotent."""

    def old_build_cache(self) -> int:
        """Return the bytes of the builder's cache that nothing has used for a week."""

    def remove_build_cache(self) -> None:
        """Remove these.  Idempotent."""


@runtime_checkable
class HasLogFiles(Protocol):
    """Capability: know the rotated logs in the state directory, and remove them."""

    def old_logs(self, days: float) -> list[Leftover]:
        """Return those that are older; never one that is being written."""

    def remove_log(self, name: str) -> None:
        """Remove one of them.  Idempotent."""


@runtime_checkable
class StartsStack(Protocol):
    """Capability: bring the whole stack up from nothing, and down again."""

    def bring_up(self, progress: Callable[[str], None]) -> None:
        """
        Make what is missing and start every replica that should run.

        Directories, secrets, database, migrations, supervision.  Idempotent, and
        returns once everything was asked to run, not once it is healthy.

        Args:
            progress: Called with one line per thing done.
        """

    def wanted(self) -> bool:
        """Whether it was started and not stopped since, whatever runs now."""

    def take_down(self, progress: Callable[[str], None], timeout_seconds: float) -> None:
        """Stop every replica and the supervision; data stays.  Idempotent."""

    def revive(self) -> bool:
        """Start the supervision again if it died though the stack should run; True if so."""


class Source(Protocol):
    """
    Something that observes and can never change anything.

    ``read`` blocks for at most ``timeout_seconds`` and raises Unreachable.
    """

    @property
    def name(self) -> str:
        """Shown to the operator: ``runtime``, ``health``, ``broker``."""

    @property
    def interval_seconds(self) -> float:
        """How often it is worth reading."""

    def read(self, topology: Topology | None) -> Reading:
        """Return one reading; *topology* is the latest one known, None at first."""


class StepKind(Protocol):
    """
    One kind of step: how to see that it is true, and how to make it true.

    Taking back is not a method: a plan's ``undo`` is steps of these same kinds.
    """

    @property
    def name(self) -> str:
        """As in :attr:`console.domain.plans.Step.kind`."""

    def observe(self, step: Step, snapshot: Snapshot) -> Observation:
        """Tell from one snapshot whether the step's effect is already true."""

    def do(self, step: Step) -> None:
        """Begin to make it true; the runner waits for the observation."""


class Journal(Protocol):
    """Durable record of operations; every call is one transaction."""

    def submit(self, plan: Plan, actor: Actor, reason: str) -> Operation:
        """Record a new operation; raises Busy when one is unfinished."""

    def operation(self, operation_id: str) -> Operation:
        """Return one operation; raises UsageError for an unknown id."""

    def operations(self, limit: int = 50) -> list[Operation]:
        """Return operations, newest first."""

    def unfinished(self) -> Operation | None:
        """Return the operation that forbids a new one, or None."""

    def claim(self, operation_id: str, mode: str) -> Operation:
        """
        Take an operation over as its runner, which must hold the lock.

        Raises:
            Refused: When it was settled meanwhile, or is to be run in another mode.
        """

    def set_state(self, operation_id: str, state: OperationState, **fields: object) -> None:
        """Move an operation on; final states add the audit entry in the same transaction."""

    def step(self, operation_id: str, seq: int, name: str, phase: StepPhase, detail: str) -> None:
        """Record a step event."""

    def events(self, operation_id: str, after_event_id: int = 0) -> list[StepEvent]:
        """Return step events after one already seen, oldest first."""

    def request_cancel(self, operation_id: str) -> None:
        """Ask the runner to stop at its next step boundary."""

    def reopen(self, operation_id: str, actor: Actor, mode: str, reason: str = "") -> Operation:
        """
        Make an unfinished or finished operation ready to ``run`` again or to ``undo``.

        Raises:
            Busy: When it is running, or another one is unfinished.
            Refused: When *mode* makes no sense in its state (resume of a done one).
        """

    def accept(self, operation_id: str, actor: Actor, reason: str) -> None:
        """Settle an interrupted or frozen operation as it stands; audited."""

    def record(self, change: Change, note: tuple[str, str] | None = None) -> None:
        """
        Record a change that is no operation (start, stop, elevation), audited alike.

        Args:
            change: What happened.
            note: Key and text that :meth:`note` tells from now on; kept in the same
                transaction.
        """

    def note(self, key: str) -> str | None:
        """Return what was last noted under *key*, None when nothing was."""

    def changes(self, limit: int = 20, operation_id: str | None = None) -> list[Change]:
        """Return the last changes by anybody, newest first; of one operation if given."""

    def audit(self, limit: int = 50) -> list[dict[str, Json]]:
        """Return the last audit entries, newest first, as they are written."""

    def verify_audit(self) -> AuditVerdict:
        """Recompute the audit's chain against the head kept in the journal."""

    def elevated_until(self) -> datetime | None:
        """Return when the present write access ends, None when there is none."""

    def elevate(self, actor: Actor, until: datetime, reason: str) -> None:
        """Grant write access until a moment (now or earlier: end it); audited."""

    def settle_elevation(self) -> None:
        """Record the end of write access that ran out, and what used it; else do nothing."""


class Pictures(Protocol):
    """Where the agent leaves its last snapshot for every console to read."""

    def write(self, snapshot: Snapshot) -> None:
        """Replace the picture atomically."""

    def read(self) -> Snapshot | None:
        """Return the last picture, or None when there is none or it cannot be read."""

    def agent_alive(self) -> bool:
        """Whether an agent holds the agent's lock now."""


class History(Protocol):
    """Figures over time, bounded on disk."""

    def append(self, snapshot: Snapshot) -> None:
        """Keep the figures of one snapshot."""

    def series(self, name: str, seconds: float) -> list[tuple[datetime, float | None]]:
        """Return one figure over the last *seconds*, oldest first; gaps are None."""
