"""``operations``: what ran, what runs, and how to settle what is unfinished."""

from __future__ import annotations

import os
import signal

from console.cli.changing import (
    checklist_json,
    checklist_lines,
    confirm,
    follow,
    last_event_id,
    print_json,
    question_json,
    question_lines,
    reporting_end,
    require_words,
    say,
)
from console.cli.main import Commands, Invocation, add_command, add_common
from console.cli.searching import add_search, search_filter, search_since
from console.domain.operations import Operation
from console.domain.plans import Json
from console.domain.questions import check_answer
from console.domain.recorded import OPERATION_WORDS, begun_at, operation_facts
from console.domain.settling import NOUNS, SETTLING, Settling
from console.domain.triggers import figure
from console.engine import Engine
from console.journal.pages import find
from console.operations.crash import crash_point
from console.operations.launch import READY
from console.operations.lock import OperationLock
from console.operations.runner import Runner
from console.steps import step_kinds


def register(commands: Commands) -> None:
    """Add ``operations`` and its actions."""
    command = add_command(commands, "operations", "what ran and runs; settle what is unfinished")
    actions: Commands = command.add_subparsers(metavar="ACTION", required=True)
    listing = add_command(actions, "list", "operations, newest first")
    listing.add_argument("--limit", type=int, default=50, metavar="N", help="at most (50)")
    add_search(listing)
    listing.add_argument("--outcome", metavar="STATE", help="only those: done, frozen, …")
    listing.set_defaults(run=run_list)
    for name, text, run in (
        ("show", "plan, steps and outcome of one", run_show),
        ("follow", "its steps as they come, to the end", run_follow),
    ):
        action = add_command(actions, name, text)
        action.add_argument("id", metavar="ID")
        action.set_defaults(run=run)
    for name, text, run in (
        ("cancel", "stop it at its next step boundary and go back", run_cancel),
        ("resume", "go on with an interrupted one; what is true is skipped", run_resume),
        ("undo", "take it back by its stored inverse", run_undo),
        ("accept", "declare the present state of an unfinished one right", run_accept),
    ):
        action = add_command(actions, name, text)
        action.add_argument("id", metavar="ID")
        action.add_argument("--yes", action="store_true", help="do not ask for confirmation")
        action.add_argument("--reason", metavar="TEXT", default="", help="why, kept in the audit")
        action.set_defaults(run=run)
    answer = add_command(actions, "answer", "decide what a running one asks")
    answer.add_argument("id", metavar="ID")
    answer.add_argument("word", metavar="yes|no|wait", choices=("yes", "no", "wait"))
    answer.add_argument("--yes", action="store_true", help="do not ask for confirmation")
    answer.add_argument("--reason", metavar="TEXT", default="", help="why, kept in the audit")
    answer.set_defaults(run=run_answer)
    unlock = add_command(actions, "unlock", "end a live runner that hangs")
    unlock.add_argument("--yes", action="store_true", help="do not ask for confirmation")
    unlock.add_argument("--reason", metavar="TEXT", default="", help="why, kept in the audit")
    unlock.set_defaults(run=run_unlock)
    # No help text: argparse then leaves it out of the list of actions.
    runner = actions.add_parser("_run")
    add_common(runner)
    runner.add_argument("id", metavar="ID")
    runner.add_argument("--mode", choices=("run", "undo"), required=True)
    runner.add_argument("--ready-fd", type=int, default=None)
    runner.set_defaults(run=run_runner)


# Reading ----------------------------------------------------------------------


def run_list(call: Invocation) -> int:
    """Print operations, newest first."""
    engine, args = call.engine(), call.args
    wanted = search_filter(args, OPERATION_WORDS, state=args.outcome)
    now = engine.clock.now()
    since = search_since(args.since, now)
    operations = find(
        engine.operations,
        lambda operation: operation.id,
        lambda o: wanted.matches(operation_facts(o, now)) and (not since or begun_at(o) >= since),
        max(1, args.limit),
        too_old=lambda o: since is not None and max(begun_at(o), o.submitted_at) < since,
    ).found
    if call.json:
        print_json([as_json(operation) for operation in operations])
        return 0
    if not operations:
        print("no operation matches" if wanted or since else "no operation yet")
    for operation in operations:
        begun = operation.started_at or operation.submitted_at
        print(
            f"{operation.id:7} {begun:%Y-%m-%d %H:%M:%S} {operation.state.value:12}"
            f"{operation.verb:9} {operation.plan.summary:32} {operation.actor}"
            + (f"  {operation.reason}" if operation.reason else "")
        )
        if operation.question is not None:
            print("\n".join(question_lines(operation.id, operation.question)))
    return 0


def run_show(call: Invocation) -> int:
    """Print one operation with its story."""
    engine = call.engine()
    operation = engine.operation(call.args.id)
    events = engine.events(operation.id)
    settling = engine.settling(operation)
    if call.json:
        told: dict[str, Json] = as_json(operation)
        told["events"] = [
            {
                "seq": e.seq,
                "name": e.name,
                "phase": e.phase.value,
                "at": e.at.isoformat(),
                "detail": e.detail,
            }
            for e in events
        ]
        told["checklist"] = checklist_json(operation.plan)
        told["before"] = operation.plan.before
        told["settling"] = None if settling is None else _settling_json(settling, engine)
        print_json(told)
        return 0
    print(f"{operation.id}  {operation.verb} {operation.plan.summary}: {operation.state.value}")
    print(f"  by {operation.actor} at {operation.submitted_at:%Y-%m-%d %H:%M:%S} UTC")
    if operation.reason:
        print(f"  reason: {operation.reason}")
    for step in operation.plan.steps:
        print(f"  step {step.name:28} {step.command}")
    for step in operation.plan.undo:
        print(f"  undo {step.name:28} {step.command}")
    for line in checklist_lines(operation.plan):
        print(line)
    for event in events:
        print(f"  {event.at:%H:%M:%S} {event.name:28} {event.phase.value:8} {event.detail}")
    if operation.question is not None:
        print("\n".join(question_lines(operation.id, operation.question)))
    if operation.outcome_message:
        print(f"  {operation.outcome_message}")
    if settling is not None:
        for name, before in operation.plan.before.items():
            print(f"  before: {name} {_figures(before)}")
        print(f"  {settling.words}")
    if operation.remedy:
        print(f"  next: {operation.remedy}")
    return 0


def _figures(before: dict[str, float | None]) -> str:
    """Return figures as they were when it was planned."""
    units = {"replicas": "replicas", "cpu_ratio": "ratio"}
    return ", ".join(
        f"{NOUNS.get(name, name)} "
        + figure(value, units.get(name, "seconds" if name.endswith("_seconds") else "tasks"))
        for name, value in before.items()
    )


def _settling_json(settling: Settling, engine: Engine) -> dict[str, Json]:
    left = (settling.until - engine.clock.now()).total_seconds()
    return {
        "state": settling.state,
        "until": settling.until.isoformat(),
        "seconds_left": max(0.0, left) if settling.state == SETTLING else None,
        "words": settling.words,
    }


def run_follow(call: Invocation) -> int:
    """Follow one operation from its first step."""
    engine = call.engine()
    return follow(call, engine, engine.operation(call.args.id).id)


def as_json(operation: Operation) -> dict[str, Json]:
    """Return one operation as ``operations list --json`` tells it."""
    started, ended = operation.started_at, operation.ended_at
    return {
        "id": operation.id,
        "verb": operation.verb,
        "summary": operation.plan.summary,
        "actor": str(operation.actor),
        "reason": operation.reason,
        "state": operation.state.value,
        "submitted_at": operation.submitted_at.isoformat(),
        "started_at": None if started is None else started.isoformat(),
        "ended_at": None if ended is None else ended.isoformat(),
        "steps": [
            {
                "seq": step.seq,
                "name": step.name,
                "phase": step.phase.value,
                "at": None if step.at is None else step.at.isoformat(),
                "detail": step.detail,
            }
            for step in operation.steps
        ],
        "verified": operation.verified,
        "exit_code": operation.exit_code,
        "message": operation.outcome_message,
        "remedy": operation.remedy,
        "question": None if operation.question is None else question_json(operation.question),
    }


# Changing ---------------------------------------------------------------------


def run_cancel(call: Invocation) -> int:
    """Ask it to stop, and follow it on its way back."""

    def cancel() -> int:
        require_words(call)
        engine = call.engine()
        operation = engine.operation(call.args.id)
        confirm(call, f"cancel {operation.id} ({operation.plan.summary})")
        seen = last_event_id(engine, operation.id)
        engine.cancel(operation.id, call.args.reason)
        return follow(call, engine, operation.id, seen)

    return reporting_end(call, "cancel", cancel)


def run_resume(call: Invocation) -> int:
    """Run it again."""
    return _continue(call, "resume")


def run_undo(call: Invocation) -> int:
    """Take it back."""
    return _continue(call, "undo")


def _continue(call: Invocation, verb: str) -> int:
    def go_on() -> int:
        require_words(call)
        engine = call.engine()
        operation = engine.operation(call.args.id)
        confirm(call, f"{verb} {operation.id} ({operation.plan.summary})")
        seen = last_event_id(engine, operation.id)
        (engine.resume if verb == "resume" else engine.undo)(operation.id, call.args.reason)
        return follow(call, engine, operation.id, seen)

    return reporting_end(call, verb, go_on)


def run_answer(call: Invocation) -> int:
    """Answer its question, and follow what comes of it."""

    def answer() -> int:
        require_words(call)
        engine = call.engine()
        engine.require_write()
        operation = engine.operation(call.args.id)
        question = check_answer(operation, call.args.word, None)
        if not call.json:
            say("\n".join(question_lines(operation.id, question)))
        confirm(call, f"{call.args.word}: {question.choices[call.args.word]}")
        seen = last_event_id(engine, operation.id)
        engine.answer(operation.id, call.args.word, call.args.reason, question.step)
        return follow(call, engine, operation.id, seen)

    return reporting_end(call, "answer", answer)


def run_accept(call: Invocation) -> int:
    """Settle it as it stands."""

    def accept() -> int:
        require_words(call)
        engine = call.engine()
        operation = engine.operation(call.args.id)
        confirm(call, f"accept {operation.id} ({operation.plan.summary}) as it stands now")
        engine.accept(operation.id, call.args.reason)
        return follow(call, engine, operation.id, last_event_id(engine, operation.id))

    return reporting_end(call, "accept", accept)


def run_unlock(call: Invocation) -> int:
    """End the runner that holds the lock."""

    def unlock() -> int:
        require_words(call)
        engine = call.engine()
        engine.require_write()
        owner = OperationLock(call.settings.state, engine.clock).owner()
        if owner is not None:
            say(
                f"the lock is held for {owner.operation_id} by {owner.actor} "
                f"since {owner.since}, pid {owner.pid}"
            )
        confirm(call, "end the runner, which may be at work", word="unlock")
        pid = engine.unlock(call.args.reason)
        print(f"runner {pid} ended; its operation is interrupted")
        say("  next: fragrance operations list")
        return 0

    return reporting_end(call, "unlock", unlock)


# The runner's own process ----------------------------------------------------


def run_runner(call: Invocation) -> int:
    """Run one operation in this process; started detached, not typed by people."""
    engine = call.engine()

    def say_ready() -> None:
        if call.args.ready_fd is not None:
            os.write(call.args.ready_fd, READY)
            os.close(call.args.ready_fd)

    runner = Runner(
        journal=engine.journal,
        kinds=step_kinds(engine.runtime),
        observe=engine.collector.collect,
        clock=engine.clock,
        lock=OperationLock(call.settings.state, engine.clock),
        crash_at=crash_point(),
        on_locked=say_ready,
    )
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: runner.stop())
    return runner.run(call.args.id, call.args.mode)
