"""What compose file, desired state and engine say, as the engine's topology; pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from console.domain.services import ReplicaFact, ReplicaState, Role, Route, ServiceFact, Topology
from console.runtimes.compose.containers import Container
from console.runtimes.compose.desired import Desired
from console.runtimes.compose.model import Model, ServiceModel

HEALTH_URL = "console.health.url"
METRICS_URL = "console.metrics.url"
RELEASE_LABEL = "console.release"
VERSION_LABEL = "org.opencontainers.image.version"

_STATES = {
    "created": ReplicaState.EXITED,
    "running": ReplicaState.RUNNING,
    "paused": ReplicaState.BACKOFF,
    "restarting": ReplicaState.BACKOFF,
    "removing": ReplicaState.STOPPING,
    "exited": ReplicaState.EXITED,
    "dead": ReplicaState.EXITED,
}


def compose_topology(
    model: Model,
    desired: Desired,
    containers: Sequence[Container],
    routes: Mapping[str, Route],
    *,
    wanted: bool,
) -> Topology:
    """
    Join desired and observed state.

    Services of profiles that nobody started, and one-shot services that did what
    they were for, are left out.

    Args:
        routes: Where the replicas behind the proxy stand, by container id.
        wanted: Whether the stack was started here and not stopped since.
    """
    by_service: dict[str, list[Container]] = {service.name: [] for service in model.services}
    for container in containers:
        by_service.setdefault(container.service, []).append(container)
    services = [
        _service(model.name, service, desired, by_service[service.name], routes)
        for service in model.services
        if _is_shown(service, desired, by_service[service.name])
    ]
    # What the file no longer has still runs, and must be seen.
    known = {service.name for service in model.services}
    for name in sorted(by_service.keys() - known):
        stray = ServiceModel(name=name, config_hash="", replicas=0, profiles=("removed",))
        services.append(_service(model.name, stray, desired, by_service[name], routes))
    alive = any(c.alive for c in containers)
    running = alive or (wanted and bool(containers) and _all_new(containers))
    return Topology(
        running=running,
        services=tuple(services),
        endpoints=_endpoints(model, {service.name for service in services}) if running else {},
    )


def _all_new(containers: Sequence[Container]) -> bool:
    """Whether the stack is just being made: nothing has run and ended yet."""
    return all(container.state == "created" for container in containers)


def desired_names(
    service: ServiceModel, desired: Desired, present: Sequence[str]
) -> tuple[str, ...]:
    """Return the replicas a service should have; those the file wants unless scaled."""
    if service.name in desired.replicas:
        return desired.replicas[service.name]
    names = sorted(present, key=_number)[: service.replicas]
    missing = service.replicas - len(names)
    number = 1
    while missing > 0:
        if (name := f"{service.name}-{number}") not in names:
            names.append(name)
            missing -= 1
        number += 1
    return tuple(names)


def _is_shown(service: ServiceModel, desired: Desired, containers: Sequence[Container]) -> bool:
    if service.one_shot:
        return any(c.alive or (c.exit_code or 0) != 0 for c in containers)
    return not service.profiles or bool(containers) or bool(desired.replicas.get(service.name))


def _service(
    project: str,
    service: ServiceModel,
    desired: Desired,
    containers: Sequence[Container],
    routes: Mapping[str, Route],
) -> ServiceFact:
    facts = [
        replace(
            _replica(container.short_name(project), service, desired, container),
            route=routes.get(container.id),
        )
        for container in containers
    ]
    facts.sort(key=lambda fact: _number(fact.name))
    staying = [fact.name for fact in facts if fact.name not in desired.leaving]
    if service.profiles and service.name not in desired.replicas:
        wanted = len(staying)
    else:
        wanted = len(desired_names(service, desired, staying))
    return ServiceFact(
        name=service.name,
        role=service.role,
        desired=wanted,
        replicas=tuple(facts),
        labels=dict(service.labels),
        core=not service.profiles and not service.one_shot,
        limits=service.limits,
        single=service.single,
    )


def _replica(
    name: str, service: ServiceModel, desired: Desired, container: Container
) -> ReplicaFact:
    state = _STATES.get(container.state, ReplicaState.UNKNOWN)
    leaving = desired.leaving.get(name)
    if leaving is not None and leaving.container == container.id:
        state = ReplicaState.STOPPING
    words = {
        "created": "was made and not started",
        "paused": f"paused; docker unpause {container.name}",
    }.get(container.state, container.exit_words)
    labels = {**service.labels, **container.labels}
    return ReplicaFact(
        id=container.id,
        name=name,
        state=state,
        pid=container.pid,
        started_at=container.started_at,
        restarts=container.restarts,
        exit_reason=words,
        release=labels.get(RELEASE_LABEL) or labels.get(VERSION_LABEL) or None,
        health_url=_address(labels.get(HEALTH_URL), container.addresses),
        metrics_url=_address(labels.get(METRICS_URL), container.addresses),
        checked=container.checked,
        reports_as=container.known_as or None,
        limits=container.limits,
    )


def _address(label: str | None, addresses: Mapping[str, str]) -> str | None:
    """Return a URL with the replica's address in it; None while it has none."""
    if label is None:
        return None
    if "{address}" not in label:
        return label
    address = next(iter(addresses.values()), None)
    return None if address is None else label.replace("{address}", address)


def _endpoints(model: Model, shown: Collection[str]) -> dict[str, str]:
    """
    Return the addresses that the project publishes, the product's as ``api``.

    What watches (``prometheus``, ``alertmanager``, ``grafana``) is there under its own
    name while it is part of what runs.
    """
    endpoints: dict[str, str] = {}
    for service in model.services:
        for published, target in service.published.items():
            scheme = {443: "https", 8443: "https", 80: "http", 8080: "http"}.get(target)
            if service.role is Role.MONITORING and service.name in shown:
                scheme = scheme or "http"
            if scheme is None:
                continue
            name = "api" if service.role.value in {"app", "proxy"} else service.name
            if name not in endpoints or scheme == "https":
                endpoints[name] = f"{scheme}://127.0.0.1:{published}"
    return endpoints


def _number(name: str) -> tuple[int, str]:
    tail = name.rpartition("-")[2]
    return (int(tail) if tail.isdigit() else 0, name)
