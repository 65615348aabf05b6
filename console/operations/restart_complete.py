"""
The complete restart: everything down, the ground first, everything up; an outage.

For when nothing else helps, so it asks nothing of a database or broker that may be
what is broken.  What takes requests and tasks is gone while those are restarted, and
is made anew.  Its way back is the way on: everything that was begun runs again.
"""

from __future__ import annotations

from collections.abc import Sequence

from console.domain.plans import Json, Plan, Risk, Step
from console.domain.services import Health, Replica, ReplicaState, Role, Service
from console.errors import Refused
from console.operations.maintenance import (
    LIMIT_SECONDS,
    drain_requests_step,
    has_page,
    switch_step,
)
from console.operations.making import (
    GRACE_SECONDS,
    drains_by_celery,
    gate_step,
    pause_step,
    restart_step,
    start_step,
    stop_step,
)
from console.operations.request import PlanRequest
from console.operations.scale import check_seen
from console.operations.world import BROKER_SOURCE, present_names, present_replicas

#: For a worker to finish what it has in hand, or to hand it back.
WORKER_GRACE_SECONDS = 90.0
#: Stopped in this order, and started in the other; all others keep data or show figures.
_STOPPED = (Role.WORKER, Role.APP)
#: Restarted in place while those are gone, in this order.
_GROUND = (Role.DATABASE, Role.BROKER, Role.OTHER)

Replicas = Sequence[tuple[Service, Replica]]


def plan_complete_restart(request: PlanRequest) -> Plan:
    """
    Plan it.

    Args:
        request: Its wish is ``{"complete": true}``.

    Raises:
        Refused: When nothing is there to restart, or the runtime cannot.
        Unreachable: When the present replicas cannot be seen.
    """
    check_seen(request)
    ground, stopped = _of(request, _GROUND), _of(request, _STOPPED)
    proxies = _of(request, (Role.PROXY,))
    everything = [*ground, *stopped, *proxies]
    if not everything:
        raise Refused(
            "there is no replica to restart",
            unchanged="nothing was changed",
            remedy="fragrance start",
        )
    page = has_page(request) and not request.snapshot.maintenance
    steps, undo = _show_page(request, everything) if page else ([], [])
    recovered: list[Step] = []
    steps += _pause(request, stopped)
    steps += [_stop(request, service, replica) for service, replica in stopped]
    steps += _restart(request, ground)
    for service, replica in ground:
        recovered.append(_recover(request, service, replica, f"restart-{replica.name}"))
    for service, replica in reversed(stopped):
        steps += [start_step(request, service, replica.name)]
        undoes = f"stop-{replica.name}"
        recovered.append(start_step(request, service, replica.name, undoes=undoes))
    for service, replica in reversed(stopped):
        steps += [gate_step(request, service, replica.name)]
        recovered.append(_recover(request, service, replica, f"start-{replica.name}"))
    steps += _restart(request, proxies)
    for service, replica in proxies:
        recovered.append(_recover(request, service, replica, f"restart-{replica.name}"))
    if page:
        steps.append(switch_step(request, on=False))
    touched = [s for s in request.snapshot.services if any(s is each for each, _ in everything)]
    return Plan(
        verb="restart",
        summary=f"everything, from the ground up ({len(everything)} replicas)",
        steps=tuple(steps),
        undo=(*recovered, *undo),
        warnings=tuple(_warnings(request, page=page)),
        expects={service.name: present_names(service) for service in touched},
        wish=dict(request.wish),
    )


def _of(request: PlanRequest, roles: Sequence[Role]) -> list[tuple[Service, Replica]]:
    return [
        (service, replica)
        for role in roles
        for service in request.snapshot.services
        if service.role is role
        for replica in present_replicas(service)
    ]


def _show_page(request: PlanRequest, everything: Replicas) -> tuple[list[Step], list[Step]]:
    until: list[dict[str, Json]] = [
        {"replica": replica.name, "previous": _process_of(replica)} for _, replica in everything
    ]
    on = switch_step(request, on=True, until=until)
    off = switch_step(request, on=False, undoes=on.name)
    return [on, drain_requests_step(LIMIT_SECONDS, until)], [off]


def _pause(request: PlanRequest, replicas: Replicas) -> list[Step]:
    """Return the steps after which no worker takes a task any more, where they can be asked."""
    if not request.snapshot.source_is_fresh(BROKER_SOURCE):
        return []
    return [
        pause_step(replica.name, _process_of(replica))
        for service, replica in replicas
        if drains_by_celery(service)
        and replica.state is ReplicaState.RUNNING
        and replica.health is Health.HEALTHY
    ]


def _stop(request: PlanRequest, service: Service, replica: Replica) -> Step:
    grace = WORKER_GRACE_SECONDS if drains_by_celery(service) else GRACE_SECONDS
    previous = _process_of(replica)
    return stop_step(request, replica.name, risk=Risk.HIGH, grace_seconds=grace, previous=previous)


def _restart(request: PlanRequest, replicas: Replicas) -> list[Step]:
    return [
        *(restart_step(request, r, _process_of(r), Risk.HIGH) for _, r in replicas),
        *(gate_step(request, service, r.name) for service, r in replicas),
    ]


def _recover(request: PlanRequest, service: Service, replica: Replica, undoes: str) -> Step:
    return gate_step(request, service, replica.name, name=f"recover-{replica.name}", undoes=undoes)


def _process_of(replica: Replica) -> dict[str, Json]:
    started = replica.started_at
    return {"pid": replica.pid, "started_at": None if started is None else started.isoformat()}


def _warnings(request: PlanRequest, *, page: bool) -> list[str]:
    warnings = ["nothing is served until it is done"]
    if page:
        warnings[0] += "; users get the maintenance page"
    elif request.snapshot.maintenance:
        warnings[0] += "; maintenance is on and stays on"
    if not request.snapshot.source_is_fresh(BROKER_SOURCE):
        warnings.append("the broker does not answer: workers are not drained, they are stopped")
    left = [s.name for s in request.snapshot.services if s.role is Role.MONITORING]
    if left:
        warnings.append(f"monitoring goes on: {', '.join(left)}")
    if request.snapshot.environment in {"prod", "production"}:
        warnings.append(f"this is {request.snapshot.environment}")
    return warnings
