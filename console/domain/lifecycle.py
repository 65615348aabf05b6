"""
Rules of an operation's life: who may go on with it, and what is said when not.

Pure, so that every journal keeps the same ones.
"""

from __future__ import annotations

from collections.abc import Iterable

from console.domain.operations import UNFINISHED, Operation, OperationState
from console.errors import Busy, Refused

#: A submitted operation without a runner is given this long to get one.
SUBMIT_GRACE_SECONDS = 15.0

#: Exit code of the contract by state in which an operation has come to rest.
EXIT_CODES: dict[OperationState, int] = {
    OperationState.DONE: 0,
    OperationState.UNDONE: 0,
    OperationState.ACCEPTED: 0,
    OperationState.REVERTED: 1,
    OperationState.CANCELLED: 1,
    OperationState.REFUSED: 3,
    OperationState.INTERRUPTED: 4,
    OperationState.FROZEN: 6,
}

#: States in which a runner is, or is about to be, at work.
ACTIVE = frozenset({OperationState.SUBMITTED, OperationState.RUNNING})

#: What is said of an operation whose runner is gone.
RUNNER_GONE = "its runner is gone; what it had done is still done"

#: States whose effect is still there, so that undoing means something.
_HAS_EFFECT = frozenset({OperationState.DONE, OperationState.ACCEPTED})

#: Kinds of steps that change which replicas there are; a restart does not.
_MEMBERSHIP_KINDS = frozenset({"start_replica", "stop_replica"})


def ways_on(operation_id: str) -> str:
    """Return the commands that settle an unfinished operation, for an error's remedy."""
    return (
        f"fragrance operations resume {operation_id}  "
        f"(or undo {operation_id}, or accept {operation_id})"
    )


def busy_with(operation: Operation) -> Busy:
    """Return the refusal of anything new while *operation* is unfinished."""
    since = (operation.started_at or operation.submitted_at).strftime("%Y-%m-%d %H:%M:%S UTC")
    return Busy(
        f"operation {operation.id} ({operation.verb} {operation.plan.summary}) "
        f"by {operation.actor} is {operation.state.value} since {since}",
        unchanged="nothing was changed",
        remedy=f"fragrance operations follow {operation.id}"
        if operation.state in ACTIVE
        else ways_on(operation.id),
    )


def check_reopen(operation: Operation, mode: str, others: Iterable[Operation]) -> None:
    """
    Decide whether *operation* may be run again or undone.

    Args:
        operation: As it is seen now.
        mode: ``run`` or ``undo``.
        others: The other operations; those after it decide whether its stored
            inverse still fits.

    Raises:
        Busy: When it is at work, or another one is unfinished.
        Refused: When *mode* makes no sense in its state.
    """
    if operation.state in ACTIVE:
        raise busy_with(operation)
    later: list[Operation] = []
    for other in others:
        if other.state in UNFINISHED and other.id != operation.id:
            raise busy_with(other)
        if other.submitted_at > operation.submitted_at:
            later.append(other)
    if operation.state in UNFINISHED:
        return
    if mode == "run" or operation.state not in {OperationState.DONE}:
        raise Refused(
            f"operation {operation.id} is {operation.state.value}; "
            f"there is nothing to {'resume' if mode == 'run' else 'undo'}",
            unchanged="nothing was changed",
            remedy=f"fragrance operations show {operation.id}",
        )
    touched = set(operation.plan.expects)
    for other in later:
        common = touched & set(other.plan.expects)
        changed = any(step.kind in _MEMBERSHIP_KINDS for step in other.plan.steps)
        if other.state in _HAS_EFFECT and changed and common:
            raise Refused(
                f"operation {other.id} ({other.plan.summary}) changed "
                f"{', '.join(sorted(common))} after {operation.id}",
                unchanged="nothing was changed",
                remedy=f"fragrance operations undo {other.id} first, or plan the change afresh",
            )


def check_accept(operation: Operation) -> None:
    """Raise Busy or Refused unless *operation* waits for somebody to settle it."""
    if operation.state in ACTIVE:
        raise busy_with(operation)
    if operation.finished:
        raise Refused(
            f"operation {operation.id} is already {operation.state.value}",
            unchanged="nothing was changed",
        )


def check_cancel(operation: Operation) -> None:
    """Raise Refused unless *operation* is at work."""
    if operation.state in ACTIVE:
        return
    raise Refused(
        f"operation {operation.id} is {operation.state.value}; there is nothing to cancel",
        unchanged="nothing was changed",
        remedy="" if operation.finished else ways_on(operation.id),
    )


def check_claim(operation: Operation, wanted_mode: str, mode: str) -> None:
    """Raise Refused unless a runner in *mode* may take *operation* over."""
    if operation.finished or operation.state is OperationState.FROZEN or wanted_mode != mode:
        raise Refused(
            f"operation {operation.id} is {operation.state.value} and is not to be "
            f"{'undone' if mode == 'undo' else 'run'} any more",
            unchanged="nothing was changed",
        )
