"""Operations: a plan under way or done, with the record of each step."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from console.domain.plans import Plan


class OperationState(StrEnum):
    """
    Where an operation stands.

    ``submitted → running → done | reverted | cancelled | refused | frozen``;
    ``interrupted`` when its runner is gone, then ``resume`` leads on, ``undo``
    to ``undone`` and ``accept`` to ``accepted``.
    """

    SUBMITTED = "submitted"
    RUNNING = "running"
    INTERRUPTED = "interrupted"
    DONE = "done"
    REVERTED = "reverted"
    UNDONE = "undone"
    ACCEPTED = "accepted"
    CANCELLED = "cancelled"
    FROZEN = "frozen"
    REFUSED = "refused"


#: States that forbid a new operation until a person settles them.
UNFINISHED = frozenset(
    {
        OperationState.SUBMITTED,
        OperationState.RUNNING,
        OperationState.INTERRUPTED,
        OperationState.FROZEN,
    }
)


class StepPhase(StrEnum):
    """
    Phase of one step as journalled.

    ``asked`` and ``answered`` are lines of its story only: meanwhile its phase is intent.
    """

    PENDING = "pending"
    INTENT = "intent"
    SKIPPED = "skipped"
    DONE = "done"
    FAILED = "failed"
    UNDONE = "undone"
    ASKED = "asked"
    ANSWERED = "answered"


@dataclass(frozen=True, slots=True)
class Actor:
    """
    Who acts: the login user behind any sudo, and where they came from.

    Args:
        user: Name of the login user (loginuid, else SUDO_USER, else uid).
        uid: Numeric user id of the login user.
        origin: ``ssh 192.0.2.7`` or ``local``.
    """

    user: str
    uid: int
    origin: str = "local"

    def __str__(self) -> str:
        return self.user if self.origin == "local" else f"{self.user} ({self.origin})"


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One step of an operation: its latest phase, when, and words."""

    seq: int
    name: str
    phase: StepPhase
    at: datetime | None
    detail: str


@dataclass(frozen=True, slots=True)
class StepEvent:
    """
    One line of an operation's story, in the order it was journalled.

    Args:
        event_id: Rises by one per event over the whole journal; followers ask
            for what comes after the last they saw.
    """

    event_id: int
    operation_id: str
    seq: int
    name: str
    phase: StepPhase
    at: datetime
    detail: str


@dataclass(frozen=True, slots=True)
class OpenQuestion:
    """
    What a running operation asks of a person now.

    Args:
        step: Which of its steps asks.
        text: The question.
        seen: What was seen when it was asked.
        choices: What each answer does, by its word.
        asked_at: When.
        until: When it counts as answered with :attr:`without_answer`.
        without_answer: Word of the safe choice.
    """

    step: str
    text: str
    seen: str
    choices: dict[str, str]
    asked_at: datetime
    until: datetime
    without_answer: str = "no"


@dataclass(frozen=True, slots=True)
class Operation:
    """
    One operation with its plan and the record of its steps.

    ``outcome_message`` and ``remedy`` are for the operator; ``verified`` is True
    only when the wanted state was observed at the end; ``question`` is what it waits
    for a person to decide.
    """

    id: str
    verb: str
    actor: Actor
    reason: str
    state: OperationState
    plan: Plan
    submitted_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    steps: tuple[StepRecord, ...] = ()
    verified: bool = False
    exit_code: int | None = None
    outcome_message: str = ""
    remedy: str = ""
    cancel_requested: bool = False
    question: OpenQuestion | None = None

    @property
    def finished(self) -> bool:
        """Whether nothing is left for a person or a runner to do."""
        return self.state not in UNFINISHED


@dataclass(frozen=True, slots=True)
class OperationSummary:
    """The running or unfinished operation as a snapshot carries it."""

    id: str
    verb: str
    state: OperationState
    step: str | None
    started_at: datetime
    actor: str
    question: OpenQuestion | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """One change made to the stack by anybody, for "what changed lately"."""

    at: datetime
    actor: str
    what: str
    outcome: str
    reason: str = ""
    operation_id: str | None = None
    details: dict[str, str] = field(default_factory=dict)
