"""Rows of the journal as domain values, and back."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Final

import msgspec

from console.decoding import decoder
from console.domain.operations import (
    Actor,
    Operation,
    OperationState,
    StepEvent,
    StepPhase,
    StepRecord,
)
from console.domain.plans import Json, Plan
from console.domain.questions import TALK, open_question
from console.domain.text import plain_text
from console.errors import UsageError

_ID_PREFIX: Final = "op-"


def operation_id(number: int) -> str:
    """Return the id an operator types for operation *number*."""
    return f"{_ID_PREFIX}{number}"


def operation_number(identifier: str) -> int:
    """
    Return the number in an operation id; ``7`` is understood as ``op-7``.

    Raises:
        UsageError: When it cannot be an id.
    """
    digits = identifier.strip().removeprefix(_ID_PREFIX)
    if not (digits.isascii() and digits.isdigit() and len(digits) < 16):
        raise unknown_operation(identifier)
    return int(digits)


def unknown_operation(identifier: str) -> UsageError:
    """Return the error for an id that no operation has."""
    return UsageError(
        f"there is no operation {plain_text(identifier, 40)!r}",
        unchanged="nothing was changed",
        remedy="fragrance operations list",
    )


def encode_time(at: datetime) -> str:
    """Return *at* as text that sorts by time."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def decode_time(text: str | None) -> datetime | None:
    """Return the moment in *text*."""
    return None if text is None else datetime.fromisoformat(text)


def encode_plan(plan: Plan) -> str:
    """Return *plan* as JSON."""
    return msgspec.json.encode(plan).decode()


def encode_actor(actor: Actor) -> str:
    """Return *actor* as JSON, without anything a terminal would obey."""
    return json.dumps(
        {
            "user": plain_text(actor.user, 64),
            "uid": actor.uid,
            "origin": plain_text(actor.origin, 64),
        }
    )


def decode_actor(text: str) -> Actor:
    """Return the actor in *text*."""
    return decoder(Actor).decode(text)


def actor_fields(actor: Actor) -> dict[str, Json]:
    """Return *actor* as it stands in an audit entry."""
    return {key: plain_text(v, 64) if isinstance(v, str) else v for key, v in asdict(actor).items()}


def decode_operation(row: sqlite3.Row, events: Iterable[sqlite3.Row]) -> Operation:
    """Return the operation of *row*; *events* are its step events, oldest first."""
    plan = decoder(Plan).decode(row["plan"])
    story = list(events)
    latest = {event["name"]: event for event in story if event["phase"] not in TALK}
    asks = row["state"] == OperationState.RUNNING and any(step.question for step in plan.steps)
    return Operation(
        id=operation_id(row["number"]),
        verb=row["verb"],
        actor=decode_actor(row["actor"]),
        reason=row["reason"],
        state=OperationState(row["state"]),
        plan=plan,
        submitted_at=datetime.fromisoformat(row["submitted_at"]),
        started_at=decode_time(row["started_at"]),
        ended_at=decode_time(row["ended_at"]),
        steps=step_records(
            plan,
            {
                name: StepRecord(
                    event["seq"],
                    name,
                    StepPhase(event["phase"]),
                    decode_time(event["at"]),
                    event["detail"],
                )
                for name, event in latest.items()
            },
        ),
        verified=bool(row["verified"]),
        exit_code=row["exit_code"],
        outcome_message=row["outcome_message"],
        remedy=row["remedy"],
        cancel_requested=bool(row["cancel_requested"]),
        question=open_question(plan, map(decode_event, story)) if asks else None,
    )


def step_records(plan: Plan, latest: dict[str, StepRecord]) -> tuple[StepRecord, ...]:
    """Return one record for each step of *plan*; those never begun are pending."""
    return tuple(
        latest.get(step.name) or StepRecord(seq, step.name, StepPhase.PENDING, None, "")
        for seq, step in enumerate(plan.steps, 1)
    )


def decode_event(row: sqlite3.Row) -> StepEvent:
    """Return the step event of *row*."""
    return StepEvent(
        event_id=row["id"],
        operation_id=operation_id(row["operation"]),
        seq=row["seq"],
        name=row["name"],
        phase=StepPhase(row["phase"]),
        at=datetime.fromisoformat(row["at"]),
        detail=row["detail"],
    )
