"""
Asking a person, through the journal: for any console, and for the runner after this one.

The question, every answer and its end are events of the step.  An end that the runner
makes itself (nobody answered, it came true meanwhile) goes through the same guarded
transaction as a person's answer, so that of two in the same moment one holds and the
other is told.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass

from console.domain.operations import Operation, StepEvent, StepPhase
from console.domain.plans import Question, Step
from console.domain.questions import (
    NO,
    SETTLED,
    YES,
    Asked,
    asked_so_far,
    word_of,
)
from console.errors import Refused
from console.ports import Clock, Journal


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: its word, and the whole of it in words."""

    word: str
    told: str


class Asking:
    """
    The question of one step of one operation.

    Args:
        journal: Where it is asked and answered.
        clock: Time.
        operation: Whose step it is.
        seq: The step's number.
        step: Has a question.
        recording: Around every use of the journal.
    """

    def __init__(
        self,
        journal: Journal,
        clock: Clock,
        operation: Operation,
        seq: int,
        step: Step,
        question: Question,
        recording: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._operation = operation
        self._seq = seq
        self._step = step
        self._question = question
        self._recording = recording
        self._until: float | None = None
        told = self._told()
        #: Whether a runner that is gone asked it already: it has waited long enough.
        self.asked_before = step.name in told.open
        answered = told.answered.get(step.name)
        #: The answer by which this step counts as done, None where there is none.
        self.went_on = (
            answered.detail if answered is not None and word_of(answered) == YES else None
        )
        #: Whether a person decided to go on without it.
        self.decided = self.went_on is not None

    def ask(self, seen: str) -> Reply | None:
        """Ask; from the second call on return the answer, None while there is none."""
        if self._until is not None and self._clock.monotonic() >= self._until:
            self._end(NO, f"nobody answered within {self._question.wait_seconds:g} s")
        asked = self._until is not None or self.asked_before
        answered = self._answer() if asked else None
        if answered is not None:
            self._until, self.asked_before = None, False
            word = word_of(answered)
            self.decided = word == YES
            return Reply(word, answered.detail)
        if self._until is None:
            name = self._step.name
            with self._recording():
                self._journal.step(self._operation.id, self._seq, name, StepPhase.ASKED, seen)
            self._until = self._clock.monotonic() + self._question.wait_seconds
        return None

    def settle(self) -> bool:
        """End it because it came true; False when somebody answered in the same moment."""
        if self._until is None and not self.asked_before:
            return True
        self._end(SETTLED, "it came true")
        answered = self._answer()
        return answered is None or word_of(answered) == SETTLED

    def _end(self, word: str, why: str) -> None:
        with self._recording(), suppress(Refused):
            self._journal.answer(self._operation.id, word, None, why, self._step.name)

    def _answer(self) -> StepEvent | None:
        return self._told().answered.get(self._step.name)

    def _told(self) -> Asked:
        with self._recording():
            events = self._journal.events(self._operation.id)
        return asked_so_far(self._operation.plan, events)
