"""
``--no-journal``: act though the journal is broken or its disk is full.

The same plan, runner and steps, but in this process and on a journal of its own in memory:
what the shared one would have kept is written to standard error, and recorded afterwards if
the journal is back by then.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from console.cli.changing import (
    OUTCOMES,
    confirm,
    nothing_to_do,
    print_json,
    require_words,
    say,
    show_plan,
    show_step,
)
from console.cli.main import Invocation
from console.domain.operations import Change, Operation
from console.domain.plans import Json
from console.engine import Engine
from console.errors import ConsoleError, ReadOnly, Refused, UsageError
from console.journal.store import JournalStore
from console.modes import open_file
from console.operations.crash import crash_point
from console.operations.lock import LOCK_NAME, OperationLock
from console.operations.runner import Runner
from console.steps import step_kinds

#: Memory, where a full disk does not reach; else wherever temporary files go.
MEMORY = Path("/dev/shm")  # noqa: S108 -- a directory of ours alone is made in it


def change_unrecorded(call: Invocation, verb: str, wish: dict[str, Json]) -> int:
    """
    Carry a change through in this process, without the journal.

    Args:
        call: The command as typed.
        verb: A key of the operations table.
        wish: Its arguments.

    Returns:
        The exit code by the public contract.

    Raises:
        Refused: While the journal works, or a runner is at work.
        ReadOnly: In production without ``--emergency``.
    """
    require_words(call)
    if not call.args.reason.strip():
        raise UsageError(
            "a change without the journal needs a reason",
            unchanged="nothing was changed",
            remedy='add --reason "…"',
        )
    engine = call.engine()
    if call.settings.production and not call.args.emergency:
        raise ReadOnly(
            f"read-only: this is {call.settings.environment}, and without the journal "
            "nobody can take write access",
            unchanged="nothing was changed",
            remedy="add --emergency",
        )
    why = "" if call.args.dry_run else _why_broken(engine, verb)
    plan = engine.plan(verb, wish)
    show_plan(call, plan)
    if call.args.dry_run:
        return 0
    if not plan.steps:
        return nothing_to_do(call, engine, plan)
    say(f"warning: {why}")
    say("warning: this runs here, unrecorded; it cannot be resumed or undone by its number")
    confirm(call, f"{verb} {plan.summary} without the journal", word="unrecorded")
    with _scratch() as scratch:
        lock = _lock(engine, scratch)
        journal = JournalStore(scratch, engine.clock)
        operation = journal.submit(plan, engine.actor, call.args.reason)
        code = _run(engine, journal, lock, operation.id)
        operation = journal.operation(operation.id)
        _show(call, journal, operation, code, _record(engine, operation, why))
    return code


def _why_broken(engine: Engine, verb: str) -> str:
    """Return why nothing can be recorded; refuse when it can."""
    try:
        # Only a write tells: a full disk still lets transactions begin.
        engine.journal.record(
            Change(engine.clock.now(), str(engine.actor), f"{verb} --no-journal", "refused")
        )
    except ConsoleError as error:
        return error.message
    raise Refused(
        "the journal works",
        unchanged="nothing was changed",
        remedy="the same command without --no-journal",
    )


@contextmanager
def _scratch() -> Iterator[Path]:
    memory = MEMORY if os.access(MEMORY, os.W_OK | os.X_OK) else None
    with tempfile.TemporaryDirectory(dir=memory, prefix="fragrance-") as directory:
        yield Path(directory)


def _lock(engine: Engine, scratch: Path) -> OperationLock:
    """Return the lock of the state, which keeps runners apart; one of ours where it cannot be."""
    lock = OperationLock(engine.settings.state, engine.clock)
    try:
        os.close(open_file(lock.path, os.O_RDWR))
    except OSError as error:
        say(f"warning: the lock cannot be taken ({error.strerror}): make sure nobody else acts")
        return OperationLock(scratch, engine.clock)
    (scratch / LOCK_NAME).symlink_to(lock.path)
    return lock


def _run(engine: Engine, journal: JournalStore, lock: OperationLock, operation_id: str) -> int:
    runner = Runner(
        journal=journal,
        kinds=step_kinds(engine.runtime),
        observe=engine.collector.collect,
        clock=engine.clock,
        lock=lock,
        crash_at=crash_point(),
        tell=_tell,
    )
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    before[signal.SIGHUP] = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a lost connection
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: runner.stop())
    try:
        return runner.run(operation_id, "run")
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _tell(line: str) -> None:
    with suppress(OSError, ValueError):  # whoever watched may be gone; the change goes on
        print(line.partition(" ")[2], file=sys.stderr, flush=True)


def _record(engine: Engine, operation: Operation, why: str) -> str:
    """Record what was done, if that is possible again; return what became of the record."""
    steps = ", ".join(f"{step.name} {step.phase.value}" for step in operation.steps)
    change = Change(
        at=engine.clock.now(),
        actor=str(engine.actor),
        what=f"{operation.verb} {operation.plan.summary}, without the journal",
        outcome=operation.state.value,
        reason=operation.reason,
        details={"message": operation.outcome_message, "steps": steps, "because": why},
    )
    try:
        engine.journal.record(change)
    except ConsoleError as error:
        return f"not recorded, write it down: {change.what}, {change.outcome} ({error.message})"
    return "the journal is back: recorded"


def _show(
    call: Invocation, journal: JournalStore, operation: Operation, code: int, record: str
) -> None:
    remedy = "" if code == 0 else "fragrance status; then plan it afresh"
    if call.json:
        for event in journal.events(operation.id):
            show_step(call, event)
        print_json(
            {
                "event": "end",
                "operation_id": None,
                "verb": operation.verb,
                "outcome": OUTCOMES[operation.state],
                "exit_code": code,
                "seconds": None,
                "verified": operation.verified,
                "message": f"{operation.outcome_message}; {record}",
                "remedy": remedy,
            }
        )
        return
    print(f"{operation.state.value}: {operation.outcome_message}")
    say(record)
    if remedy:
        say(f"  next: {remedy}")
