"""
What there is to see of a stack: its picture now, figures over time, what is recorded.

Everything here reads and changes nothing.  It blocks, always with a timeout, and holds
no state of its own: pictures come from the agent or the collector, truth about
operations from the journal.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from console.capabilities import Describes
from console.collector import Collector
from console.domain.audit import AuditVerdict
from console.domain.description import ServiceDescription
from console.domain.film import Frame
from console.domain.happenings import Happening, Kind, concerning, merged
from console.domain.measures import MeasuredRange
from console.domain.operations import Operation, StepEvent
from console.domain.plans import Json
from console.domain.runbook import Runbook
from console.domain.settling import Settling
from console.domain.snapshot import AgentState, Snapshot
from console.duties.autoscale import Switch, switches
from console.duties.settling import settling
from console.errors import ConsoleError, NotSupported
from console.measuring import Measuring
from console.ports import (
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
#: How long the agent is given to take a picture that knows of the last change, seconds.
CATCH_UP_SECONDS = 2.0
#: More than anybody reads of what was done in an hour.
MOST_CHANGES = 500


class Reader:
    """
    What there is to see of one stack; nothing here changes it.

    Args:
        settings: Where the stack is and its policy.
        runtime: What runs its replicas.
        collector: Observes without an agent.
        pictures: The agent's last snapshot.
        journal: Operations, changes, elevation.
        history: Figures over time.
        clock: Time.
        film: The agent's pictures of the past.
        monitoring: Asks Prometheus, where one runs.
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
        clock: Clock,
        film: Film | None = None,
        monitoring: Monitoring | None = None,
    ) -> None:
        self.settings = settings
        self.runtime = runtime
        self.collector = collector
        self.journal = journal
        self.clock = clock
        self._pictures = pictures
        self._history = history
        self._film = film
        self._measuring = Measuring(history, monitoring, settings.policy, clock)

    # The present -------------------------------------------------------------

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

    def logs(self, request: LogRequest) -> Iterator[LogLine | None]:
        """Yield log lines; see :meth:`console.ports.Runtime.logs`."""
        return self.runtime.logs(request)

    def runbook(self) -> Runbook:
        """
        Return the procedures of the stack.

        Raises:
            Unreachable: If there is no RUNBOOK.md beside the compose file, or it cannot be read.
        """
        return read_runbook(self.settings.project)

    # The last hours ----------------------------------------------------------

    def series(self, name: str, seconds: float) -> list[tuple[datetime, float | None]]:
        """Return one figure over the last *seconds* from the agent's history."""
        return self._history.series(name, seconds)

    def means(
        self, names: Collection[str], seconds: float, count: int, until: datetime | None = None
    ) -> dict[str, tuple[float | None, ...]]:
        """Return some figures over the *seconds* before *until* in *count* means each."""
        return self._history.means(names, seconds, count, until)

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

    # What is recorded --------------------------------------------------------

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

    def autoscaled(self) -> dict[str, Switch]:
        """Return the services that the agent scales by itself, and who turned it on."""
        return switches(self.journal)

    def audit(self, limit: int = 50, before: int | None = None) -> list[dict[str, Json]]:
        """Return the last audit entries (before number *before*), newest first."""
        return self.journal.audit(limit, before)

    def verify_audit(self) -> AuditVerdict:
        """Recompute the audit's chain."""
        return self.journal.verify_audit()
