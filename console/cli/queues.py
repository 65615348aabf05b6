"""Queues as lines and as JSON: will each drain, when, and what do its workers have in hand?"""

from __future__ import annotations

import math
from datetime import datetime

from console.cli.figures import UNKNOWN, duration, number
from console.cli.status_lines import queue_lines
from console.domain.drain import drain_of
from console.domain.plans import Json
from console.domain.policy import Policy
from console.domain.queues import Queue, estimate_wait_seconds
from console.domain.services import Replica, Service, Training
from console.domain.snapshot import Snapshot
from console.domain.text import plain_text
from console.domain.training import training_parts


def queue_report(snapshot: Snapshot, policy: Policy) -> list[str]:
    """Return every queue with its verdict, what would help, and its workers."""
    lines = queue_lines(snapshot)
    for queue in snapshot.queues:
        services = _services(queue, snapshot)
        drain = drain_of(queue, services, policy)
        lines += ["", f"{plain_text(queue.name, 60)}: {number(queue.depth)} wait; {drain.words}"]
        lines += [f"  {drain.help}"] if drain.help else []
        lines += [f"  {_worker(r, snapshot.taken_at)}" for s in services for r in s.replicas]
    return lines


def with_verdicts(
    told: list[dict[str, Json]], snapshot: Snapshot, policy: Policy
) -> list[dict[str, Json]]:
    """Return the queues of the contract with their verdicts and their workers."""
    return [
        one | _verdict(queue, _services(queue, snapshot), policy)
        for one, queue in zip(told, snapshot.queues, strict=True)
    ]


def _services(queue: Queue, snapshot: Snapshot) -> tuple[Service, ...]:
    return tuple(s for s in snapshot.services if s.labels.get("console.queue") == queue.name)


def _worker(replica: Replica, now: datetime) -> str:
    if replica.heartbeat_at is None:
        hands = "no heartbeat"
    else:
        slots = UNKNOWN if replica.task_slots is None else str(replica.task_slots)
        hands = f"runs {number(replica.active_tasks)} of {slots}"
        hands += f", holds {number(replica.reserved_tasks)}"
        hands += ", takes work" if replica.accepting else ", drains"
        hands += f", heartbeat {duration((now - replica.heartbeat_at).total_seconds())} ago"
    tasks = "; ".join(
        f"{plain_text(task.name.rpartition('.')[2], 60)} for "
        f"{duration((now - task.started_at).total_seconds())}"
        + ("" if task.training is None else f" ({_training(task.training, now)})")
        for task in replica.tasks
    )
    words = f"{plain_text(replica.name, 60):16} {replica.health.value:10} {hands}"
    return f"{words}: {tasks}" if tasks else words


def _training(training: Training, now: datetime) -> str:
    return ", ".join(training_parts(training, now, duration))


def _verdict(queue: Queue, services: tuple[Service, ...], policy: Policy) -> dict[str, Json]:
    drain = drain_of(queue, services, policy)
    wait = None
    if queue.depth is not None and queue.completed_per_second is not None:
        wait = estimate_wait_seconds(queue.depth, queue.completed_per_second)
    return {
        "wait_seconds": _finite(wait),
        "drain_seconds": _finite(drain.seconds),
        "drains": None if not drain.known else not drain.stuck,
        "words": drain.words,
        "help": drain.help or None,
        "replicas": [
            {
                "name": replica.name,
                "health": replica.health.value,
                "active": replica.active_tasks,
                "reserved": replica.reserved_tasks,
                "slots": replica.task_slots,
                "accepting": replica.accepting,
                "heartbeat_at": _at(replica.heartbeat_at),
                "tasks": [
                    {
                        "task_id": t.task_id,
                        "name": t.name,
                        "started_at": _at(t.started_at),
                        "training": None if t.training is None else _training_json(t.training),
                    }
                    for t in replica.tasks
                ],
                "newest_checkpoint_at": _at(replica.newest_checkpoint_at),
            }
            for service in services
            for replica in service.replicas
        ],
    }


def _training_json(training: Training) -> dict[str, Json]:
    return {
        "method": training.method,
        "step": training.step,
        "steps": training.steps,
        "reward": training.reward,
        "entropy": training.entropy,
        "checkpoint_at": _at(training.checkpoint_at),
    }


def _finite(seconds: float | None) -> float | None:
    """Return seconds; JSON has no infinity, so that never is unknown there and told in words."""
    return None if seconds is None or math.isinf(seconds) else round(seconds, 1)


def _at(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
