"""What a filter may ask of operations and of entries of the audit, and how these are told."""

from __future__ import annotations

from datetime import datetime

from console.domain.filtering import Facts, Vocabulary
from console.domain.operations import Actor, Operation, OperationState
from console.domain.plans import Json

OPERATION_WORDS = Vocabulary(
    words={
        "actor": (),
        "verb": (),
        "state": tuple(state.value for state in OperationState),
        "target": (),
    },
    figures={"age": "seconds, or 10m, 2h, 1d", "took": "seconds, or 10m, 2h, 1d"},
    spans=frozenset({"age", "took"}),
)
AUDIT_WORDS = Vocabulary(
    words={
        "actor": (),
        "verb": (),
        "outcome": (),
        "kind": ("operation", "change", "access"),
        "operation": (),
    },
    figures={"age": "seconds, or 10m, 2h, 1d"},
    spans=frozenset({"age"}),
)


def begun_at(operation: Operation) -> datetime:
    """Return when *operation* began, or was asked for if it has not."""
    return operation.started_at or operation.submitted_at


def took_seconds(operation: Operation) -> float | None:
    """Return how long *operation* took, None while it has not ended."""
    if operation.ended_at is None:
        return None
    return max(0.0, (operation.ended_at - begun_at(operation)).total_seconds())


def operation_facts(operation: Operation, now: datetime) -> Facts:
    """Return what a filter may ask of an operation; words are looked for in all it says."""
    targets = tuple(operation.plan.expects)
    return Facts(
        names=(operation.id, operation.plan.summary, operation.reason, *targets),
        words={
            "actor": str(operation.actor),
            "verb": operation.verb,
            "state": operation.state.value,
            "target": targets[0] if targets else "",
        },
        figures={
            "age": (now - begun_at(operation)).total_seconds(),
            "took": took_seconds(operation),
        },
    )


def entry_time(entry: dict[str, Json]) -> datetime | None:
    """Return when an entry of the audit was made, None when it does not say so rightly."""
    try:
        at = datetime.fromisoformat(str(entry.get("at")))
    except ValueError:
        return None
    return at if at.tzinfo is not None else None


def entry_actor(entry: dict[str, Json]) -> str:
    """Return who an entry of the audit names."""
    actor = entry.get("actor")
    if not isinstance(actor, dict):
        return str(actor)
    return str(Actor(str(actor.get("user", "?")), 0, str(actor.get("origin", "local"))))


def entry_kind(entry: dict[str, Json]) -> str:
    """Return ``operation``, ``change`` or ``access`` (write access: elevation)."""
    return str(entry.get("kind") or "change")


def entry_facts(entry: dict[str, Json], now: datetime) -> Facts:
    """Return what a filter may ask of an entry of the audit."""
    what, at = str(entry.get("what", "")), entry_time(entry)
    return Facts(
        names=(what, str(entry.get("reason", "")), str(entry.get("operation_id") or "")),
        words={
            "actor": entry_actor(entry),
            "verb": what.partition(" ")[0],
            "outcome": str(entry.get("outcome", "")),
            "kind": entry_kind(entry),
            "operation": str(entry.get("operation_id") or ""),
        },
        figures={"age": None if at is None else (now - at).total_seconds()},
    )
