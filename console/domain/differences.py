"""What changed between two snapshots, as lines for a person; figures are left out."""

from __future__ import annotations

from collections.abc import Iterator

from console.domain.alerts import Alert
from console.domain.readings import SourceState
from console.domain.services import Replica, Service
from console.domain.snapshot import Snapshot


def differences(before: Snapshot, after: Snapshot) -> list[str]:
    """
    Return one line per change of state, most important first.

    Figures (load, rates, ages) change all the time and are no change here.
    """
    lines = []
    if before.overall is not after.overall:
        lines.append(f"overall {before.overall.value} → {after.overall.value}")
    if before.maintenance is not after.maintenance:
        words = {True: "on", False: "off", None: "unknown"}
        lines.append(f"maintenance {words[before.maintenance]} → {words[after.maintenance]}")
    lines += _services(before, after)
    lines += _alerts(before.alerts, after.alerts)
    lines += _operation(before, after)
    lines += _sources(before, after)
    if before.agent is not after.agent:
        lines.append(f"agent {before.agent.value} → {after.agent.value}")
    return lines


def significant(snapshot: Snapshot) -> tuple[object, ...]:
    """Return what of a snapshot is state rather than figure: equal means nothing happened."""
    return (
        snapshot.overall,
        snapshot.running,
        snapshot.maintenance,
        tuple(
            (s.name, s.desired, s.ready, s.health, tuple(map(_replica_state, s.replicas)))
            for s in snapshot.services
        ),
        tuple((a.name, a.state) for a in snapshot.alerts),
        snapshot.operation,
        snapshot.incident,
        tuple((s.name, s.state) for s in snapshot.sources),
        tuple((q.name, q.depth, q.in_flight) for q in snapshot.queues),
    )


def _replica_state(replica: Replica) -> tuple[object, ...]:
    return (
        replica.name,
        replica.pid,
        replica.state,
        replica.health,
        replica.restarts,
        replica.accepting,
    )


def _services(before: Snapshot, after: Snapshot) -> Iterator[str]:
    known = {service.name: service for service in before.services}
    for service in after.services:
        earlier = known.pop(service.name, None)
        if earlier is None:
            yield f"{service.name} appeared: {_told(service)}"
            continue
        if earlier.desired != service.desired:
            yield f"{service.name} desired {earlier.desired} → {service.desired}"
        if (earlier.health, earlier.ready) != (service.health, service.ready):
            yield (
                f"{service.name} {earlier.health.value} {earlier.ready_words} → {_told(service)}"
            )
        yield from _replicas(earlier, service)
    for name in known:
        yield f"{name} is gone"


def _replicas(before: Service, after: Service) -> Iterator[str]:
    known = {replica.name: replica for replica in before.replicas}
    for replica in after.replicas:
        earlier = known.pop(replica.name, None)
        if earlier is None:
            yield f"{replica.name} appeared: {_told_replica(replica)}"
        elif _replica_state(earlier) != _replica_state(replica):
            yield f"{replica.name} {earlier.health.value} → {_told_replica(replica)}"
    for name in known:
        yield f"{name} is gone"


def _alerts(before: tuple[Alert, ...], after: tuple[Alert, ...]) -> Iterator[str]:
    known = {alert.name: alert for alert in before}
    for alert in after:
        earlier = known.pop(alert.name, None)
        if earlier is None or earlier.state is not alert.state:
            told = f"{alert.state.value} ({alert.severity.value}): {alert.summary}"
            yield f"alert {alert.name} {told}"
    for name in known:
        yield f"alert {name} is over"


def _operation(before: Snapshot, after: Snapshot) -> Iterator[str]:
    if before.operation == after.operation:
        return
    if after.operation is None:
        ended = before.operation
        if ended is not None:
            yield f"operation {ended.verb} {ended.id} has ended"
        return
    step = f", step {after.operation.step}" if after.operation.step else ""
    yield (
        f"operation {after.operation.verb} {after.operation.id} by {after.operation.actor}: "
        f"{after.operation.state.value}{step}"
    )


def _sources(before: Snapshot, after: Snapshot) -> Iterator[str]:
    known = {source.name: source.state for source in before.sources}
    for source in after.sources:
        earlier = known.get(source.name)
        if earlier is source.state:
            continue
        if source.state is SourceState.FRESH:
            yield f"source {source.name} answers"
        elif source.troubled:
            yield f"source {source.name} {source.state.value}: {source.error or 'no news'}"


def _told(service: Service) -> str:
    reason = f": {service.reason}" if service.reason else ""
    return f"{service.health.value} {service.ready_words}{reason}"


def _told_replica(replica: Replica) -> str:
    reason = f": {replica.reason}" if replica.reason else ""
    return f"{replica.health.value}{reason}"
