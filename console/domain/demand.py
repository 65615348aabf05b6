"""
How many replicas the load on a service needs, with the lines of the arithmetic.

Arrival rate × service time gives the tasks under way at a time (Little's law); what
waits beyond the target is to be worked off within the target.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from console.domain.policy import ScalePolicy
from console.domain.queues import Queue
from console.domain.services import Replica, ReplicaState, Service
from console.domain.snapshot import Snapshot
from console.domain.triggers import Trigger, figure, percent, seconds, service_queue

#: Share of its places for tasks that a worker should use: the rest takes up the waves.
BUSY_RATIO = 0.8


@dataclass(frozen=True, slots=True)
class Need:
    """Replicas needed, None when it cannot be told, with the lines that say why."""

    replicas: int | None
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Load:
    """
    What a worker's queue asks of it; seconds, tasks and tasks per second.

    Args:
        arrived: Tasks arriving per second.
        completed: Tasks completed per second.
        depth: Tasks waiting.
        busy: Tasks being worked on, on average over 60 s where that is known.
        places: Tasks that one replica can work on at the same time.
    """

    arrived: float
    completed: float
    depth: int
    busy: float
    places: int

    @property
    def task_seconds(self) -> float | None:
        """Time one task takes: busy places ÷ completion rate; None when nothing shows it."""
        if self.completed <= 0 or self.busy <= 0:
            return None
        return self.busy / self.completed


def need_of(
    service: Service,
    snapshot: Snapshot,
    triggers: tuple[Trigger, ...],
    bounds: ScalePolicy,
    present: int,
) -> Need:
    """Return how many replicas the load needs: by its queue and by each ratio that fires."""
    parts: list[Need] = []
    if any(t.name in {"queue_depth", "wait_seconds"} for t in triggers):
        parts.append(_need_by_queue(service, snapshot, bounds.wait_target_seconds))
    parts += [
        _need_by_ratio(trigger, present)
        for trigger in triggers
        if trigger.name in {"cpu_ratio", "p95_seconds", "requests_in_flight"}
        and trigger.value is not None
    ]
    known = [part.replicas for part in parts if part.replicas is not None]
    lines = tuple(line for part in parts for line in part.lines)
    return Need(max(known, default=None), lines)


def _need_by_ratio(trigger: Trigger, present: int) -> Need:
    value = trigger.value or 0.0
    replicas = max(1, math.ceil(present * value / trigger.threshold - 1e-9))
    return Need(
        replicas,
        (
            f"{trigger.short} ÷ {figure(trigger.threshold, trigger.unit)} × {present} "
            f"→ {replicas} {'replica' if replicas == 1 else 'replicas'}",
        ),
    )


def _need_by_queue(service: Service, snapshot: Snapshot, target: float) -> Need:
    queue = service_queue(service, snapshot) if snapshot.source_is_fresh("broker") else None
    load = None if queue is None else load_of(service, queue)
    if load is None:
        return Need(None, ("arrivals, completions or running tasks are unknown",))
    if not load.depth and not load.busy and not load.arrived:
        return Need(1, ("nothing arrives, waits or runs → 1 replica",))
    if (each := load.task_seconds) is None:
        why = "nothing was completed" if not load.completed else "nothing is seen running"
        return Need(None, (f"how long a task takes cannot be told: {why} in 60 s",))
    steady = load.arrived * each / BUSY_RATIO
    may_wait = load.arrived * target
    excess = max(0.0, load.depth - may_wait)
    lines = [
        f"arrivals {load.arrived:.2f}/s × {seconds(each)} a task ÷ {percent(BUSY_RATIO)} use "
        f"= {steady:.1f} tasks at a time",
    ]
    more = 0.0
    if excess:
        more = excess * each / target
        lines.append(
            f"{load.depth} wait, {may_wait:.0f} may (a wait of {seconds(target)}): "
            f"{excess:.0f} × {seconds(each)} ÷ {seconds(target)} = {more:.1f} more at a time"
        )
    replicas = max(1, math.ceil((steady + more) / load.places - 1e-9))
    lines.append(
        f"{steady + more:.1f} ÷ {load.places} at a time in each replica "
        f"→ {replicas} {'replica' if replicas == 1 else 'replicas'}"
    )
    return Need(replicas, tuple(lines))


def load_of(service: Service, queue: Queue) -> Load | None:
    """Return what the queue asks of its workers, None when a part of it is unknown."""
    workers = [r for r in service.replicas if r.state is ReplicaState.RUNNING]
    active = [r.active_tasks for r in workers if r.active_tasks is not None]
    if queue.depth is None or queue.arrived_per_second is None or len(active) < 1:
        return None
    if queue.completed_per_second is None:
        return None
    return Load(
        arrived=queue.arrived_per_second,
        completed=queue.completed_per_second,
        depth=queue.depth,
        busy=sum(active) if queue.busy_average is None else queue.busy_average,
        places=_places(workers, active, waiting=queue.depth > 0),
    )


def _places(workers: list[Replica], active: list[int], *, waiting: bool) -> int:
    """Return how many tasks one replica takes at a time: as it says, else as it was seen to."""
    said = [replica.task_slots for replica in workers if replica.task_slots]
    if said:
        return max(said)
    # While something waits, all places are taken: their mean is the best guess.
    seen = -(-sum(active) // len(active)) if waiting else max(active)
    return max(1, seen)
