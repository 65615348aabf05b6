"""
The engine: everything a screen or a command may ask for, in one place.

What only reads is a :class:`~console.reader.Reader`'s; what changes the stack is here.
It blocks, always with a timeout; screens call it from thread workers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from console.collector import Collector
from console.domain.alerting import RULES
from console.domain.alerts import Delivery, Silence
from console.domain.lifecycle import ACTIVE, busy_with
from console.domain.operations import Actor, Change, Operation, OperationState
from console.domain.plans import Json, Plan
from console.domain.snapshot import AgentState, Snapshot
from console.duties.autoscale import turn
from console.errors import Interrupted, ReadOnly, Refused, UsageError
from console.operations.delivering import DeliveryTest
from console.operations.lock import OperationLock
from console.operations.request import PlanRequest
from console.operations.silencing import Silencing
from console.operations.world import RUNTIME_SOURCE, same_world
from console.ports import Alerting, Clock, Film, History, Journal, Monitoring, Pictures, Runtime
from console.reader import Reader
from console.settings import Settings

#: A plan is made from the agent's picture while it is younger than this, seconds, and
#: the runtime, asked anew, tells the same.
PLANNED_FROM_SECONDS = 2.0


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


class Engine(Reader):
    """
    One stack, to be seen and to be changed.

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
        film: The agent's pictures of the past.
        monitoring: Asks Prometheus, where one runs.
        alerting: Tells an Alertmanager of silences, where one runs.
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
        film: Film | None = None,
        monitoring: Monitoring | None = None,
        alerting: Alerting | None = None,
    ) -> None:
        super().__init__(
            settings=settings,
            runtime=runtime,
            collector=collector,
            pictures=pictures,
            journal=journal,
            history=history,
            clock=clock,
            film=film,
            monitoring=monitoring,
        )
        self.actor = actor
        self._planners = planners
        self._launch_runner = launch_runner
        self._silencing = Silencing(journal, alerting, clock)
        self._delivery = DeliveryTest(journal, alerting, clock)

    # Whether one may ---------------------------------------------------------

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

    def require_write(self) -> None:
        """Raise ReadOnly unless changes are allowed now."""
        if not self.access().write:
            raise ReadOnly(
                f"read-only: this is {self.settings.environment}",
                unchanged="nothing was changed",
                remedy='fragrance elevate --minutes 15 --reason "…"  (w in the console)',
            )

    def require_idle(self) -> None:
        """Raise Busy when another operation runs or is unfinished."""
        operation = self.journal.unfinished()
        if operation is not None:
            raise busy_with(operation)

    # Operations --------------------------------------------------------------

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

    # Standing orders ---------------------------------------------------------

    def autoscale(self, service: str, reason: str, *, on: bool) -> list[str]:
        """Turn it on or off for *service*, recorded; return what was not so already."""
        self.require_write()
        return turn(self.journal, [service], self.actor, reason, self.clock.now(), on=on)

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

    def test_alerts(self, reason: str = "") -> tuple[Delivery, ...]:
        """Send a test to every receiver of alerts, recorded; see :class:`DeliveryTest`."""
        self.require_write()
        return self._delivery.send(self.snapshot(), self.actor, reason)
