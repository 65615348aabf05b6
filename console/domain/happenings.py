"""What happened to a stack, in time order: what somebody did, and what went by itself."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from console.domain.operations import UNFINISHED, Change, Operation, OperationState


class Kind(StrEnum):
    """What it happened to."""

    STACK = "stack"
    SERVICE = "service"
    REPLICA = "replica"
    RELEASE = "release"
    SETTING = "setting"
    DRIFT = "drift"
    ALERT = "alert"
    INCIDENT = "incident"
    SOURCE = "source"
    RUNTIME = "runtime"
    OPERATION = "operation"
    CHANGE = "change"


@dataclass(frozen=True, slots=True)
class Happening:
    """
    One thing that happened.

    Args:
        at: When it was seen or done, UTC.
        kind: What it happened to.
        subject: Its name: of a service, a replica, an alert, an operation.
        words: What happened, one line.
        grave: Whether something got worse by it.
        actor: Who did it; empty for what went by itself.
    """

    at: datetime
    kind: Kind
    subject: str
    words: str
    grave: bool = False
    actor: str = ""


#: Told better by the journal, which knows who and why.
_BY_JOURNAL = frozenset({Kind.OPERATION})
_WELL = frozenset({"done", "ok", "asked", "settled", ""})


def merged(
    seen: Iterable[Happening], changes: Iterable[Change], operations: Iterable[Operation]
) -> list[Happening]:
    """
    Return everything of a time in one order, the newest first.

    Args:
        seen: What the agent saw happen.
        changes: What was done, from the journal: operations that ended, settings,
            elevation, start and stop.
        operations: Those under way or unfinished are told of too.
    """
    found = [one for one in seen if one.kind not in _BY_JOURNAL]
    found += [_of_change(change) for change in changes]
    found += [_of_operation(one) for one in operations if one.state in UNFINISHED]
    return sorted(found, key=lambda one: one.at, reverse=True)


def concerning(found: Iterable[Happening], service: str) -> list[Happening]:
    """Return what of *found* concerns a service: itself, its replicas, what was done to it."""
    return [
        one for one in found if any(_belongs(name, service) for name in {one.subject, *_names(one)})
    ]


def _belongs(name: str, service: str) -> bool:
    """Whether *name* is the service's or one of its replicas' (``app-2`` is, ``app-x`` is not)."""
    tail = name.removeprefix(service)
    return name.startswith(service) and (not tail or (tail[0] == "-" and tail[1:].isdecimal()))


def _names(one: Happening) -> set[str]:
    """Return the words of what somebody did, names of services among them."""
    if one.kind not in {Kind.CHANGE, Kind.OPERATION}:
        return set()
    return set(re.split(r"[\s,=:()]+", one.words))


def _of_change(change: Change) -> Happening:
    outcome = f" · {change.outcome}" if change.outcome else ""
    reason = f" · {change.reason}" if change.reason else ""
    return Happening(
        at=change.at,
        kind=Kind.CHANGE if change.operation_id is None else Kind.OPERATION,
        subject=change.operation_id or "",
        words=f"{change.what}{outcome}{reason}",
        grave=change.outcome not in _WELL,
        actor=change.actor,
    )


def _of_operation(operation: Operation) -> Happening:
    return Happening(
        at=operation.started_at or operation.submitted_at,
        kind=Kind.OPERATION,
        subject=operation.id,
        words=f"{operation.verb} {operation.plan.summary} · {operation.state.value}"
        + (f" · {operation.reason}" if operation.reason else ""),
        grave=operation.state in {OperationState.INTERRUPTED, OperationState.FROZEN},
        actor=str(operation.actor),
    )
