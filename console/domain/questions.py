"""
Questions of an operation, read from its story: nothing else remembers them.

A step that asks writes ``asked``; whoever answers writes ``answered``, in one
transaction that refuses when the question is no longer open.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta

from console.domain.operations import (
    Actor,
    OpenQuestion,
    Operation,
    OperationState,
    StepEvent,
    StepPhase,
)
from console.domain.plans import Plan
from console.errors import Refused, UsageError

YES, NO, WAIT = "yes", "no", "wait"
#: Written by the runner when what was waited for came true before anybody answered.
SETTLED = "settled"

#: Phases of a story that are no phase of a step.
TALK = frozenset({StepPhase.ASKED, StepPhase.ANSWERED})
_CLOSES = frozenset({StepPhase.FAILED, StepPhase.UNDONE})


@dataclass(frozen=True, slots=True)
class Asked:
    """What is open and what was answered, by step, as far as it still stands."""

    open: dict[str, StepEvent] = field(default_factory=dict)
    answered: dict[str, StepEvent] = field(default_factory=dict)


def asked_so_far(plan: Plan, events: Iterable[StepEvent]) -> Asked:
    """
    Return what stands of all that was asked and answered.

    An answer stands while its operation goes forward: a decision of the time before
    it went back says nothing about another try.

    Args:
        plan: Its steps say which of them may ask.
        events: The whole story, oldest first.
    """
    told = Asked()
    asking = {step.name for step in plan.steps if step.question is not None}
    for event in events if asking else ():
        if event.seq > len(plan.steps):
            told.open.clear()
            told.answered.clear()
        elif event.name in asking:
            if event.phase is StepPhase.ASKED:
                told.open[event.name] = event
                told.answered.pop(event.name, None)
            elif event.phase is StepPhase.ANSWERED:
                told.open.pop(event.name, None)
                told.answered[event.name] = event
            elif event.phase is not StepPhase.INTENT:
                told.open.pop(event.name, None)
                if event.phase in _CLOSES:
                    told.answered.pop(event.name, None)
    return told


def open_question(plan: Plan, events: Iterable[StepEvent]) -> OpenQuestion | None:
    """Return what a running operation asks now, None when nothing."""
    questions = {step.name: step.question for step in plan.steps}
    for event in asked_so_far(plan, events).open.values():
        question = questions[event.name]
        if question is not None:
            return OpenQuestion(
                step=event.name,
                text=question.text,
                seen=event.detail,
                choices=dict(question.choices),
                asked_at=event.at,
                until=event.at + timedelta(seconds=question.wait_seconds),
            )
    return None


def word_of(answered: StepEvent) -> str:
    """Return the word that was answered."""
    return answered.detail.partition(" ")[0].rstrip(":")


def answer_words(word: str, actor: Actor | None, reason: str) -> str:
    """Return an answer as its event tells it; *actor* is None where nobody gave it."""
    by = f"{word} by {actor}" if actor is not None else word
    return f"{by}: {reason}" if reason else by


def check_answer(operation: Operation, word: str, step: str | None) -> OpenQuestion:
    """
    Return the question that *word* answers.

    Args:
        operation: As it is seen now.
        word: ``yes``, ``no`` or ``wait``.
        step: Whose question is meant; None for whichever is open.

    Raises:
        Refused: When nothing is asked, or something else by now.
        UsageError: When it is no answer to what is asked.
    """
    question = operation.question
    if operation.state is OperationState.INTERRUPTED:
        raise Refused(
            f"operation {operation.id} is interrupted, and asks nothing while nobody runs it",
            unchanged="nothing was changed",
            remedy=f"fragrance operations resume {operation.id}  (it asks again)",
        )
    if operation.state is not OperationState.RUNNING or question is None:
        raise Refused(
            f"operation {operation.id} is {operation.state.value} and asks nothing now",
            unchanged="nothing was changed",
            remedy=f"fragrance operations show {operation.id}",
        )
    if step is not None and step != question.step:
        raise Refused(
            f"operation {operation.id} asks something else by now: {question.text}",
            unchanged="nothing was answered",
            remedy=f"fragrance operations show {operation.id}",
        )
    if word not in question.choices and word != SETTLED:
        raise UsageError(
            f"{word!r} is no answer to: {question.text}",
            unchanged="nothing was answered",
            remedy="; ".join(f"{key}: {text}" for key, text in question.choices.items()),
        )
    return question
