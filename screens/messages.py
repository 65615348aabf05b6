"""
What the feeds tell the screens; named in the past tense.

A message that only says "there is news" may be replaced by a later one of its
kind (``can_replace``); errors, steps and answers stay whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from textual.message import Message

from console.domain.audit import AuditVerdict
from console.domain.description import ServiceDescription
from console.domain.film import Frame, Landmark
from console.domain.happenings import Happening
from console.domain.measures import MeasuredRange
from console.domain.operations import Operation, StepEvent
from console.domain.plans import Json, Plan
from console.domain.runbook import Section
from console.domain.settling import Settling
from console.domain.snapshot import Snapshot
from console.domain.tunables import Setting
from console.errors import ConsoleError
from screens.effect import Effect

if TYPE_CHECKING:
    from collections.abc import Mapping

    from console.duties.autoscale import Switch
    from console.engine import Access


class PictureRecalled(Message):
    """The agent's last picture was found; it may be old."""

    def __init__(self, snapshot: Snapshot) -> None:
        super().__init__()
        self.snapshot = snapshot


class SnapshotFetched(Message):
    """A new picture was read, with the access that goes with it."""

    def __init__(self, snapshot: Snapshot, access: Access | None) -> None:
        super().__init__()
        self.snapshot = snapshot
        self.access = access

    def can_replace(self, message: Message) -> bool:
        """Let a later picture stand for this one."""
        return isinstance(message, SnapshotFetched)


class SnapshotFailed(Message):
    """The picture could not be read; told once per change of the reason."""

    def __init__(self, lines: tuple[str, ...]) -> None:
        super().__init__()
        self.lines = lines


class TrendsRead(Message):
    """Figures of the last half hour were read from the agent's history."""

    def __init__(self, trends: Mapping[str, tuple[float | None, ...]]) -> None:
        super().__init__()
        self.trends = trends

    def can_replace(self, message: Message) -> bool:
        """Let later ones stand for these."""
        return isinstance(message, TrendsRead)


class ServiceDescribed(Message):
    """Everything about one service was asked for, with what happened to it lately."""

    def __init__(
        self,
        name: str,
        description: ServiceDescription | None,
        happened: Sequence[Happening],
        failed: ConsoleError | None = None,
        then: datetime | None = None,
    ) -> None:
        super().__init__()
        self.then = then  # the moment it is of; None for the present
        self.name = name
        self.description = description
        self.happened = tuple(happened)
        self.failed = failed


class HappeningsRead(Message):
    """What happened lately was read, or what had happened *then*."""

    def __init__(self, happened: Sequence[Happening], then: datetime | None = None) -> None:
        super().__init__()
        self.then = then
        self.happened = tuple(happened)


class MovedInTime(Message):
    """
    A picture of the past was looked for; None where that would be the present.

    Args:
        wish: Number of the wish that it answers.
        frame: The picture.
        trends: Figures of the half hour before it.
        failed: Why there is none.
    """

    def __init__(
        self,
        wish: int,
        frame: Frame | None,
        trends: Mapping[str, tuple[float | None, ...]],
        failed: ConsoleError | None = None,
    ) -> None:
        super().__init__()
        self.wish = wish
        self.frame = frame
        self.trends = trends
        self.failed = failed


class LandmarksRead(Message):
    """What one may want to go back to was read, the newest first."""

    def __init__(self, landmarks: Sequence[Landmark]) -> None:
        super().__init__()
        self.landmarks = tuple(landmarks)


class LogLinesArrived(Message):
    """Lines wait in the log ring; they are not in the message."""

    def can_replace(self, message: Message) -> bool:
        """Let one notice stand for many."""
        return isinstance(message, LogLinesArrived)


class LogsCaughtUp(Message):
    """All that was said before is read; what comes now is new."""


class LogsEnded(Message):
    """Reading the logs ended by itself: with a reason it is tried again."""

    def __init__(self, lines: tuple[str, ...]) -> None:
        super().__init__()
        self.lines = lines


class LogsSaved(Message):
    """Log lines were written to a file."""

    def __init__(self, path: str, count: int) -> None:
        super().__init__()
        self.path = path
        self.count = count


class OperationsListed(Message):
    """The list of operations changed; ``whole`` if the oldest is among them."""

    def __init__(self, operations: tuple[Operation, ...], *, whole: bool) -> None:
        super().__init__()
        self.operations = operations
        self.whole = whole


class AuditListed(Message):
    """The entries of the audit changed; ``whole`` if the oldest is among them."""

    def __init__(
        self, entries: tuple[dict[str, Json], ...], verdict: AuditVerdict | None, *, whole: bool
    ) -> None:
        super().__init__()
        self.entries = entries
        self.verdict = verdict
        self.whole = whole


class OperationAdvanced(Message):
    """The operation that is followed moved on."""

    def __init__(self, operation: Operation, events: tuple[StepEvent, ...]) -> None:
        super().__init__()
        self.operation = operation
        self.events = events


class EffectSeen(Message):
    """What the followed operation did to the figures was read, and whether it settled."""

    def __init__(self, effects: tuple[Effect, ...], settling: Settling | None) -> None:
        super().__init__()
        self.effects = effects
        self.settling = settling


class RangeMeasured(Message):
    """The figures over a range of time were read, up to now or to *then*."""

    def __init__(
        self, seconds: float, measured: MeasuredRange, then: datetime | None = None
    ) -> None:
        super().__init__()
        self.then = then
        self.seconds = seconds
        self.measured = measured

    def can_replace(self, message: Message) -> bool:
        """Let a later reading stand for this one."""
        return isinstance(message, RangeMeasured)


class ProcedureFound(Message):
    """A section of the runbook was read; None where there is none."""

    def __init__(self, section: Section | None) -> None:
        super().__init__()
        self.section = section


class SettingsListed(Message):
    """The stack's settings were read."""

    def __init__(self, settings: tuple[Setting, ...]) -> None:
        super().__init__()
        self.settings = settings


class AutoscaleSeen(Message):
    """Which services scale by themselves was read."""

    def __init__(self, switches: Mapping[str, Switch]) -> None:
        super().__init__()
        self.switches = switches


class PlanMade(Message):
    """A plan was made and waits for the operator."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.plan = plan


class OperationSubmitted(Message):
    """A plan was journalled and its runner started."""

    def __init__(self, operation: Operation) -> None:
        super().__init__()
        self.operation = operation


class RequestDone(Message):
    """Something that was asked of the engine is done; says what in words."""

    def __init__(self, words: str) -> None:
        super().__init__()
        self.words = words


class RequestFailed(Message):
    """The engine refused or failed; carries the error with its remedy."""

    def __init__(self, error: ConsoleError) -> None:
        super().__init__()
        self.error = error
