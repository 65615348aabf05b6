"""What the searches of the RL workers are at, in words."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from console.domain.services import TaskInHand, Training
from console.domain.snapshot import Snapshot


def training_parts(
    training: Training, now: datetime, age: Callable[[float], str]
) -> tuple[str, ...]:
    """
    Return how far a search is, what it has reached, and how old its checkpoint is.

    Args:
        training: The search.
        now: For the age.
        age: Turns seconds into words.
    """
    step = "at no step yet" if training.step is None else f"step {training.step:.0f}"
    if training.step is not None and training.steps:
        step += f"/{training.steps:.0f}"
    parts = [step]
    if training.reward is not None:
        parts.append(f"reward {training.reward:.3f}")
    if training.entropy is not None:
        parts.append(f"entropy {training.entropy:.4f}")
    if training.checkpoint_at is None:
        parts.append("no checkpoint yet")
    else:
        parts.append(f"checkpoint {_age(training.checkpoint_at, now, age)}")
    return tuple(parts)


def running_trainings(snapshot: Snapshot) -> tuple[tuple[str, TaskInHand, Training], ...]:
    """Return the running searches with the names of their replicas, the longest first."""
    found = [
        (replica.name, task, task.training)
        for service in snapshot.services
        for replica in service.replicas
        for task in replica.tasks
        if task.training is not None
    ]
    return tuple(sorted(found, key=lambda each: each[1].started_at))


def newest_checkpoint(snapshot: Snapshot) -> datetime | None:
    """Return when the newest checkpoint of all was written; None where no worker tells."""
    told = [
        replica.newest_checkpoint_at
        for service in snapshot.services
        for replica in service.replicas
        if replica.newest_checkpoint_at is not None
    ]
    return max(told, default=None)


def newest_words(snapshot: Snapshot, now: datetime, age: Callable[[float], str]) -> str:
    """Return how old the newest checkpoint is, "" where no worker tells of one."""
    newest = newest_checkpoint(snapshot)
    return "" if newest is None else f"newest checkpoint {_age(newest, now, age)} ago"


def _age(moment: datetime, now: datetime, age: Callable[[float], str]) -> str:
    return age(max(0.0, (now - moment).total_seconds()))
