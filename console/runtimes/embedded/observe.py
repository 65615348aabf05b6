"""What the files and ``/proc`` say, as the engine's topology."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from console.domain.services import ReplicaFact, ReplicaState, ServiceFact, Topology
from console.runtimes.embedded.drift import drift_of
from console.runtimes.embedded.processes import is_alive
from console.runtimes.embedded.specs import (
    Catalogue,
    ReplicaRecord,
    ReplicaSpec,
    ServiceDefinition,
)
from console.runtimes.embedded.tunables import values
from console.runtimes.naming import service_of

#: States in which a record claims that there is a process.
_WITH_PROCESS = frozenset({ReplicaState.RUNNING, ReplicaState.STOPPING})


def compose_topology(
    catalogue: Catalogue,
    specs: Mapping[str, ReplicaSpec | None],
    records: Mapping[str, ReplicaRecord | None],
    *,
    supervised: bool,
) -> Topology:
    """
    Join desired and observed state; a claim that ``/proc`` denies is not believed.

    Args:
        supervised: Whether a supervisor is there to keep the records true.
    """
    names: dict[str, list[str]] = {service.name: [] for service in catalogue.services}
    for name in specs.keys() | records.keys():
        spec, record = specs.get(name), records.get(name)
        owner = spec.service if spec else record.service if record else service_of(name)
        if owner in names:
            names[owner].append(name)
    return Topology(
        running=supervised,
        services=tuple(
            replace(
                _service(
                    service, sorted(names[service.name], key=_number), specs, records, supervised
                ),
                drift=drift_of(catalogue, service, specs) if supervised else (),
            )
            for service in catalogue.services
        ),
        endpoints=catalogue.endpoints if supervised else {},
        settings=values(catalogue),
    )


def _service(
    service: ServiceDefinition,
    names: list[str],
    specs: Mapping[str, ReplicaSpec | None],
    records: Mapping[str, ReplicaRecord | None],
    supervised: bool,
) -> ServiceFact:
    replicas: list[ReplicaFact] = []
    desired = 0
    for name in names:
        spec, record = specs.get(name), records.get(name)
        desired += name in specs and not (spec is not None and spec.leaving)
        fact = _replica(service, name, spec, record, supervised, damaged=spec is None)
        if name in specs or fact.pid is not None:
            replicas.append(fact)
    return ServiceFact(
        name=service.name,
        role=service.role,
        desired=desired,
        replicas=tuple(replicas),
        labels=service.labels,
        core=service.core,
    )


def _replica(
    service: ServiceDefinition,
    name: str,
    spec: ReplicaSpec | None,
    record: ReplicaRecord | None,
    supervised: bool,
    *,
    damaged: bool,
) -> ReplicaFact:
    if record is None:
        return ReplicaFact(
            id=name,
            name=name,
            state=ReplicaState.STARTING if supervised else ReplicaState.EXITED,
            exit_reason="its spec cannot be read" if damaged else "",
            release=(spec.release or None) if spec else None,
        )
    state, pid, reason = record.state, record.pid, record.exit_reason
    if pid is not None and not is_alive(pid, record.start_ticks, record.boot_id or None):
        pid = None
        if state in _WITH_PROCESS:
            state = ReplicaState.BACKOFF if supervised else ReplicaState.EXITED
            reason = reason or "its process is gone"
    elif not supervised and pid is None:
        state = ReplicaState.EXITED
    elif not supervised:
        state, reason = ReplicaState.STOPPING, "its supervisor is gone"
    names = {"replica": name, "port": str(record.ports.get("private", ""))}
    return ReplicaFact(
        id=name,
        name=name,
        state=state,
        pid=pid,
        started_at=record.started_at if pid is not None else None,
        restarts=record.restarts,
        exit_reason=reason,
        release=record.release or None,
        health_url=_address(service.labels.get("console.health.url"), names),
        metrics_url=_address(service.labels.get("console.metrics.url"), names),
    )


def _address(label: str | None, names: Mapping[str, str]) -> str | None:
    if label is None or ("{port}" in label and not names["port"]):
        return None
    return label.replace("{port}", names["port"]).replace("{replica}", names["replica"])


def _number(name: str) -> tuple[int, str]:
    tail = name.rpartition("-")[2]
    return (int(tail) if tail.isdigit() else 0, name)
