"""What the journal says is going on."""

from __future__ import annotations

from console.domain.operations import Operation, OperationSummary, StepPhase
from console.domain.readings import JournalReading
from console.domain.services import Topology
from console.domain.silences import NOTE as SILENCES_NOTE
from console.domain.silences import read_silences
from console.ports import Journal

CHANGES_SHOWN = 20


class JournalSource:
    """
    The unfinished operation and the last changes.

    Args:
        journal: Where they are recorded.
    """

    name = "journal"
    interval_seconds = 1.0

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def read(self, topology: Topology | None) -> JournalReading:
        """Return the unfinished operation, if any, and the last changes."""
        del topology
        unfinished = self._journal.unfinished()
        return JournalReading(
            operation=summarise(unfinished) if unfinished is not None else None,
            incident=None,
            changes=tuple(self._journal.changes(CHANGES_SHOWN)),
            silences=read_silences(self._journal.note(SILENCES_NOTE)),
        )


def summarise(operation: Operation) -> OperationSummary:
    """Return an operation as a snapshot carries it, with the step it is at."""
    begun = [step.name for step in operation.steps if step.phase is StepPhase.INTENT]
    return OperationSummary(
        id=operation.id,
        verb=operation.verb,
        state=operation.state,
        step=begun[-1] if begun else None,
        started_at=operation.started_at or operation.submitted_at,
        actor=str(operation.actor),
        question=operation.question,
    )
