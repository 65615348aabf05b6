"""
Replicas replaced by new ones without dropping work: new one first, then the old leaves.

What is started takes the configuration, limits and image that are in force then; so
whoever plans a change of these has it written first, and taken back first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from console.capabilities import RemovesReplica, StartsReplicas
from console.domain.plans import Risk, Step
from console.domain.services import Replica, Role, Service
from console.errors import Refused
from console.operations.capacity import check_memory
from console.operations.making import (
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

#: For a database to write down what it has.
STORE_GRACE_SECONDS = 60.0
#: Two of these at a time are not one with more room.
_ALONE = {
    Role.DATABASE: "two servers cannot have one set of data",
    Role.BROKER: "two servers cannot have one set of data",
    Role.PROXY: "it has the public address",
}


@dataclass(frozen=True, slots=True)
class Replacement:
    """
    The steps that replace some replicas, and the way back.

    Args:
        warnings: What the operator should weigh.
    """

    steps: tuple[Step, ...] = ()
    undo: tuple[Step, ...] = ()
    warnings: tuple[str, ...] = ()


def why_alone(service: Service) -> str:
    """Return why there cannot be two replicas of *service* at a time; empty if there can."""
    return _ALONE.get(service.role) or service.single


def require_replaceable(request: PlanRequest, service: Service, purpose: str, remedy: str) -> None:
    """
    Raise unless a new replica of *service* can run beside the old one.

    Args:
        purpose: What it would be for, ``LOG_LEVEL takes effect in new replicas only``.
        remedy: What to do instead.

    Raises:
        Refused: With the reason.
    """
    if why := why_alone(service):
        raise Refused(
            f"{purpose}, and a second {service.name} cannot run beside the first: {why}",
            unchanged="nothing was changed",
            remedy=remedy,
        )
    if not isinstance(request.runtime, StartsReplicas):
        raise not_supported(request, "start single replicas")
    if not isinstance(request.runtime, RemovesReplica):
        raise not_supported(request, "remove single replicas")


def replace_replicas(
    request: PlanRequest, service: Service, leaving: Sequence[Replica]
) -> Replacement:
    """
    Plan the replacement of some replicas of *service*, one after the other.

    Each new one has another name than any that was there, so that at every moment
    each name stands for either the old or the new configuration.

    Args:
        request: Its wish may say ``hold_seconds`` (of the gates).
        service: See :func:`require_replaceable`.
        leaving: Those to be replaced.

    Raises:
        Refused: When the host has no memory for one more.
    """
    if not leaving:
        return Replacement()
    assert isinstance(request.runtime, StartsReplicas)  # noqa: S101 -- see require_replaceable
    warnings = check_memory(request, {service.name: 1})
    taken = [replica.name for replica in service.replicas]
    names = request.runtime.replica_names(service.name, len(leaving), taken)
    steps: list[Step] = []
    undo: list[Step] = []
    for old, new in zip(leaving, names, strict=True):
        forward, back = _replace(request, service, old.name, new)
        steps += forward
        undo = back + undo
    return Replacement(tuple(steps), tuple(undo), tuple(warnings))


def replace_alone(
    request: PlanRequest, service: Service, replicas: Sequence[Replica]
) -> Replacement:
    """
    Plan the replacement of what cannot run twice: it stops before the new one starts.

    The new one has another name here too, so that its way back can tell them apart.

    Args:
        request: See :func:`replace_replicas`.
        service: Has its data outside of what is removed.
        replicas: Those that are present.
    """
    assert isinstance(request.runtime, StartsReplicas)  # noqa: S101 -- the planner asked for it
    taken = [replica.name for replica in service.replicas]
    names = request.runtime.replica_names(service.name, len(replicas), taken)
    steps: list[Step] = []
    undo: list[Step] = []
    for old, new in zip((replica.name for replica in replicas), names, strict=True):
        steps += [
            stop_step(request, old, risk=Risk.HIGH, grace_seconds=STORE_GRACE_SECONDS),
            start_step(request, service, new),
            gate_step(request, service, new),
        ]
        undo = [
            stop_step(request, new, risk=Risk.HIGH, undoes=f"start-{new}",
                      grace_seconds=STORE_GRACE_SECONDS),
            start_step(request, service, old, undoes=f"stop-{old}"),
            gate_step(request, service, old),
            *undo,
        ]  # fmt: skip
    words = f"{service.name} is stopped for it: what needs it fails until the new one is ready"
    return Replacement(tuple(steps), tuple(undo), (words,))


def _replace(
    request: PlanRequest, service: Service, old: str, new: str
) -> tuple[list[Step], list[Step]]:
    routed, drained = is_routed(request, service), drains_by_celery(service)
    steps = [start_step(request, service, new), gate_step(request, service, new)]
    if routed:
        steps += [route_step(request, new), unroute_step(request, old)]
    if drained:
        steps.append(drain_step(old))
    risk = Risk.LOW if drained or routed else Risk.MEDIUM
    steps.append(stop_step(request, old, risk=risk))
    back = [start_step(request, service, old, undoes=f"stop-{old}")]
    if drained:
        back.append(undrain_step(old, undoes=f"drain-{old}"))
    back.append(gate_step(request, service, old))
    if routed:
        back.append(route_step(request, old, undoes=f"unroute-{old}"))
        back.append(unroute_step(request, new, undoes=f"route-{new}"))
    if drained:
        back.append(drain_step(new, undoes=f"gate-{new}"))
    back.append(stop_step(request, new, risk=Risk.LOW, undoes=f"start-{new}"))
    return steps, back
