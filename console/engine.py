"""
The engine: everything a screen or a command may ask for, in one place.

It blocks, always with a timeout; screens call it from thread workers.  It holds
no state of its own: pictures come from the agent or the collector, truth about
operations from the journal.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from console.capabilities import Describes
from console.collector import Collector
from console.domain.alerting import RULES
from console.domain.alerts import Silence
from console.domain.audit import AuditVerdict
from console.domain.description import ServiceDescription
from console.domain.film import Frame
from console.domain.happenings import Happening, Kind, concerning, merged
from console.domain.lifecycle import ACTIVE, busy_with
from console.domain.measures import MeasuredRange
from console.domain.operations import Actor, Change, Operation, OperationState, StepEvent
from console.domain.plans import Json, Plan
from console.domain.runbook import Runbook
from console.domain.settling import Settling
from console.domain.snapshot import AgentState, Snapshot
from console.duties.autoscale import Switch, switches, turn
from console.duties.settling import settling
from console.errors import (
    ConsoleError,
    Interrupted,
    NotSupported,
    ReadOnly,
    Refused,
    UsageError,
)
from console.measuring import Measuring
from console.operations.lock import OperationLock
from console.operations.request import PlanRequest
from console.operations.silencing import Silencing
from console.operations.world import RUNTIME_SOURCE, same_world
from console.ports import (
    Alerting,
    Answered,
    Clock,
    Film,
    History,
    Journal,
    LogLine,
    LogRequest,
    Monitoring,
    Pictures,
    Runtime,
)
from console.settings import Settings, read_runbook

#: A picture older than this is not used as the agent's present view, seconds.
PICTURE_MAX_AGE_SECONDS = 5.0
#: A plan is made from the agent's picture while it is younger than this, seconds, and
#: the runtime, asked anew, tells the same.
PLANNED_FROM_SECONDS = 2.0
#: How long the agent is given to take a picture that knows of the last change, seconds.
CATCH_UP_SECONDS = 2.0
#: More than anybody reads of what was done in an hour.
MOST_CHANGES = 500


@dataclass(frozen=True, slots=True)
class Access:
    """
    Whether changes are allowed now.

    Args:
        write: True when changing anything is allowed.
        until: When write access ends; None when it does not, or there is none.
    """

    write: bool
    until: datetime | None


class Engine:
    """
    Facade over one stack.

    Args:
        settings: Where the stack is and its policy.
        runtime: What runs its replicas.
        collector: Observes without an agent.
        pictures: The agent's last snapshot.
        journal: Operations, changes, elevation.
        history: Figures over time.
        planners: ``plan_*`` by verb.
        launch_runner: Starts a detached runner for an operation id and a mode
            (``run``, ``undo``); returns once it is started.
        actor: Who is acting.
        clock: Time.
        monitoring: Asks Prometheus, where one runs.
        alerting: Tells an Alertmanager of silences, where one runs.
        film: The agent's pictures of the past.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        runtime: Runtime,
        collector: Collector,
        pictures: Pictures,
        journal: Journal,
        history: History,
        planners: Mapping[str, Callable[[PlanRequest], Plan]],
        launch_runner: Callable[[str, str], None],
        actor: Actor,
        clock: Clock,
        monitoring: Monitoring | None = None,
        alerting: Alerting | None = None,
        film: Film | None = None,
    ) -> None:
        self.settings = settings
        self.runtime = runtime
        self.collector = collector
        self.journal = journal
        self.actor = actor
        self.clock = clock
        self._pictures = pictures
        self._history = history
        self._film = film
        self._planners = planners
        self._launch_runner = launch_runner
        self._measuring = Measuring(history, monitoring, settings.policy, clock)
        self._silencing = Silencing(journal, alerting, clock)

    # Observing ---------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """
        Return the present picture: the agent's, else one collected here.

        A collected one says ``agent: absent``; the first takes as long as the
        slowest source (bounded by its timeout), later ones are kept warm by the
        collector's own threads once :meth:`watch` was called.
        """
        picture = self._present_picture()
        if picture is not None:
            return picture
        return replace(self.collector.latest_or_collect(), agent=AgentState.ABSENT)

    def _present_picture(self, oldest: float = PICTURE_MAX_AGE_SECONDS) -> Snapshot | None:
        """Return the agent's picture while it is young enough, in seconds, to be of now."""
        picture = self._pictures.read() if self._pictures.agent_alive() else None
        if picture is None:
            return None
        age = (self.clock.now() - picture.taken_at).total_seconds()
        return picture if age <= oldest else None

    def present(self) -> Snapshot:
        """
        Return a picture that knows of every change recorded so far.

        For who asks once: right after a change the agent's last picture may still be
        the one before, and an answer must not deny what the same person just did.
        """
        try:
            newest = [change.at for change in self.journal.changes(1)]
        except ConsoleError:
            return self.snapshot()  # a broken journal is told by its source, and hides nothing else
        deadline = self.clock.monotonic() + CATCH_UP_SECONDS
        snapshot = self.snapshot()
        while snapshot.agent is AgentState.RUNNING and not all(
            any(change.at >= at for change in snapshot.changes) for at in newest
        ):
            if self.clock.monotonic() >= deadline:
                return replace(self.collector.collect(), agent=AgentState.RUNNING)
            self.clock.sleep(0.05)
            snapshot = self.snapshot()
        return snapshot

    def last_picture(self) -> Snapshot | None:
        """Return the agent's last picture however old, to draw at once; None if none."""
        return self._pictures.read()

    def rewound(self, at: datetime, steps: int = 0) -> Frame | None:
        """Return a picture of the past; see :meth:`console.ports.Film.frame`."""
        if self._film is None:
            raise NotSupported("nothing is kept of the past here")
        return self._film.frame(at, steps)

    def watch(self) -> None:
        """Keep collecting in the background while there is no agent; idempotent."""
        if not self._pictures.agent_alive():
            self.collector.start()

    def close(self) -> None:
        """Stop what :meth:`watch` started, and close what is kept open."""
        self.collector.stop()
        self._measuring.close()

    def logs(self, request: LogRequest) -> Iterator[LogLine | None]:
        """Yield log lines; see :meth:`console.ports.Runtime.logs`."""
        return self.runtime.logs(request)

    def series(self, name: str, seconds: float) -> list[tuple[datetime, float | None]]:
        """Return one figure over the last *seconds* from the agent's history."""
        return self._history.series(name, seconds)

    def describe(self, service: str) -> ServiceDescription:
        """
        Return everything the runtime knows of *service*; for who opens it, not at every picture.

        Raises:
            NotSupported: If this runtime describes nothing.
            UsageError: If there is no such service.
            Unreachable: If it does not answer in time.
        """
        if not isinstance(self.runtime, Describes):
            raise NotSupported(f"the {self.runtime.name} runtime describes no services")
        return self.runtime.describe(service)

    def means(
        self, names: Collection[str], seconds: float, count: int, until: datetime | None = None
    ) -> dict[str, tuple[float | None, ...]]:
        """Return some figures over the *seconds* before *until* in *count* means each."""
        return self._history.means(names, seconds, count, until)

    def happened(
        self, seconds: float, service: str | None = None, until: datetime | None = None
    ) -> list[Happening]:
        """
        Return what happened in the last *seconds*, newest first.

        What was done is from the journal, what went by itself from the agent's history;
        a journal that is broken takes nothing away from the rest.

        Args:
            seconds: How far back.
            service: Leave out what does not concern it.
            until: Where they end; None for the present.
        """
        end = until or self.clock.now()
        since = end - timedelta(seconds=seconds)
        try:
            changes = [c for c in self.journal.changes(MOST_CHANGES) if c.at >= since]
            operations = [o for o in self.journal.operations(5) if o.submitted_at >= since]
        except ConsoleError:
            changes, operations = [], []
        found = merged(self._history.happened(seconds, until), changes, operations)
        if until is not None:
            found = [one for one in found if one.at <= until]
        if service is not None:
            return concerning(found, service)
        # What it did to the replicas is told anyway; the engine's own words are for who asks why.
        return [one for one in found if one.kind is not Kind.RUNTIME]

    def measured(self, seconds: float, then: Snapshot | None = None) -> MeasuredRange:
        """
        Return every figure over the last *seconds*; see :class:`Measuring`.

        Args:
            seconds: How far back.
            then: A picture of the past: up to when, and what there was to measure.
        """
        present = self.snapshot()
        if then is None:
            return self._measuring.measured(present, seconds)
        # Whom to ask, and whether they answer, is of now.
        asked = replace(then, sources=present.sources, endpoints=present.endpoints)
        return self._measuring.measured(asked, seconds, then.taken_at)

    def ask(self, promql: str, seconds: float | None = None) -> list[Answered]:
        """Return what Prometheus answers, now or over the last *seconds*."""
        return self._measuring.ask(self.snapshot(), promql, seconds)

    def runbook(self) -> Runbook:
        """
        Return the procedures of the stack.

        Raises:
            Unreachable: If there is no RUNBOOK.md beside the compose file, or it cannot be read.
        """
        return read_runbook(self.settings.project)

    def changes(self, limit: int = 20) -> list[Change]:
        """Return the last changes by anybody, newest first."""
        return self.journal.changes(limit)

    # Changing ----------------------------------------------------------------

    def access(self) -> Access:
        """Return whether changes are allowed now; production starts read-only."""
        if not self.settings.production:
            return Access(write=True, until=None)
        until = self.journal.elevated_until()
        if until is None or until <= self.clock.now():
            return Access(write=False, until=None)
        return Access(write=True, until=until)

    def elevate(self, minutes: int, reason: str) -> Access:
        """
        Take write access for a while; recorded.

        Raises:
            UsageError: If *minutes* is outside 0–240; 0 ends it now.
        """
        if not 0 <= minutes <= 240:
            raise UsageError(f"cannot elevate for {minutes} minutes", remedy="choose 0 to 240")
        self.journal.elevate(self.actor, self.clock.now() + timedelta(minutes=minutes), reason)
        return self.access()

    def plan(self, verb: str, wish: dict[str, Json]) -> Plan:
        """
        Make the plan of *verb* from a picture of now.

        Args:
            verb: A key of the operations table.
            wish: Arguments of the verb.

        Raises:
            Refused: When it should not or cannot be done, with the remedy.
            UsageError: When the wish makes no sense.
        """
        if verb not in self._planners:
            raise UsageError(
                f"unknown operation {verb!r}", remedy=f"one of {', '.join(sorted(self._planners))}"
            )
        return self._planners[verb](
            PlanRequest(
                self._picture_to_plan_from(),
                self.settings.policy,
                self.runtime,
                dict(wish),
                measured=self._present_picture(),
            )
        )

    def _picture_to_plan_from(self) -> Snapshot:
        """
        Return the agent's picture where the runtime tells the same now, else one taken now.

        What runs is always asked anew, because a picture may be a moment old; asking all
        the rest again would keep an operator waiting for what the agent has just read.
        """
        picture = self._present_picture(PLANNED_FROM_SECONDS)
        if (
            picture is not None
            and not any(source.troubled for source in picture.sources)
            and same_world(picture, self.collector.collect({RUNTIME_SOURCE}))
        ):
            return picture
        # Whether there is an agent is a fact about the stack, not about this picture.
        alive = self._pictures.agent_alive()
        agent = AgentState.RUNNING if alive else AgentState.ABSENT
        return replace(self.collector.collect(), agent=agent)

    def require_write(self) -> None:
        """Raise ReadOnly unless changes are allowed now."""
        if not self.access().write:
            raise ReadOnly(
                f"read-only: this is {self.settings.environment}",
                unchanged="nothing was changed",
                remedy='fragrance elevate --minutes 15 --reason "…"  (w in the console)',
            )

    def submit(self, plan: Plan, reason: str, actor: Actor | None = None) -> Operation:
        """
        Journal *plan* and start its detached runner.

        Args:
            plan: From :meth:`plan`.
            reason: Why, for the audit.
            actor: The agent, where it does what a person with write access allowed it.

        Raises:
            ReadOnly: Without write access.
            Busy: When another operation runs or is unfinished.
        """
        if actor is None:
            self.require_write()
        operation = self.journal.submit(plan, actor or self.actor, reason)
        self._launch(operation.id, "run")
        return operation

    def require_idle(self) -> None:
        """Raise Busy when another operation runs or is unfinished."""
        operation = self.journal.unfinished()
        if operation is not None:
            raise busy_with(operation)

    def preempt(self, timeout_seconds: float = 120.0, reason: str = "") -> Operation | None:
        """
        Cancel the operation at work, if any, and wait until it has gone back.

        Args:
            timeout_seconds: How long it may take to its next step boundary and back.
            reason: Why; recorded.

        Returns:
            What was cancelled, None when nothing was at work.

        Raises:
            Busy: When it is no longer at work and waits for a person, or does not
                come to its next step boundary in time.
        """
        self.require_write()
        operation = self.journal.unfinished()
        if operation is None:
            return None
        if operation.state in ACTIVE:
            self._request_cancel(operation, reason)
        deadline = self.clock.monotonic() + timeout_seconds
        while (now := self.journal.operation(operation.id)).state in ACTIVE:
            if self.clock.monotonic() >= deadline:
                break
            self.clock.sleep(0.2)
        if not now.finished:
            raise busy_with(now)
        return now

    def operation(self, operation_id: str) -> Operation:
        """Return one operation."""
        return self.journal.operation(operation_id)

    def operations(self, limit: int = 50, before: str | None = None) -> list[Operation]:
        """Return operations, newest first; older than the one called *before* if given."""
        return self.journal.operations(limit, before)

    def events(self, operation_id: str, after_event_id: int = 0) -> list[StepEvent]:
        """Return step events after one already seen."""
        return self.journal.events(operation_id, after_event_id)

    def settling(self, operation: Operation) -> Settling | None:
        """Tell whether what was scaled has settled; None when nothing is followed."""
        return settling(self.journal, operation, self.settings.policy, self.clock)

    def cancel(self, operation_id: str, reason: str = "") -> None:
        """Ask a running operation to stop at its next step boundary and go back; recorded."""
        self.require_write()
        operation = self.journal.operation(operation_id)
        if operation.finished:
            raise Refused(
                f"operation {operation_id} is already {operation.state.value}",
                unchanged="nothing was changed",
            )
        self._request_cancel(operation, reason)

    def _request_cancel(self, operation: Operation, reason: str) -> None:
        """The outcome is its runner's to record; that it was asked for, and by whom, is ours."""
        self.journal.request_cancel(operation.id)
        self.journal.record(
            Change(
                at=self.clock.now(),
                actor=str(self.actor),
                what=f"cancel {operation.verb} {operation.plan.summary}",
                outcome="asked",
                reason=reason,
                operation_id=operation.id,
            )
        )

    def answer(
        self, operation_id: str, word: str, reason: str = "", step: str | None = None
    ) -> None:
        """Answer what a running operation asks; see :meth:`console.ports.Journal.answer`."""
        self.require_write()
        self.journal.answer(operation_id, word, self.actor, reason, step)

    def autoscaled(self) -> dict[str, Switch]:
        """Return the services that the agent scales by itself, and who turned it on."""
        return switches(self.journal)

    def autoscale(self, service: str, reason: str, *, on: bool) -> list[str]:
        """Turn it on or off for *service*, recorded; return what was not so already."""
        self.require_write()
        return turn(self.journal, [service], self.actor, reason, self.clock.now(), on=on)

    def resume(self, operation_id: str, reason: str = "") -> None:
        """Run an interrupted or frozen operation again; what is true is skipped."""
        self._continue(operation_id, "run", reason)

    def undo(self, operation_id: str, reason: str = "") -> None:
        """Take an operation back by its stored undo plan."""
        self._continue(operation_id, "undo", reason)

    def _continue(self, operation_id: str, mode: str, reason: str) -> None:
        self.require_write()
        operation = self.journal.reopen(operation_id, self.actor, mode, reason)
        self._launch(operation.id, mode)

    def _launch(self, operation_id: str, mode: str) -> None:
        """Start the runner; one that did not start leaves the operation interrupted."""
        try:
            self._launch_runner(operation_id, mode)
        except Interrupted as error:
            if self.journal.operation(operation_id).state is OperationState.SUBMITTED:
                self.journal.set_state(
                    operation_id,
                    OperationState.INTERRUPTED,
                    exit_code=error.exit_code,
                    outcome_message=error.message,
                    remedy=error.remedy,
                )
            raise

    def accept(self, operation_id: str, reason: str) -> None:
        """Declare the present state of an unfinished operation right; audited."""
        self.require_write()
        self.journal.accept(operation_id, self.actor, reason)

    def unlock(self, reason: str) -> int:
        """
        End a live but hung runner, which leaves its operation interrupted; recorded.

        Returns:
            The pid of the runner that was ended.
        """
        self.require_write()
        lock = OperationLock(self.settings.state, self.clock)
        owner = lock.owner()
        pid = lock.break_hold()
        self.journal.record(
            Change(
                at=self.clock.now(),
                actor=str(self.actor),
                what=f"ended the runner {pid}",
                outcome="done",
                reason=reason,
                operation_id=None if owner is None else owner.operation_id,
            )
        )
        return pid

    # Alerts ------------------------------------------------------------------

    def silence(self, alert: str, seconds: float, reason: str) -> Silence:
        """Silence an alert for a while, recorded; see :class:`Silencing`."""
        self.require_write()
        snapshot = self.snapshot()
        known = {rule.name for rule in RULES} | {found.name for found in snapshot.alerts}

        def is_known(name: str) -> bool:
            return name in known or self.runbook().section(name) is not None

        return self._silencing.silence(snapshot, alert, seconds, self.actor, reason, is_known)

    def unsilence(self, alert: str, reason: str = "") -> list[Silence]:
        """End the silences of an alert, recorded; see :class:`Silencing`."""
        self.require_write()
        return self._silencing.unsilence(self.snapshot(), alert, self.actor, reason)

    # Audit -------------------------------------------------------------------

    def audit(self, limit: int = 50, before: int | None = None) -> list[dict[str, Json]]:
        """Return the last audit entries (before number *before*), newest first."""
        return self.journal.audit(limit, before)

    def verify_audit(self) -> AuditVerdict:
        """Recompute the audit's chain."""
        return self.journal.verify_audit()
