"""
Whether to scale a service, and by how much, with the arithmetic.

Pure: one snapshot and the policy in, one :class:`Advice` out; the wizard draws it,
the command line prints it and the autoscaler follows it.  What cannot be told is
said so: unknown never counts as calm.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from console.domain.demand import Need, load_of, need_of
from console.domain.policy import Policy, ScalePolicy
from console.domain.services import Health, ReplicaState, Service
from console.domain.snapshot import Snapshot
from console.domain.triggers import (
    Trigger,
    TriggerState,
    figure,
    in_state,
    percent,
    read_triggers,
    service_queue,
)

#: One step should not more than double or less than halve a service.
LARGEST_FACTOR = 2
#: One less is enough when it would still be below these shares of its limits; the gap
#: between here and the limit is what keeps advice from going to and fro.
CALM_RATIO = 0.7
CALM_BUSY_RATIO = 0.6
CALM_LATENCY_RATIO = 0.5


class Direction(StrEnum):
    """What an advice comes to."""

    UP = "up"
    LEAVE = "leave"
    DOWN = "down"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Advice:
    """
    What is advised for one service.

    Args:
        service: Its name.
        present: Replicas that are meant to be there now.
        direction: What it comes to.
        verdict: In words: ``scale up: 120 tasks wait, wait 48 s; 3 of 4 triggers fire``.
        triggers: Each figure against its limit.
        recommended: Replicas advised now; None when it cannot be told.
        needed: What the arithmetic says before any bound; None when it cannot be told.
        arithmetic: Lines that lead to *recommended*.
        clipped_by: Which bound made *recommended* differ from *needed*, else "".
        notes: What else to know before deciding.
    """

    service: str
    present: int
    direction: Direction
    verdict: str
    triggers: tuple[Trigger, ...] = ()
    recommended: int | None = None
    needed: int | None = None
    arithmetic: tuple[str, ...] = ()
    clipped_by: str = ""
    notes: tuple[str, ...] = ()


def advise(name: str, snapshot: Snapshot, policy: Policy) -> Advice:
    """
    Advise on the number of replicas of service *name*.

    Args:
        name: Of a service.
        snapshot: The picture to decide from.
        policy: Bounds, triggers and targets.
    """
    service = snapshot.service(name)
    if service is None:
        return Advice(name, 0, Direction.UNKNOWN, f"cannot be told: there is no service {name}")
    present = present_count(service)
    bounds = policy.bounds(name, service.role)
    if bounds is None:
        words = "not scaled: it is not in the policy's section scale"
        return Advice(name, present, Direction.UNKNOWN, words)
    if not snapshot.source_is_fresh("runtime"):
        words = "cannot be told: the replicas cannot be seen now"
        return Advice(name, present, Direction.UNKNOWN, words)
    if not snapshot.running:
        return Advice(name, present, Direction.LEAVE, "leave it: the stack is stopped")
    if present == 0:
        return _advise_at_zero(service, snapshot, policy)
    triggers = read_triggers(service, snapshot, policy)
    firing = tuple(in_state(triggers, TriggerState.FIRES))
    unknown = tuple(in_state(triggers, TriggerState.UNKNOWN))
    notes = _notes(service)
    need = need_of(service, snapshot, triggers, bounds, present)
    if firing:
        return _advise_up(name, present, triggers, need, bounds, notes, service.single)
    if unknown or not triggers:
        why = ", ".join(t.words for t in unknown) or "the policy sets no trigger for it"
        words = f"cannot be told: {why}"
        return Advice(
            name, present, Direction.UNKNOWN, words, triggers,
            arithmetic=need.lines, needed=need.replicas, notes=notes,
        )  # fmt: skip
    return _advise_calm(service, snapshot, triggers, need, bounds, notes)


def present_count(service: Service) -> int:
    """Count the replicas that are meant to be there: all but those being removed."""
    return sum(r.state is not ReplicaState.STOPPING for r in service.replicas)


# Verdicts ---------------------------------------------------------------------


def _advise_at_zero(service: Service, snapshot: Snapshot, policy: Policy) -> Advice:
    """Advise on a service that a person took to 0: only what waits speaks for it."""
    triggers = read_triggers(service, snapshot, policy)
    queue = service_queue(service, snapshot) if snapshot.source_is_fresh("broker") else None
    if queue is None or queue.depth is None:
        words = "cannot be told: it is at 0, so nothing is measured"
        return Advice(service.name, 0, Direction.UNKNOWN, words, triggers)
    if queue.depth == 0:
        return Advice(
            service.name, 0, Direction.LEAVE, "leave it: at 0, and nothing waits", triggers,
            recommended=0, needed=0,
        )  # fmt: skip
    words = f"scale up: {queue.depth} tasks wait and nobody takes them"
    lines = (f"{queue.depth} tasks wait, 0 replicas → 1 to begin with",)
    return Advice(
        service.name, 0, Direction.UP, words, triggers,
        recommended=1, needed=1, arithmetic=lines,
    )  # fmt: skip


def _advise_up(
    name: str,
    present: int,
    triggers: tuple[Trigger, ...],
    need: Need,
    bounds: ScalePolicy,
    notes: tuple[str, ...],
    single: str,
) -> Advice:
    firing = tuple(in_state(triggers, TriggerState.FIRES))
    fire = "fires" if len(firing) == 1 else "fire"
    count = f"{len(firing)} of {len(triggers)} triggers {fire}"
    lines = list(need.lines)
    wanted = need.replicas
    if wanted is None or wanted <= present:
        wanted = present + 1
        lines.append(f"a trigger fires: at least one more than {present} → {wanted}")
    step = LARGEST_FACTOR * present
    recommended, clipped_by = wanted, ""
    if recommended > step:
        recommended, clipped_by = step, "×2 step rule"
        lines.append(f"at most ×2 in one step: {present} → {recommended}")
    if recommended > bounds.maximum:
        recommended, clipped_by = bounds.maximum, f"policy maximum of {bounds.maximum}"
        lines.append(f"the policy allows at most {bounds.maximum}")
    verdict = f"scale up: {', '.join(t.short for t in firing)}; {count}"
    if single:
        recommended, clipped_by = present, "there can be only one"
        verdict = f"needs more, but there can be only one ({single}): {count}"
    elif present >= bounds.maximum:
        recommended = present
        verdict = (
            f"needs more, but is at its maximum of {bounds.maximum}: "
            f"{', '.join(t.short for t in firing)}; {count}"
        )
    unknown = [t.words for t in in_state(triggers, TriggerState.UNKNOWN)]
    return Advice(
        service=name,
        present=present,
        direction=Direction.UP,
        verdict=f"{verdict} ({', '.join(unknown)})" if unknown else verdict,
        triggers=triggers,
        recommended=recommended,
        needed=wanted,
        arithmetic=tuple(lines),
        clipped_by=clipped_by,
        notes=notes,
    )


def _advise_calm(
    service: Service,
    snapshot: Snapshot,
    triggers: tuple[Trigger, ...],
    need: Need,
    bounds: ScalePolicy,
    notes: tuple[str, ...],
) -> Advice:
    present = present_count(service)
    lines = list(need.lines)
    direction, recommended, clipped_by = Direction.LEAVE, present, ""
    verdict = f"leave it: none of {len(triggers)} triggers fires"
    floor = max(1, bounds.minimum)
    obstacle = _obstacle_to_one_less(service, snapshot, triggers, present)
    if present > bounds.maximum:
        direction, recommended = Direction.DOWN, max(bounds.maximum, -(-present // 2))
        clipped_by = f"policy maximum of {bounds.maximum}"
        verdict = f"above its maximum of {bounds.maximum}: scale down"
    elif obstacle is not None:
        lines.append(obstacle)
    elif present <= floor:
        if need.replicas is not None and need.replicas < present:
            clipped_by = f"policy minimum of {bounds.minimum}"
        lines.append(f"{floor} is the least")
    else:
        direction, recommended = Direction.DOWN, present - 1
        verdict = "could be one less"
        lines.append(f"one at a time: {present} → {recommended}")
    return Advice(
        service=service.name,
        present=present,
        direction=direction,
        verdict=verdict,
        triggers=triggers,
        recommended=recommended,
        needed=need.replicas,
        arithmetic=tuple(lines),
        clipped_by=clipped_by,
        notes=notes,
    )


def _obstacle_to_one_less(
    service: Service, snapshot: Snapshot, triggers: tuple[Trigger, ...], present: int
) -> str | None:
    """Return why one less would be too few; None when it would do."""
    if present <= 1:
        return None
    grows = present / (present - 1)
    for trigger in triggers:
        if trigger.value is None:
            continue
        if trigger.name in {"p95_seconds", "queue_depth", "wait_seconds"}:
            then, limit = trigger.value, CALM_LATENCY_RATIO * trigger.threshold
        else:
            then, limit = trigger.value * grows, CALM_RATIO * trigger.threshold
        if then > limit:
            return (
                f"with {present - 1}: {trigger.name.partition('_')[0]} about "
                f"{figure(then, trigger.unit)}, and calm is at most {figure(limit, trigger.unit)}"
            )
    queue = service_queue(service, snapshot)
    load = None if queue is None else load_of(service, queue)
    if queue is None:
        return None
    if load is None:
        return "whether one less would do cannot be told"
    busy = max(load.busy, load.arrived * (load.task_seconds or 0.0))
    places = load.places * (present - 1)
    if busy > CALM_BUSY_RATIO * places:
        return (
            f"with {present - 1}: {busy:.1f} of {places} places busy, "
            f"and calm is at most {percent(CALM_BUSY_RATIO)}"
        )
    return None


def _notes(service: Service) -> tuple[str, ...]:
    coming = [
        replica.name
        for replica in service.replicas
        if replica.state is not ReplicaState.STOPPING
        and replica.probed
        and replica.health is not Health.HEALTHY
    ]
    if not coming:
        return ()
    return (f"not healthy yet: {', '.join(coming)}; what it adds does not show in the figures",)
