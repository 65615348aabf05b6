"""
Steps that several planners use, with the text of their commands.

A planner asks the runtime only for names and command texts, which are pure.
"""

from __future__ import annotations

from console.capabilities import (
    HasSettings,
    RemovesReplica,
    RestartsReplica,
    Routes,
    StartsReplicas,
)
from console.domain.plans import Json, Risk, Step
from console.domain.services import Health, Replica, ReplicaState, Role, Service
from console.errors import NotSupported
from console.operations.request import PlanRequest

#: A replica that stops by itself within this time is not killed, seconds; the
#: application finishes its requests within 30 s.
GRACE_SECONDS = 40.0
EMERGENCY_GRACE_SECONDS = 10.0
START_TIMEOUT_SECONDS = 60.0
#: Loading a model takes its time on a small machine.
GATE_TIMEOUT_SECONDS = 180.0
#: The longest task; an operator who does not want to wait cancels.
DRAIN_TIMEOUT_SECONDS = 1800.0
#: For a worker to hear that it is to take no more.
PAUSE_TIMEOUT_SECONDS = 60.0
#: For a proxy to load and answer with another configuration.
ROUTE_TIMEOUT_SECONDS = 60.0
#: For it to look up the address of a member that is new.
ROUTE_HOLD_SECONDS = 1.0

WRITE_STEP = "write-settings"

#: How long a new replica must stay healthy before it counts, by runtime; a new release
#: is given longer by whoever plans it.
HOLD_SECONDS = {"embedded": 1.0, "compose": 5.0}
DEFAULT_HOLD_SECONDS = 30.0


def is_queue_worker(service: Service) -> bool:
    """Whether its replicas register with the broker."""
    return service.role is Role.WORKER and "console.queue" in service.labels


def _is_probed(service: Service) -> bool:
    """Whether anything tells its health; a service that nobody probes is ready while it runs."""
    running = [r for r in service.replicas if r.state is ReplicaState.RUNNING]
    return not (service.ready and all(r.health is Health.UNKNOWN for r in running))


def drains_by_celery(service: Service) -> bool:
    """Whether its replicas can be told to take no more tasks."""
    return service.labels.get("console.drain") == "celery"


def start_step(
    request: PlanRequest, service: Service, replica: str, undoes: str | None = None
) -> Step:
    """Return the step that starts *replica*."""
    if not isinstance(request.runtime, StartsReplicas):
        raise not_supported(request, "start single replicas")
    return Step(
        name=f"start-{replica}",
        kind="start_replica",
        arguments={"service": service.name, "replica": replica},
        command=request.runtime.start_command(service.name, replica),
        risk=Risk.LOW,
        timeout_seconds=START_TIMEOUT_SECONDS,
        undoes=undoes,
    )


def gate_step(
    request: PlanRequest,
    service: Service,
    replica: str,
    *,
    name: str | None = None,
    undoes: str | None = None,
) -> Step:
    """Return the step that waits until *replica* is healthy, and stays so for a while."""
    hold = _wished_hold(request)
    if hold is None:
        hold = HOLD_SECONDS.get(request.snapshot.runtime, DEFAULT_HOLD_SECONDS)
    registered, probed = is_queue_worker(service), _is_probed(service)
    words = "healthy" if probed else "running (nothing tells whether it is healthy)"
    if registered:
        words += " and takes tasks"
    return Step(
        name=name or f"gate-{replica}",
        kind="gate_replica",
        arguments={
            "replica": replica,
            "registered": registered,
            "probed": probed,
            "hold_seconds": float(hold),
            **({"undrain": _admin("undrain", replica)} if registered else {}),
        },
        command=f"wait until {replica} is {words}" + (f", for {hold:g} s" if hold else ""),
        risk=Risk.NONE,
        timeout_seconds=GATE_TIMEOUT_SECONDS,
        undoes=undoes,
    )


def _wished_hold(request: PlanRequest) -> float | None:
    """Return how long the wish has replicas stay well, None where it does not say."""
    hold = request.wish.get("hold_seconds")
    if not isinstance(hold, int | float) or isinstance(hold, bool) or hold < 0:
        return None
    return float(hold)


def drain_step(
    replica: str, undoes: str | None = None, previous: dict[str, Json] | None = None
) -> Step:
    """Return the step after which *replica* takes no tasks and holds none."""
    command = _admin("drain", replica)
    arguments: dict[str, Json] = {"replica": replica, "command": command}
    if previous is not None:
        arguments["previous"] = previous
    return Step(
        name=f"drain-{replica}",
        kind="drain_replica",
        arguments=arguments,
        command=f"exec {replica}: {' '.join(command)}",
        risk=Risk.LOW,
        timeout_seconds=DRAIN_TIMEOUT_SECONDS,
        undoes=undoes,
    )


def pause_step(replica: str, previous: dict[str, Json] | None = None) -> Step:
    """Return the step after which *replica* takes no more tasks, whatever it still holds."""
    command = _admin("drain", replica)
    arguments: dict[str, Json] = {"replica": replica, "command": command, "wait": False}
    if previous is not None:
        arguments["previous"] = previous
    return Step(
        name=f"pause-{replica}",
        kind="drain_replica",
        arguments=arguments,
        command=f"exec {replica}: {' '.join(command)}",
        risk=Risk.LOW,
        timeout_seconds=PAUSE_TIMEOUT_SECONDS,
    )


def _admin(verb: str, replica: str) -> list[str]:
    return ["python", "-m", "workers", verb, replica]


def undrain_step(replica: str, undoes: str) -> Step:
    """Return the step after which *replica* takes tasks again."""
    command = _admin("undrain", replica)
    return Step(
        name=f"undrain-{replica}",
        kind="undrain_replica",
        arguments={"replica": replica, "command": command},
        command=f"exec {replica}: {' '.join(command)}",
        risk=Risk.LOW,
        timeout_seconds=GATE_TIMEOUT_SECONDS,
        undoes=undoes,
    )


def is_routed(request: PlanRequest, service: Service) -> bool:
    """Whether a proxy is to be told which replicas of *service* get requests."""
    runtime = request.runtime
    drains = service.labels.get("console.drain") == "http"
    return drains and isinstance(runtime, Routes) and runtime.routes(service.name)


def route_step(
    request: PlanRequest, replica: str, *, name: str | None = None, undoes: str | None = None
) -> Step:
    """Return the step after which the proxy sends requests to *replica*."""
    assert isinstance(request.runtime, Routes)  # noqa: S101 -- see is_routed
    wished = _wished_hold(request)
    hold = ROUTE_HOLD_SECONDS if wished is None else min(wished, ROUTE_HOLD_SECONDS)
    return Step(
        name=name or f"route-{replica}",
        kind="route_replica",
        arguments={"replica": replica, "hold_seconds": hold},
        command=request.runtime.route_command(replica, member=True),
        risk=Risk.LOW,
        timeout_seconds=ROUTE_TIMEOUT_SECONDS,
        undoes=undoes,
    )


def unroute_step(
    request: PlanRequest,
    replica: str,
    *,
    undoes: str | None = None,
    wait: bool = True,
    previous: dict[str, Json] | None = None,
) -> Step:
    """Return the step after which no request is sent to *replica* and none is under way."""
    assert isinstance(request.runtime, Routes)  # noqa: S101 -- see is_routed
    arguments: dict[str, Json] = {"replica": replica, "wait": wait}
    if previous is not None:
        arguments["previous"] = previous
    return Step(
        name=f"unroute-{replica}",
        kind="unroute_replica",
        arguments=arguments,
        command=request.runtime.route_command(replica, member=False),
        risk=Risk.LOW,
        timeout_seconds=DRAIN_TIMEOUT_SECONDS,
        undoes=undoes,
    )


def stop_step(
    request: PlanRequest,
    replica: str,
    *,
    risk: Risk,
    undoes: str | None = None,
    grace_seconds: float = GRACE_SECONDS,
    previous: dict[str, Json] | None = None,
) -> Step:
    """Return the step that removes *replica*: for good, or *previous* to be started anew."""
    if not isinstance(request.runtime, RemovesReplica):
        raise not_supported(request, "remove single replicas")
    arguments: dict[str, Json] = {"replica": replica, "grace_seconds": grace_seconds}
    if previous is not None:
        arguments["previous"] = previous
    return Step(
        name=f"stop-{replica}",
        kind="stop_replica",
        arguments=arguments,
        command=request.runtime.remove_command(replica, grace_seconds),
        risk=risk,
        timeout_seconds=grace_seconds + 30.0,
        undoes=undoes,
    )


def restart_step(
    request: PlanRequest, replica: Replica, previous: dict[str, Json], risk: Risk
) -> Step:
    """Return the step that replaces the process of *replica*."""
    if not isinstance(request.runtime, RestartsReplica):
        raise not_supported(request, "restart single replicas")
    return Step(
        name=f"restart-{replica.name}",
        kind="restart_replica",
        arguments={
            "replica": replica.name,
            "previous": previous,
            "grace_seconds": GRACE_SECONDS,
        },
        command=request.runtime.restart_command(replica.name, GRACE_SECONDS),
        risk=risk,
        timeout_seconds=GRACE_SECONDS + START_TIMEOUT_SECONDS,
    )


def write_step(
    request: PlanRequest, values: dict[str, str | None], undoes: str | None = None
) -> Step:
    """Return the step after which settings have *values*, for replicas started from then on."""
    if not isinstance(request.runtime, HasSettings):
        raise not_supported(request, "change settings")
    return Step(
        name=WRITE_STEP,
        kind="write_settings",
        arguments={"values": dict(values)},
        command=request.runtime.settings_command(values),
        risk=Risk.LOW,
        timeout_seconds=ROUTE_TIMEOUT_SECONDS,
        undoes=undoes,
    )


def former_values(request: PlanRequest, values: dict[str, str | None]) -> dict[str, str | None]:
    """Return what the settings named in *values* are set to now, None where they are not."""
    return {name: request.snapshot.settings.get(name) for name in values}


def not_supported(request: PlanRequest, what: str) -> NotSupported:
    """Return the refusal of what the runtime in use cannot do."""
    return NotSupported(
        f"the runtime {request.runtime.name} cannot {what}",
        unchanged="nothing was changed",
        remedy="fragrance doctor",
    )
