"""
Scale: more or fewer replicas of some services.

Up, everything is started at once and then waited for.  Down, the idlest replicas
leave, side by side: a worker is drained before it is stopped, and what the proxy sends
requests to is taken out and finishes them first.  Gradually, one leaves after the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from console.capabilities import RemovesReplica, StartsReplicas
from console.domain.advice import Direction, advise
from console.domain.plans import Json, Plan, Question, Risk, Step
from console.domain.questions import NO, WAIT, YES
from console.domain.services import Health, Replica, ReplicaState, Role, Service
from console.domain.snapshot import AgentState
from console.errors import Refused, Unreachable, UsageError
from console.operations.capacity import check_memory, cpu_warnings
from console.operations.making import (
    EMERGENCY_GRACE_SECONDS,
    GRACE_SECONDS,
    drain_step,
    drains_by_celery,
    gate_step,
    is_routed,
    not_supported,
    route_step,
    start_step,
    stop_step,
    undrain_step,
    unroute_step,
)
from console.operations.request import PlanRequest
from console.operations.world import RUNTIME_SOURCE, present_names, present_replicas

#: One step should not more than double or less than halve a service.
LARGEST_FACTOR = 2.0
#: How long a gradual step is watched before the next, and how much longer it may take
#: until the figures are calm; then it all goes back.  Seconds.
WATCH_SECONDS = 300.0
#: How long somebody is given to say that it goes on all the same, seconds.
ANSWER_SECONDS = 600.0
_WATCHED = ("queue_depth", "wait_seconds", "p95_seconds")


@dataclass(frozen=True, slots=True)
class _Target:
    """One service, how many replicas it has, and how many it is to have."""

    service: Service
    present: tuple[Replica, ...]
    wanted: int

    @property
    def added(self) -> int:
        return max(0, self.wanted - len(self.present))

    @property
    def removed(self) -> int:
        return max(0, len(self.present) - self.wanted)

    @property
    def words(self) -> str:
        return f"{self.service.name} {len(self.present)} → {self.wanted}"


def plan_scale(request: PlanRequest) -> Plan:
    """
    Plan the way to the wanted numbers of replicas.

    Args:
        request: Its wish is ``{"targets": {"worker-llm": 3}}``, with ``gradual``
            (watch between two removals, ``watch_seconds``, and ask a person where the
            figures are not calm then, ``answer_seconds``), ``emergency`` (stop
            without draining) and ``hold_seconds`` (of gates and routes) where wanted.

    Returns:
        A plan without steps when everything is already as wished.

    Raises:
        UsageError: When a service or a number makes no sense.
        Refused: When policy, memory or the runtime forbid it.
        Unreachable: When the present replicas cannot be seen.
    """
    check_seen(request)
    targets = _read_targets(request)
    changing = [t for t in targets if t.added or t.removed]
    if not changing:
        words = ", ".join(f"{t.service.name} is already {t.wanted}" for t in targets)
        return Plan("scale", words, (), wish=dict(request.wish))
    added = {t.service.name: t.added for t in changing if t.added}
    if added and not isinstance(request.runtime, StartsReplicas):
        raise not_supported(request, "start single replicas")
    if len(added) < len(changing) and not isinstance(request.runtime, RemovesReplica):
        raise not_supported(request, "remove single replicas")
    warnings = [
        *_against_advice(request, changing),
        *_warnings(request, changing),
        *check_memory(request, added),
        *cpu_warnings(request, added),
    ]
    up = [_up(request, t) for t in changing if t.added]
    down = [_down(request, t) for t in changing if t.removed]
    steps = [
        *(step for starts, _, _ in up for step in starts),
        *(step for _, gates, _ in up for step in gates),
        *(step for removals, _ in down for step in removals),
    ]
    undo = [
        *(step for _, back in reversed(down) for step in back),
        *(step for _, _, back in reversed(up) for step in back),
    ]
    return Plan(
        verb="scale",
        summary=", ".join(t.words for t in changing),
        steps=tuple(steps),
        undo=tuple(undo),
        warnings=tuple(warnings),
        expects={t.service.name: present_names(t.service) for t in changing},
        wish=dict(request.wish),
        before={t.service.name: _figures(request, t) for t in changing},
    )


def check_seen(request: PlanRequest) -> None:
    """
    Raise unless the snapshot is good enough to decide from.

    Raises:
        Unreachable: When the runtime did not answer.
        Refused: When the stack is not running.
    """
    snapshot = request.snapshot
    if not snapshot.source_is_fresh(RUNTIME_SOURCE):
        source = next((s for s in snapshot.sources if s.name == RUNTIME_SOURCE), None)
        why = source.error if source is not None and source.error else "it does not answer"
        raise Unreachable(
            f"the replicas cannot be seen: {why}",
            unchanged="nothing was changed",
            remedy="fragrance status; fragrance doctor",
        )
    if not snapshot.running:
        raise Refused(
            "the stack is not running",
            unchanged="nothing was changed",
            remedy="fragrance start",
        )


def _read_targets(request: PlanRequest) -> list[_Target]:
    wished = request.wish.get("targets")
    if not isinstance(wished, dict) or not wished:
        raise UsageError(
            "nothing to scale is named",
            unchanged="nothing was changed",
            remedy="fragrance scale worker-llm=2",
        )
    return [_read_target(request, str(name), wanted) for name, wanted in wished.items()]


def _read_target(request: PlanRequest, name: str, wanted: object) -> _Target:
    service = request.snapshot.service(name)
    if service is None:
        known = ", ".join(s.name for s in request.snapshot.services)
        raise UsageError(
            f"there is no service {name!r}",
            unchanged="nothing was changed",
            remedy=f"one of: {known}",
        )
    if isinstance(wanted, bool) or not isinstance(wanted, int) or wanted < 0:
        raise UsageError(
            f"{name}={wanted} is not a number of replicas",
            unchanged="nothing was changed",
            remedy=f"fragrance scale {name}=2",
        )
    bounds = request.policy.bounds(name, service.role)
    if bounds is None:
        raise Refused(
            f"{name} cannot be scaled: it is not among "
            f"{', '.join(request.policy.scale) or 'the services'} of the policy",
            unchanged="nothing was changed",
            remedy="fragrance restart " + name + " replaces its process; "
            "console.yaml, section scale, lists what may be scaled",
        )
    if not bounds.minimum <= wanted <= bounds.maximum:
        word, bound = (
            ("below the minimum", bounds.minimum)
            if wanted < bounds.minimum
            else ("above the maximum", bounds.maximum)
        )
        raise Refused(
            f"{name}={wanted} is {word} of {bound}",
            unchanged="nothing was changed",
            remedy=f"fragrance scale {name}={bound}; console.yaml, section scale, sets the bounds",
        )
    if wanted > 1 and service.single:
        raise Refused(
            f"{name} cannot have {wanted} replicas: {service.single}, and two cannot share it",
            unchanged="nothing was changed",
            remedy="take that out of the compose file, then fragrance start",
        )
    return _Target(service, present_replicas(service), wanted)


def _up(request: PlanRequest, target: _Target) -> tuple[list[Step], list[Step], list[Step]]:
    """Return starts, gates, and the way back."""
    service = target.service
    assert isinstance(request.runtime, StartsReplicas)  # noqa: S101 -- checked by plan_scale
    taken = [replica.name for replica in service.replicas]
    names = request.runtime.replica_names(service.name, target.added, taken)
    starts = [start_step(request, service, name) for name in names]
    gates = [gate_step(request, service, name) for name in names]
    last_first = names[::-1]
    back: list[Step] = []
    if is_routed(request, service):
        gates += [route_step(request, name) for name in names]
        back += [unroute_step(request, name, undoes=f"route-{name}") for name in last_first]
    if drains_by_celery(service):
        back += [drain_step(name, undoes=f"gate-{name}") for name in last_first]
    back += [stop_step(request, name, risk=Risk.LOW, undoes=f"start-{name}") for name in last_first]
    return starts, gates, back


def _down(request: PlanRequest, target: _Target) -> tuple[list[Step], list[Step]]:
    """Return removals and the way back."""
    service = target.service
    drained = drains_by_celery(service) and not request.wish.get("emergency")
    routed = is_routed(request, service)
    leaving = sorted(target.present, key=_least_missed)[: target.removed]
    steps: list[Step] = []
    if request.wish.get("gradual"):
        for number, replica in enumerate(leaving, 1):
            steps += _leave(request, target, [replica])
            if number < len(leaving):
                steps.append(_watch_step(request, target, number))
    else:
        steps = _leave(request, target, leaving)
    names = [replica.name for replica in reversed(leaving)]
    back = [start_step(request, service, name, undoes=f"stop-{name}") for name in names]
    if drained:
        back += [undrain_step(name, undoes=f"drain-{name}") for name in names]
    back += [gate_step(request, service, name) for name in names]
    if routed:
        back += [route_step(request, name, undoes=f"unroute-{name}") for name in names]
    return steps, back


def _leave(request: PlanRequest, target: _Target, leaving: Sequence[Replica]) -> list[Step]:
    """Return the steps with which *leaving* leave, side by side."""
    service = target.service
    emergency = bool(request.wish.get("emergency"))
    drained = drains_by_celery(service) and not emergency
    steps: list[Step] = []
    if drained:
        steps += [drain_step(replica.name) for replica in leaving]
    if is_routed(request, service):
        steps += [unroute_step(request, r.name, wait=not emergency) for r in leaving]
    risk = Risk.LOW if drained or service.role is Role.APP else Risk.MEDIUM
    grace = EMERGENCY_GRACE_SECONDS if emergency else GRACE_SECONDS
    steps += [stop_step(request, r.name, risk=risk, grace_seconds=grace) for r in leaving]
    return steps


def _watch_step(request: PlanRequest, target: _Target, removed: int) -> Step:
    name = target.service.name
    left = len(target.present) - removed
    seconds = request.wish.get("watch_seconds")
    if not isinstance(seconds, int | float) or isinstance(seconds, bool) or seconds < 0:
        seconds = WATCH_SECONDS
    return Step(
        name=f"watch-{name}-at-{left}",
        kind="watch_service",
        arguments={
            "service": name,
            "minimum_ready": min(left, target.service.ready),
            "limits": _limits(request, target.service),
            "hold_seconds": float(seconds),
        },
        command=f"watch {name} at {left} until its figures were calm for {seconds:g} s",
        risk=Risk.NONE,
        timeout_seconds=min(WATCH_SECONDS, float(seconds)),
        question=Question(
            text=f"the figures of {name} at {left} are not calm; remove the next one all the same?",
            choices={
                YES: "go on with the next removal",
                NO: f"go back to {len(target.present)}",
                WAIT: f"watch for {seconds:g} s more",
            },
            wait_seconds=answer_seconds(request, ANSWER_SECONDS),
        ),
    )


def answer_seconds(request: PlanRequest, usual: float) -> float:
    """Return how long an answer is waited for; ``answer_seconds`` of the wish, where given."""
    seconds = request.wish.get("answer_seconds")
    if not isinstance(seconds, int | float) or isinstance(seconds, bool) or seconds < 0:
        return usual
    return float(seconds)


def _limits(request: PlanRequest, service: Service) -> dict[str, Json]:
    """
    Return the limits that a watch keeps to.

    Only figures over a time or of what has piled up: a single look at the processor
    says little.
    """
    limits = request.policy.triggers(service.name, service.role)
    found = {name: getattr(limits, name) for name in _WATCHED}
    return {name: value for name, value in found.items() if value is not None}


def _least_missed(replica: Replica) -> tuple[int, int, int]:
    """Order replicas for removal: what does not work, then the idlest, then the newest."""
    works = replica.state is ReplicaState.RUNNING and replica.health is Health.HEALTHY
    held = (replica.active_tasks or 0) + (replica.reserved_tasks or 0)
    number = replica.name.rpartition("-")[2]
    return (int(works), held, -int(number) if number.isdigit() else 0)


def _figures(request: PlanRequest, target: _Target) -> dict[str, float | None]:
    """Return what is measured now, to be compared with when it has settled."""
    advice = advise(target.service.name, request.figures, request.policy)
    measured = {trigger.name: trigger.value for trigger in advice.triggers}
    return {"replicas": float(len(target.present)), **measured}


def _against_advice(request: PlanRequest, changing: list[_Target]) -> list[str]:
    """Return what speaks against it: the figures call for the opposite, or for nothing."""
    warnings = []
    for target in changing:
        advice = advise(target.service.name, request.figures, request.policy)
        contradicted = (
            advice.direction in {Direction.LEAVE, Direction.DOWN}
            if target.added
            else advice.direction is Direction.UP
        )
        if contradicted:
            warnings.append(f"the figures of {target.service.name} say: {advice.verdict}")
    return warnings


def _warnings(request: PlanRequest, changing: list[_Target]) -> list[str]:
    snapshot = request.snapshot
    warnings = []
    for target in changing:
        now, then = len(target.present), target.wanted
        if now and (then > now * LARGEST_FACTOR or then * LARGEST_FACTOR < now):
            warnings.append(
                f"{target.words} is more than ×2 or less than ×0.5 in one step; "
                "let each step settle for 5–10 minutes"
            )
        if then == 0:
            warnings.append(f"{target.service.name} at 0: its work waits until it is scaled up")
        unwell = [
            r.name
            for r in target.present
            if r.health in {Health.UNHEALTHY, Health.STOPPED, Health.UNKNOWN}
        ]
        if unwell:
            warnings.append(f"not healthy now: {', '.join(unwell)}")
    if request.wish.get("emergency") and any(t.removed for t in changing):
        warnings.append("emergency: workers are stopped without draining; their tasks start again")
    if snapshot.environment in {"prod", "production"}:
        warnings.append(f"this is {snapshot.environment}")
    if snapshot.agent is AgentState.ABSENT:
        warnings.append("no agent is running: nobody watches afterwards")
    return warnings
