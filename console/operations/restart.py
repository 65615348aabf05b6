"""
Restart: new processes for the replicas of some services, one after the other.

A worker is drained first.  What was restarted cannot be un-restarted: the way back
only makes sure that everything that was begun is well again.
"""

from __future__ import annotations

from console.capabilities import RestartsReplica
from console.domain.plans import Plan, Risk, Step
from console.domain.services import Health, Replica, ReplicaState, Role, Service
from console.errors import Refused, UsageError
from console.operations.making import (
    drain_step,
    drains_by_celery,
    gate_step,
    is_routed,
    not_supported,
    restart_step,
    route_step,
    undrain_step,
    unroute_step,
)
from console.operations.request import PlanRequest
from console.operations.restart_complete import plan_complete_restart
from console.operations.scale import check_seen
from console.operations.world import present_names, present_replicas

#: What others need comes first.
_ORDER = (Role.DATABASE, Role.BROKER, Role.APP, Role.WORKER, Role.PROXY)
_SHARED = frozenset({Role.DATABASE, Role.BROKER})


def plan_restart(request: PlanRequest) -> Plan:
    """
    Plan a rolling restart.

    Args:
        request: Its wish is ``{"services": ["app"]}`` or ``{"all": true}``; the name of
            a replica among the services means that one alone.  ``{"complete": true}`` is
            another plan: :mod:`console.operations.restart_complete`.

    Raises:
        UsageError: When a service is unknown or none is named.
        Refused: When there is nothing to restart, or the runtime cannot.
        Unreachable: When the present replicas cannot be seen.
    """
    if request.wish.get("complete"):
        return plan_complete_restart(request)
    check_seen(request)
    if not isinstance(request.runtime, RestartsReplica):
        raise not_supported(request, "restart single replicas")
    restarted = {s.name: (s, found) for s, found in _read_services(request) if found}
    services = [service for service, _ in restarted.values()]
    if not services:
        raise Refused(
            "there is no replica to restart",
            unchanged="nothing was changed",
            remedy="fragrance status",
        )
    steps: list[Step] = []
    undo: list[Step] = []
    for service, replicas in restarted.values():
        for replica in replicas:
            forward, back = _restart(request, service, replica)
            steps += forward
            undo = back + undo
    return Plan(
        verb="restart",
        summary=", ".join(_words(s, replicas) for s, replicas in restarted.values()),
        steps=tuple(steps),
        undo=tuple(undo),
        warnings=tuple(_warnings(request, services)),
        expects={service.name: present_names(service) for service in services},
        wish=dict(request.wish),
    )


def _words(service: Service, replicas: tuple[Replica, ...]) -> str:
    if len(replicas) == len(present_replicas(service)):
        return f"{service.name} ×{len(replicas)}"
    return ", ".join(replica.name for replica in replicas)


def _read_services(request: PlanRequest) -> list[tuple[Service, tuple[Replica, ...]]]:
    """Return each service to restart with those of its replicas that are meant."""
    known = request.snapshot.services
    if request.wish.get("all"):
        ranks = {role: rank for rank, role in enumerate(_ORDER)}
        ordered = sorted(known, key=lambda service: ranks.get(service.role, len(_ORDER)))
        return [(service, present_replicas(service)) for service in ordered]
    names = request.wish.get("services")
    if not isinstance(names, list) or not names:
        raise UsageError(
            "no service to restart is named",
            unchanged="nothing was changed",
            remedy="fragrance restart SERVICE, or --all",
        )
    for name in names:
        if request.snapshot.service(name) is None and request.snapshot.replica(name) is None:
            raise UsageError(
                f"there is no service {name!r}",
                unchanged="nothing was changed",
                remedy=f"one of: {', '.join(s.name for s in known)}",
            )
    meant = []
    for service in sorted(known, key=lambda service: _place(names, service)):
        replicas = present_replicas(service)
        if service.name not in names:
            replicas = tuple(r for r in replicas if r.name in names)
        if service.name in names or replicas:
            meant.append((service, replicas))
    return meant


def _place(names: list[object], service: Service) -> int:
    """Return where *names* first means *service*: they are restarted in that order."""
    own = {service.name, *(replica.name for replica in service.replicas)}
    return next((place for place, name in enumerate(names) if name in own), len(names))


def _restart(
    request: PlanRequest, service: Service, replica: Replica
) -> tuple[list[Step], list[Step]]:
    """Return the steps for one replica, and the way back."""
    previous = {
        "pid": replica.pid,
        "started_at": None if replica.started_at is None else replica.started_at.isoformat(),
    }
    alone = service.role in _SHARED or len(present_replicas(service)) == 1
    steps: list[Step] = []
    back = [
        gate_step(
            request,
            service,
            replica.name,
            name=f"recover-{replica.name}",
            undoes=f"restart-{replica.name}",
        )
    ]
    runs = replica.state is ReplicaState.RUNNING
    if drains_by_celery(service) and runs and replica.health is Health.HEALTHY:
        steps.append(drain_step(replica.name, previous=previous))
        back.insert(0, undrain_step(replica.name, undoes=f"drain-{replica.name}"))
    routed = is_routed(request, service) and not alone
    if routed:
        steps.append(unroute_step(request, replica.name, previous=previous))
    steps.append(
        restart_step(request, replica, previous, Risk.MEDIUM if alone else Risk.LOW)
        if service.role not in _SHARED
        else restart_step(request, replica, previous, Risk.HIGH)
    )
    steps.append(gate_step(request, service, replica.name))
    if routed:
        steps.append(route_step(request, replica.name))
        back.append(
            route_step(
                request,
                replica.name,
                name=f"reroute-{replica.name}",
                undoes=f"unroute-{replica.name}",
            )
        )
    return steps, back


def _warnings(request: PlanRequest, services: list[Service]) -> list[str]:
    warnings = []
    for service in services:
        if service.role in _SHARED:
            warnings.append(f"{service.name} is shared by everything: requests fail meanwhile")
        elif len(present_replicas(service)) == 1:
            warnings.append(f"{service.name} has one replica: nothing serves while it restarts")
    if request.snapshot.environment in {"prod", "production"}:
        warnings.append(f"this is {request.snapshot.environment}")
    return warnings
