"""What stands in the broker, decoded: a message's time, a worker's heartbeat."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from console.domain.readings import WorkerHeartbeat
from console.domain.services import TaskInHand, Training
from console.domain.text import plain_text

if TYPE_CHECKING:
    import msgspec

#: Later than any clock here; a moment beyond it is no moment.
_LATEST_EPOCH = 32_503_680_000.0
_LONGEST_TASK_SECONDS = 1e9
_MOST_TASKS = 100


def enqueued_at(message: bytes | None) -> datetime | None:
    """
    Return when a Celery message was published, from its header ``enqueued_at``.

    Args:
        message: kombu's JSON envelope; None when the list is empty.

    Returns:
        UTC; None when the producer wrote no such header or it is no time.
    """
    if message is None:
        return None
    import msgspec

    try:
        envelope = _envelope_decoder().decode(message)
    except msgspec.MsgspecError:
        return None
    headers = envelope.headers
    return moment(headers.get("enqueued_at")) if isinstance(headers, dict) else None


def decode_heartbeat(raw: bytes | None) -> WorkerHeartbeat | None:
    """Return a worker's heartbeat; None when it is absent, expired or not one."""
    if raw is None:
        return None
    import msgspec

    try:
        beat = msgspec.json.decode(raw)
        at = moment(beat.get("at"))
        if at is None:
            return None
        return WorkerHeartbeat(
            replica=str(beat["replica"]),
            queue=str(beat["queue"]),
            at=at,
            active=int(beat.get("active", 0)),
            reserved=int(beat.get("reserved", 0)),
            processed=int(beat.get("processed", 0)),
            accepting=beat.get("accepting") is True,
            phase=str(beat.get("phase", "running")),
            slots=None if beat.get("slots") is None else int(beat["slots"]),
            tasks=_tasks(beat.get("current"), _trainings(beat.get("training")), at),
            newest_checkpoint_at=moment(beat.get("newest_checkpoint_at")),
        )
    except (msgspec.MsgspecError, AttributeError, KeyError, TypeError, ValueError):
        return None


def _trainings(told: Any) -> dict[str, Training]:
    """Return what a worker says of its searches, by task; what makes no sense is not known."""
    return {
        plain_text(str(row.get("task_id", "")), 200): Training(
            plain_text(str(row.get("method", "")), 40),
            step=_number(row.get("step")),
            steps=_number(row.get("steps")),
            reward=_number(row.get("reward")),
            entropy=_number(row.get("entropy")),
            checkpoint_at=moment(row.get("checkpoint_at")),
        )
        for row in (told if isinstance(told, list) else [])[:_MOST_TASKS]
        if isinstance(row, dict)
    }


def _number(value: Any) -> float | None:
    told = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if told and math.isfinite(value) else None


def _tasks(current: Any, trainings: dict[str, Training], at: datetime) -> tuple[TaskInHand, ...]:
    """Return what a worker says it is running; what makes no sense is left out."""
    tasks = []
    for told in current if isinstance(current, list) else []:
        seconds = told.get("seconds") if isinstance(told, dict) else None
        if isinstance(seconds, int | float) and 0 <= seconds < _LONGEST_TASK_SECONDS:
            task_id, name = (plain_text(str(told.get(key, "")), 200) for key in ("task_id", "name"))
            started_at = at - timedelta(seconds=seconds)
            tasks.append(TaskInHand(task_id, name, started_at, trainings.get(task_id)))
    return tuple(tasks[:_MOST_TASKS])


def moment(value: Any) -> datetime | None:
    """Return epoch seconds as UTC; None for what is no plausible number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if not math.isfinite(value) or not 0 < value < _LATEST_EPOCH:
        return None
    return datetime.fromtimestamp(value, UTC)


@cache
def _envelope_decoder() -> msgspec.json.Decoder[Any]:
    """Return a decoder that looks at the headers and skips over the body."""
    import msgspec

    envelope = msgspec.defstruct("Envelope", [("headers", Any, None)])
    return msgspec.json.Decoder(envelope)
