"""
Ports: what the engine needs from the outside world, and nothing more.

A runtime is what runs replicas.  The common port is small; everything else is a
capability of its own, in :mod:`console.capabilities`.  Adapters live in
:mod:`console.runtimes`, :mod:`console.sources` and :mod:`console.journal`; fakes in
``tests/fakes`` pass the same contract suites.

Every method that waits takes or states a timeout and raises
:class:`console.errors.Unreachable` when it passes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, runtime_checkable

from console.domain.alerts import Silence
from console.domain.audit import AuditVerdict
from console.domain.film import Frame
from console.domain.happenings import Happening
from console.domain.logs import LogLine as LogLine
from console.domain.logs import LogRequest as LogRequest
from console.domain.operations import Actor, Change, Operation, OperationState, StepEvent, StepPhase
from console.domain.plans import Json, Observation, Plan, Step
from console.domain.readings import Reading
from console.domain.services import ReplicaStats, Topology
from console.domain.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Answered:
    """One series of an answer of Prometheus: its labels and its values, oldest first."""

    labels: dict[str, str]
    values: tuple[float | None, ...]


class Clock(Protocol):
    """Time as a port, so that tests can stop it."""

    def now(self) -> datetime:
        """Return the aware UTC time, for records."""

    def monotonic(self) -> float:
        """Return seconds that never go back, for durations."""

    def sleep(self, seconds: float) -> None:
        """Wait; a fake advances at once."""


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

    @property
    def sources(self) -> Collection[str] | None:
        """
        Name the sources that ``observe`` needs read anew; None for all.

        Looks are many, and whatever is read in vain makes each of them longer.
        """

    def observe(self, step: Step, snapshot: Snapshot) -> Observation:
        """Tell from one snapshot whether the step's effect is already true."""

    def do(self, step: Step) -> None:
        """Begin to make it true; the runner waits for the observation."""


@runtime_checkable
class NarrowsSources(Protocol):
    """A step kind of which one step needs less read anew than another."""

    def sources_of(self, step: Step) -> Collection[str] | None:
        """Name what ``observe`` needs for *step*, as :attr:`StepKind.sources` does for any."""


class Journal(Protocol):
    """Durable record of operations; every call is one transaction."""

    def submit(self, plan: Plan, actor: Actor, reason: str) -> Operation:
        """Record a new operation; raises Busy when one is unfinished."""

    def operation(self, operation_id: str) -> Operation:
        """Return one operation; raises UsageError for an unknown id."""

    def operations(self, limit: int = 50, before: str | None = None) -> list[Operation]:
        """Return operations, newest first; older than the one called *before* if given."""

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

    def answer(
        self,
        operation_id: str,
        word: str,
        actor: Actor | None,
        reason: str = "",
        step: str | None = None,
    ) -> None:
        """
        Answer what a running operation asks; audited.

        Args:
            operation_id: Which.
            word: One of the question's choices.
            actor: Who decided; None: nobody, and its runner says so.
            reason: Why.
            step: Whose question is meant; None for whichever is open.

        Raises:
            Refused: When it is not, or no longer, asked.
            UsageError: When it is no answer to it.
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

    def audit(self, limit: int = 50, before: int | None = None) -> list[dict[str, Json]]:
        """Return the last audit entries (before number *before*), newest first, as written."""

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

    def note(self, happened: Sequence[Happening]) -> None:
        """Keep what was seen to happen."""

    def series(self, name: str, seconds: float) -> list[tuple[datetime, float | None]]:
        """Return one figure over the last *seconds*, oldest first; gaps are None."""

    def means(
        self, names: Collection[str], seconds: float, count: int, until: datetime | None = None
    ) -> dict[str, tuple[float | None, ...]]:
        """Return *count* means of each figure over *seconds* before *until*, in one reading."""

    def happened(self, seconds: float, until: datetime | None = None) -> list[Happening]:
        """Return what was seen to happen in the *seconds* before *until*, oldest first."""


class Film(Protocol):
    """Pictures of the past, bounded on disk."""

    def append(self, snapshot: Snapshot) -> None:
        """Keep one picture."""

    def frame(self, at: datetime, steps: int = 0) -> Frame | None:
        """
        Return the last picture taken at or before *at*, or one so many *steps* from it.

        None where that is beyond the newest; raises Unreachable where nothing was kept.
        """


class Monitoring(Protocol):
    """A Prometheus that is asked for figures over time; it can never change anything."""

    def ranges(
        self,
        address: str,
        queries: Mapping[str, str],
        begin: datetime,
        step_seconds: float,
        count: int,
    ) -> dict[str, tuple[float | None, ...]]:
        """
        Return the value of each query at even steps, oldest first; gaps are None.

        Raises:
            Unreachable: When it does not answer.
            UsageError: When it does not understand a query.
        """

    def ask(
        self, address: str, promql: str, begin: datetime | None, step_seconds: float, count: int
    ) -> list[Answered]:
        """
        Return every series of a query: its present value, or its values from *begin* on.

        Raises: as :meth:`ranges`.
        """

    def close(self) -> None:
        """Close kept connections; the next question opens anew."""


class TakesSilences(Protocol):
    """An Alertmanager that is told of silences."""

    def silence(self, address: str, silence: Silence) -> str:
        """
        Make a silence in the Alertmanager and return its name there.

        Raises:
            Unreachable: When it does not answer or does not take it.
        """

    def unsilence(self, address: str, silence_id: str) -> None:
        """End a silence in the Alertmanager, if it knows it; raises as :meth:`silence`."""


class TellsDelivery(Protocol):
    """An Alertmanager that is asked whether it reaches anybody."""

    def receivers(self, address: str) -> tuple[str, ...]:
        """Return the kinds of its receivers (``webhook``, ``slack``, ``pagerduty``); may raise."""

    def attempts(self, address: str) -> dict[str, tuple[float, float]]:
        """Return by kind how often it tried to send since its start, and how often in vain."""

    def raise_test(self, address: str, name: str, begin: datetime, end: datetime) -> None:
        """Give it an alert that is nobody's, called *name*, which ends at *end*."""


class Alerting(TakesSilences, TellsDelivery, Protocol):
    """An Alertmanager."""
