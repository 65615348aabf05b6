"""One operation as lines, pure: its steps as they happen, its result, what to press."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from rich.style import Style
from rich.text import Text

from console.domain.operations import (
    Operation,
    OperationState,
    StepEvent,
    StepPhase,
    StepRecord,
)
from screens.look import Look
from screens.rendering import (
    age,
    clean,
    duration,
    fold,
    heading,
    paragraph,
    phase_sign,
    put,
    state_sign,
    styled,
)

#: Which keys settle an operation in which state.
KEYS_BY_STATE: Mapping[str, frozenset[OperationState]] = {
    "resume": frozenset({OperationState.INTERRUPTED, OperationState.FROZEN}),
    "undo": frozenset({OperationState.INTERRUPTED, OperationState.FROZEN, OperationState.DONE}),
    "accept": frozenset({OperationState.INTERRUPTED, OperationState.FROZEN}),
    "cancel": frozenset({OperationState.SUBMITTED, OperationState.RUNNING}),
    "answer": frozenset({OperationState.RUNNING}),
}


def why_not_now(action_id: str, operation: Operation | None) -> str | None:
    """Return why *action_id* makes no sense for *operation*, None when it does."""
    if operation is None:
        return "no operation is selected"
    allowed = KEYS_BY_STATE.get(action_id)
    if allowed is not None and operation.state not in allowed:
        states = " or ".join(sorted(state.value for state in allowed))
        return f"it is {operation.state.value}; this is for one that is {states}"
    if action_id == "cancel" and operation.cancel_requested:
        return "it was asked to stop already"
    if action_id == "answer" and operation.question is None:
        return "it asks nothing now"
    if action_id == "undo" and not operation.plan.undo:
        return "its plan has no way back"
    return None


def operation_lines(
    operation: Operation,
    events: Sequence[StepEvent],
    look: Look,
    now: datetime,
    width: int,
    effect: Sequence[Text] = (),
) -> list[Text]:
    """Return *operation* with its *effect* and its steps, oldest first."""
    glyph, style = state_sign(operation.state, look)
    line = styled(f" {glyph} {operation.state.value.upper()}", style)
    line.append(f"  {clean(operation.plan.summary, 200)}", look.strong)
    line.truncate(width, overflow="ellipsis")
    lines = [Text(), line, _who(operation, now, look, width)]
    if operation.reason:
        lines += paragraph([f"reason: {clean(operation.reason, 500)}"], width, look.dim)
    lines += [*_result(operation, look, width), *_question(operation, now, look, width)]
    lines += [*effect, Text()]
    names = {step.name for step in operation.plan.steps}
    records = {record.name: record for record in operation.steps}
    lines.append(heading("Steps", look))
    for place, step in enumerate(operation.plan.steps, 1):
        record = records.get(step.name) or StepRecord(place, step.name, StepPhase.PENDING, None, "")
        lines += _step(place, record, step.command, events, look, width)
    going_back = [record for record in operation.steps if record.name not in names]
    if going_back:
        lines += [Text(), heading("Going back", look)]
        for place, record in enumerate(going_back, 1):
            lines += _step(place, record, "", events, look, width)
    elif operation.finished:
        lines += _commands(operation, look, width)
    return lines


def _commands(operation: Operation, look: Look, width: int) -> list[Text]:
    """Return what was run, and what would take it back: for who reads it afterwards."""
    lines: list[Text] = []
    for title, steps in (("Commands", operation.plan.steps), ("Undo plan", operation.plan.undo)):
        if not steps:
            continue
        note = (
            "u runs it" if title == "Undo plan" and operation.state is OperationState.DONE else ""
        )
        lines += [Text(), heading(title, look, note)]
        for place, step in enumerate(steps, 1):
            line = put(styled(" "), str(place), 2, look.dim, right=True)
            first, *others = fold(clean(step.command or step.name, 500), max(20, width - 5))
            lines.append(line.append(f" {first}", look.accent))
            lines += [styled(f"    {other}", look.accent) for other in others]
    return lines


def _who(operation: Operation, now: datetime, look: Look, width: int) -> Text:
    begin = operation.started_at or operation.submitted_at
    words = f" {clean(operation.verb, 40)} by {clean(str(operation.actor), 60)}"
    words += f" at {begin:%Y-%m-%d %H:%M} UTC"
    if operation.ended_at is not None:
        words += f", took {duration((operation.ended_at - begin).total_seconds())}"
    elif not operation.finished:
        words += f", for {age((now - begin).total_seconds())}"
    line = styled(f"{words} · {clean(operation.id, 40)}", look.dim)
    line.truncate(width, overflow="ellipsis")
    return line


def _result(operation: Operation, look: Look, width: int) -> list[Text]:
    lines = []
    if operation.state is OperationState.DONE:
        words, style = (
            ("✓ verified: the wanted state was observed", look.good)
            if operation.verified
            else ("▲ not verified: the wanted state was not observed", look.warn)
        )
        lines += paragraph([words], width, style)
    if operation.outcome_message:
        style = look.text if operation.finished else look.bad
        lines += paragraph([clean(operation.outcome_message, 2000)], width, style)
    if operation.remedy:
        lines += paragraph([f"next: {clean(operation.remedy, 1000)}"], width, look.text)
    if operation.cancel_requested and not operation.finished:
        words = "asked to stop: it goes back from the next step boundary"
        lines += paragraph([words], width, look.warn)
    if operation.state in {OperationState.INTERRUPTED, OperationState.FROZEN}:
        loud = look.bad + Style(reverse=True)
        words = " press r to resume, u to undo, A to accept the present state "
        lines.append(styled(f" {words}", loud))
    return lines


def _question(operation: Operation, now: datetime, look: Look, width: int) -> list[Text]:
    question = operation.question
    if question is None:
        return []
    loud = look.warn + Style(reverse=True)
    left = age((question.until - now).total_seconds())
    words = f" y answers; without an answer in {left} it goes back "
    lines = paragraph([f"? {clean(question.text, 500)}"], width, look.warn)
    lines += paragraph([f"  {clean(question.seen, 500)}"], width, look.text)
    return [Text(), *lines, styled(" ").append(words, loud)]


def _step(
    place: int,
    record: StepRecord,
    command: str,
    events: Sequence[StepEvent],
    look: Look,
    width: int,
) -> list[Text]:
    glyph, word, style = phase_sign(record.phase, look)
    line = put(styled(" "), str(place), 2, look.dim, right=True)
    line.append(f" {glyph} ", style)
    put(line, clean(record.name, 100), min(34, max(16, width - 46)), look.text)
    line.append(" ")
    put(line, word, 9, style)
    put(line, _took(record, events), 8, look.dim, right=True)
    if record.detail != command:  # it stands beneath, whole
        line.append(f"  {clean(record.detail, 300)}", look.dim)
    line.truncate(width, overflow="ellipsis")
    lines = [line]
    if record.phase in {StepPhase.INTENT, StepPhase.FAILED} and command:
        lines += [
            styled(f"     {part}", look.accent) for part in fold(clean(command, 500), width - 6)
        ]
    for event in events:
        if event.name == record.name and event.phase is StepPhase.ANSWERED:
            told = styled(f"     answered {clean(event.detail, 300)}", look.text)
            told.truncate(width, overflow="ellipsis")
            lines.append(told)
    return lines


def _took(record: StepRecord, events: Sequence[StepEvent]) -> str:
    """Return how long the latest run of a finished step took."""
    if record.phase not in {StepPhase.DONE, StepPhase.FAILED}:
        return ""
    own = [event for event in events if event.name == record.name]
    begun = next((e.at for e in reversed(own) if e.phase is StepPhase.INTENT), None)
    ended = next((e.at for e in reversed(own) if e.phase is record.phase), None)
    if begun is None or ended is None or ended < begun:
        return ""
    return duration((ended - begun).total_seconds())
