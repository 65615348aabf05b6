"""
What every changing command does: plan, show, confirm, submit, follow to the end.

With ``--json`` one object a line is printed: ``plan``, ``step`` …, ``end``.
"""

from __future__ import annotations

import json
import select
import sys
import termios
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict

from console.cli.main import Invocation
from console.domain.lifecycle import ACTIVE, EXIT_CODES, ways_on
from console.domain.operations import (
    OpenQuestion,
    Operation,
    OperationState,
    StepEvent,
    StepPhase,
)
from console.domain.plans import Json, Plan
from console.domain.questions import TALK, word_of
from console.domain.services import Health
from console.engine import Engine
from console.errors import (
    Frozen,
    Interrupted,
    Refused,
    Unreachable,
    UsageError,
)

FOLLOW_POLL_SECONDS = 0.15
#: After how long a signal that came just before a wait is noticed at the latest.
INTERRUPT_SECONDS = 0.5

#: Words of the contract for the end of an operation; undone and accepted are as asked for.
OUTCOMES: dict[OperationState, str] = {
    OperationState.DONE: "done",
    OperationState.UNDONE: "done",
    OperationState.ACCEPTED: "done",
    OperationState.REVERTED: "reverted",
    OperationState.CANCELLED: "cancelled",
    OperationState.REFUSED: "refused",
    OperationState.INTERRUPTED: "interrupted",
    OperationState.FROZEN: "frozen",
}


def change(call: Invocation, verb: str, wish: dict[str, Json]) -> int:
    """
    Carry a changing command through to its end.

    Args:
        call: The command as typed.
        verb: A key of the operations table.
        wish: Its arguments.

    Returns:
        The exit code by the public contract.
    """
    if getattr(call.args, "no_journal", False):
        from console.cli.unrecorded import change_unrecorded

        return reporting_end(call, verb, lambda: change_unrecorded(call, verb, wish))
    return reporting_end(call, verb, lambda: _change(call, verb, wish))


def reporting_end(call: Invocation, verb: str, act: Callable[[], int]) -> int:
    """Run *act*; with ``--json``, a refusal is an ``end`` line too."""
    try:
        return act()
    except (Refused, Unreachable, Interrupted, Frozen) as error:
        if call.json:
            outcomes = {3: "refused", 4: "interrupted", 5: "unreachable", 6: "frozen"}
            print_json(
                {
                    "event": "end",
                    "operation_id": None,
                    "verb": verb,
                    "outcome": outcomes[error.exit_code],
                    "exit_code": error.exit_code,
                    "seconds": 0.0,
                    "verified": False,
                    "message": error.message,
                    "remedy": error.remedy,
                }
            )
        raise


def _change(call: Invocation, verb: str, wish: dict[str, Json]) -> int:
    dry_run = bool(call.args.dry_run)
    if not dry_run:
        require_words(call)
    engine = call.engine()
    if not dry_run:
        engine.require_write()
        if not wish.get("emergency"):
            engine.require_idle()
    plan = engine.plan(verb, wish)
    show_plan(call, plan)
    if dry_run:
        return 0
    if not plan.steps:
        return nothing_to_do(call, engine, plan)
    running = engine.journal.unfinished() if wish.get("emergency") else None
    if running is not None and not call.json:
        print(f"warning: {running.id} ({running.plan.summary}) is cancelled first", file=sys.stderr)
    confirm(call, f"{verb} {plan.summary}", plan.typed or "y")
    if running is not None:
        cancelled = engine.preempt(reason=call.args.reason)
        if cancelled is not None:
            say(f"{cancelled.id} is {cancelled.state.value}; planning anew")
        plan = engine.plan(verb, wish)
        show_plan(call, plan)
        if not plan.steps:
            return nothing_to_do(call, engine, plan)
    operation = engine.submit(plan, call.args.reason)
    return follow(call, engine, operation.id)


# Before -----------------------------------------------------------------------


def require_words(call: Invocation) -> None:
    """
    Raise UsageError unless it can be confirmed, and has the reason production asks for.

    Checked before anything is looked at: a script must fail at once, not wait.
    """
    if not call.args.yes and not sys.stdin.isatty():
        raise UsageError(
            "there is no terminal to confirm on",
            unchanged="nothing was changed",
            remedy="add --yes, or --dry-run to see what would be done",
        )
    if call.settings.production and not call.args.reason.strip():
        raise UsageError(
            f"a change in {call.settings.environment} needs a reason",
            unchanged="nothing was changed",
            remedy='add --reason "…"',
        )


def confirm(call: Invocation, what: str, word: str = "y") -> None:
    """
    Ask; only *word* goes on, Enter never does.

    Raises:
        Refused: When it was not confirmed.
    """
    if call.args.yes:
        return
    with suppress(termios.error, ValueError, OSError):
        # What was typed ahead was not meant as an answer.
        termios.tcflush(sys.stdin, termios.TCIFLUSH)
    try:
        # Not standard output: that may be a pipe that carries the result.
        print(
            f"{what}: type {word} and Enter to go ahead, anything else stops: ",
            end="",
            file=sys.stderr,
            flush=True,
        )
        answer = _typed_line()
    except KeyboardInterrupt:
        print(file=sys.stderr)
        answer = ""
    if answer.strip() != word:
        raise Refused("not confirmed", unchanged="nothing was changed")


def _typed_line() -> str:
    """Return the next line typed; Ctrl-C in the moment before the wait begins counts too."""
    while not select.select([sys.stdin], [], [], INTERRUPT_SECONDS)[0]:
        pass  # a signal that came just before a blocking call is only seen between two
    return sys.stdin.readline()


def show_plan(call: Invocation, plan: Plan) -> None:
    """Show what would be done, with the exact commands, and how it is taken back."""
    if call.json:
        print_json(
            {
                "event": "plan",
                "verb": plan.verb,
                "summary": plan.summary,
                "steps": [
                    {"name": s.name, "kind": s.kind, "command": s.command, "risk": s.risk.value}
                    for s in plan.steps
                ],
                "undo": [
                    {"name": s.name, "kind": s.kind, "command": s.command, "risk": s.risk.value}
                    for s in plan.undo
                ],
                "warnings": list(plan.warnings),
                "checklist": checklist_json(plan),
            }
        )
        return
    print(f"{plan.verb}: {plan.summary}")
    for title, steps in (("steps", plan.steps), ("undo", plan.undo)):
        if steps:
            print(f"  {title}:")
        for number, step in enumerate(steps, 1):
            print(f"  {number:3}. {step.name:28} risk {step.risk.value:7} {step.command}")
    for line in checklist_lines(plan):
        print(line)
    for warning in plan.warnings:
        print(f"  warning: {warning}")
    sys.stdout.flush()


def checklist_lines(plan: Plan) -> list[str]:
    """Return what is to be seen to before, each with its answer; nothing where there is none."""
    lines = [
        f"  {item.state:10} {item.id:12} {item.text}" + (f" ({item.detail})" if item.detail else "")
        for item in plan.checklist
    ]
    return ["  before it:", *(f"  {line}" for line in lines)] if lines else []


def checklist_json(plan: Plan) -> list[Json]:
    """Return the same as JSON."""
    return [asdict(item) for item in plan.checklist]


def nothing_to_do(call: Invocation, engine: Engine, plan: Plan) -> int:
    """End at once: it is already so, and was seen to be so just now."""
    names = list(plan.wish.get("targets", {}))
    snapshot = engine.collector.latest_or_collect()
    services = [snapshot.service(name) for name in names]
    well = all(s is not None and s.health in {Health.HEALTHY, Health.STOPPED} for s in services)
    if call.json:
        print_json(
            {
                "event": "end",
                "operation_id": None,
                "verb": plan.verb,
                "outcome": "done",
                "exit_code": 0,
                "seconds": 0.0,
                "verified": well,
                "message": plan.summary,
                "remedy": "",
            }
        )
    else:
        print("nothing to do")
    return 0


# After ------------------------------------------------------------------------


def follow(call: Invocation, engine: Engine, operation_id: str, after_event_id: int = 0) -> int:
    """
    Print the steps of an operation as they come, to its end.

    Ctrl-C only stops the following: the operation goes on.

    Args:
        call: The command as typed.
        engine: Of the stack.
        operation_id: Which.
        after_event_id: Leave out events up to this one.

    Returns:
        The exit code by the public contract, 130 after Ctrl-C.
    """
    if not call.json:
        say(
            f"operation {operation_id}; follow it anywhere: fragrance operations follow "
            f"{operation_id}"
        )
    asked: OpenQuestion | None = None
    try:
        while True:
            # The state first: what was recorded before it changed is printed below.
            operation = engine.operation(operation_id)
            for event in engine.events(operation_id, after_event_id):
                after_event_id = event.event_id
                show_step(call, event)
            if operation.question is not None and operation.question != asked:
                _show_question(call, operation.id, operation.question)
            asked = operation.question
            if operation.state not in ACTIVE:
                return _show_end(call, operation)
            engine.clock.sleep(FOLLOW_POLL_SECONDS)
    except KeyboardInterrupt:
        say(
            f"\nno longer following; operation {operation_id} goes on\n"
            f"  next: fragrance operations follow {operation_id}  "
            f"(or cancel {operation_id})"
        )
        return 130


def last_event_id(engine: Engine, operation_id: str) -> int:
    """Return the id of the last event so far, 0 when there is none."""
    return max((e.event_id for e in engine.events(operation_id)), default=0)


def show_step(call: Invocation, event: StepEvent) -> None:
    """Print one step event: a line of JSON, or of words on standard error."""
    if call.json and event.phase in TALK:
        if event.phase is StepPhase.ANSWERED:
            print_json({"event": "answer", "step": event.name, "at": event.at.isoformat(),
                        "word": word_of(event), "detail": event.detail})  # fmt: skip
    elif call.json:
        print_json(
            {
                "event": "step",
                "seq": event.seq,
                "name": event.name,
                "phase": event.phase.value,
                "at": event.at.isoformat(),
                "detail": event.detail,
            }
        )
    else:
        say(f"  {event.at:%H:%M:%S} {event.name:28} {event.phase.value:8} {event.detail}".rstrip())


def question_lines(operation_id: str, question: OpenQuestion) -> list[str]:
    """Return what is asked, what each answer does, until when, and how to give it."""
    words = "|".join(question.choices)
    return [
        f"  question: {question.text} ({question.seen})",
        *(f"    {word:5} {means}" for word, means in question.choices.items()),
        f"    without an answer until {question.until:%H:%M:%S} UTC: {question.without_answer}",
        f"  next: fragrance operations answer {operation_id} {words}",
    ]


def question_json(question: OpenQuestion) -> dict[str, Json]:
    """Return what is asked as JSON."""
    return {
        "step": question.step,
        "text": question.text,
        "seen": question.seen,
        "choices": question.choices,
        "asked_at": question.asked_at.isoformat(),
        "until": question.until.isoformat(),
        "without_answer": question.without_answer,
    }


def _show_question(call: Invocation, operation_id: str, question: OpenQuestion) -> None:
    if call.json:
        told = question_json(question)
        print_json({"event": "question", "operation_id": operation_id} | told)
        return
    say("\n".join(question_lines(operation_id, question)))


def _show_end(call: Invocation, operation: Operation) -> int:
    code = operation.exit_code
    if code is None:
        code = EXIT_CODES[operation.state]
    remedy = operation.remedy or (
        "" if operation.finished or operation.state in ACTIVE else ways_on(operation.id)
    )
    begun = operation.started_at or operation.submitted_at
    seconds = (operation.ended_at - begun).total_seconds() if operation.ended_at else None
    if call.json:
        outcome = OUTCOMES[operation.state]
        print_json(
            {
                "event": "end",
                "operation_id": operation.id,
                "verb": operation.verb,
                "outcome": "unreachable" if code == Unreachable.exit_code else outcome,
                "exit_code": code,
                "seconds": seconds,
                "verified": operation.verified,
                "message": operation.outcome_message,
                "remedy": remedy,
                "state": operation.state.value,
            }
        )
    else:
        words = f"{operation.id} {operation.state.value}"
        words += " and verified" if operation.verified else ""
        words += f" in {seconds:.1f} s" if seconds is not None else ""
        print(f"{words}: {operation.outcome_message}")
        if remedy:
            print(f"  next: {remedy}", file=sys.stderr)
        elif operation.state is OperationState.DONE:
            say(f"  undo: fragrance operations undo {operation.id}")
    return code


def print_json(value: object) -> None:
    """Print one JSON object on one line, at once."""
    print(json.dumps(value, ensure_ascii=False), flush=True)


def say(line: str) -> None:
    """Print progress: standard error, so that results stay clean."""
    print(line, file=sys.stderr, flush=True)
