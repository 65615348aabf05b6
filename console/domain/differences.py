"""What changed between two snapshots, as lines for a person; figures are left out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from console.domain.alerts import Alert
from console.domain.happenings import Happening, Kind
from console.domain.readings import SourceState
from console.domain.services import Health, Replica, Service
from console.domain.snapshot import Overall, Snapshot

_BAD = frozenset({Health.UNHEALTHY, Health.UNKNOWN})


def differences(before: Snapshot, after: Snapshot) -> list[str]:
    """
    Return one line per change of state, most important first.

    Figures (load, rates, ages) change all the time and are no change here.
    """
    return [happening.words for happening in happenings(before, after)]


def happenings(before: Snapshot, after: Snapshot) -> list[Happening]:
    """Return one happening per change of state, as :func:`differences` words them."""
    found = [
        *_stack(before, after),
        *_services(before, after),
        *_alerts(before.alerts, after.alerts),
        *_operation(before, after),
        *_incident(before, after),
        *_sources(before, after),
    ]
    if before.agent is not after.agent:
        found.append((Kind.STACK, "", f"agent {before.agent.value} → {after.agent.value}", False))
    return [
        Happening(after.taken_at, kind, subject, words, grave)
        for kind, subject, words, grave in found
    ]


#: Kind, name, words, whether it got worse.
_Told: TypeAlias = tuple[Kind, str, str, bool]


def _stack(before: Snapshot, after: Snapshot) -> Iterator[_Told]:
    if before.overall is not after.overall:
        words = f"overall {before.overall.value} → {after.overall.value}"
        yield Kind.STACK, "", words, after.overall is not Overall.HEALTHY
    if before.maintenance is not after.maintenance:
        shown = {True: "on", False: "off", None: "unknown"}
        words = f"maintenance {shown[before.maintenance]} → {shown[after.maintenance]}"
        yield Kind.STACK, "", words, after.maintenance is not False
    if not _seen(before) or not _seen(after):
        return  # what cannot be read was not taken away
    for name in sorted(before.settings.keys() | after.settings.keys()):
        old, new = before.settings.get(name), after.settings.get(name)
        if old != new:
            words = f"setting {name} {_value(old)} → {_value(new)}"
            yield Kind.SETTING, name, words, False


def _seen(snapshot: Snapshot) -> bool:
    return snapshot.source_is_fresh("runtime") and snapshot.running


def _value(value: str | None) -> str:
    return "its default" if value is None else value


def significant(snapshot: Snapshot) -> tuple[object, ...]:
    """Return what of a snapshot is state rather than figure: equal means nothing happened."""
    return (*eventful(snapshot), tuple((q.name, q.depth, q.in_flight) for q in snapshot.queues))


def eventful(snapshot: Snapshot) -> tuple[object, ...]:
    """Return the same without the queues, in which something happens all the time."""
    return (
        snapshot.overall,
        snapshot.running,
        snapshot.maintenance,
        tuple(
            (
                *(s.name, s.desired, s.ready, s.health, s.release, s.drift),
                tuple(map(_replica_state, s.replicas)),
            )
            for s in snapshot.services
        ),
        tuple((a.key, a.state) for a in snapshot.alerts),
        snapshot.silences,
        snapshot.operation,
        snapshot.incident,
        tuple((s.name, s.state) for s in snapshot.sources),
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


def _services(before: Snapshot, after: Snapshot) -> Iterator[_Told]:
    known = {service.name: service for service in before.services}
    for service in after.services:
        earlier = known.pop(service.name, None)
        bad = service.health in _BAD
        if earlier is None:
            words = f"{service.name} appeared: {_told(service)}"
            yield Kind.SERVICE, service.name, words, bad
            continue
        if earlier.desired != service.desired:
            words = f"{service.name} desired {earlier.desired} → {service.desired}"
            yield Kind.SERVICE, service.name, words, False
        if (earlier.health, earlier.ready) != (service.health, service.ready):
            words = (
                f"{service.name} {earlier.health.value} {earlier.ready_words} → {_told(service)}"
            )
            yield Kind.SERVICE, service.name, words, bad or service.ready < earlier.ready
        if earlier.release != service.release and earlier.release and service.release:
            words = f"{service.name} release {earlier.release} → {service.release}"
            yield Kind.RELEASE, service.name, words, False
        yield from _replicas(earlier, service)
        yield from _drift(earlier, service)
    for name in known:
        yield Kind.SERVICE, name, f"{name} is gone", True


def _replicas(before: Service, after: Service) -> Iterator[_Told]:
    known = {replica.name: replica for replica in before.replicas}
    for replica in after.replicas:
        earlier = known.pop(replica.name, None)
        bad = replica.health in _BAD
        if earlier is None:
            words = f"{replica.name} appeared: {_told_replica(replica)}"
            yield Kind.REPLICA, replica.name, words, bad
        elif _replica_state(earlier) != _replica_state(replica):
            ended = replica.restarts > earlier.restarts
            words = f"{replica.name} {earlier.health.value} → {_told_replica(replica)}"
            if ended and "restarted" not in words:
                words += f"; restarted, {replica.restarts} times in all"
            yield Kind.REPLICA, replica.name, words, bad or ended
    for name in known:
        yield Kind.REPLICA, name, f"{name} is gone", False


def _drift(before: Service, after: Service) -> Iterator[_Told]:
    earlier = {drift.what for drift in before.drift}
    for drift in after.drift:
        if drift.what not in earlier:
            yield Kind.DRIFT, after.name, f"{after.name} drifts: {drift.what}", True
    if before.drift and not after.drift:
        yield Kind.DRIFT, after.name, f"{after.name} is again as it is written down", False


def _alerts(before: tuple[Alert, ...], after: tuple[Alert, ...]) -> Iterator[_Told]:
    known = {alert.key: alert for alert in before}
    for alert in after:
        earlier = known.pop(alert.key, None)
        if earlier is None or earlier.state is not alert.state:
            told = f"{alert.state.value} ({alert.severity.value}): {alert.summary}"
            yield Kind.ALERT, alert.name, f"alert {alert.name} {told}", True
    for alert in known.values():
        yield Kind.ALERT, alert.name, f"alert {alert.name} is over", False


def _operation(before: Snapshot, after: Snapshot) -> Iterator[_Told]:
    if before.operation == after.operation:
        return
    if after.operation is None:
        ended = before.operation
        if ended is not None:
            yield Kind.OPERATION, ended.id, f"operation {ended.verb} {ended.id} has ended", False
        return
    step = f", step {after.operation.step}" if after.operation.step else ""
    words = (
        f"operation {after.operation.verb} {after.operation.id} by {after.operation.actor}: "
        f"{after.operation.state.value}{step}"
    )
    yield Kind.OPERATION, after.operation.id, words, False


def _incident(before: Snapshot, after: Snapshot) -> Iterator[_Told]:
    old, new = before.incident, after.incident
    if old is not None and (new is None or new.id != old.id):
        yield Kind.INCIDENT, old.id, f"incident {old.title} is over", False
    if new is not None and (old is None or (old.id, old.status) != (new.id, new.status)):
        words = f"incident {new.severity.value} {new.title}: {new.status}"
        yield Kind.INCIDENT, new.id, words, old is None or old.id != new.id


def _sources(before: Snapshot, after: Snapshot) -> Iterator[_Told]:
    known = {source.name: source.state for source in before.sources}
    for source in after.sources:
        earlier = known.get(source.name)
        if earlier is source.state:
            continue
        if source.state is SourceState.FRESH:
            yield Kind.SOURCE, source.name, f"source {source.name} answers", False
        elif source.troubled:
            words = f"source {source.name} {source.state.value}: {source.error or 'no news'}"
            yield Kind.SOURCE, source.name, words, True


def _told(service: Service) -> str:
    reason = f": {service.reason}" if service.reason else ""
    return f"{service.health.value} {service.ready_words}{reason}"


def _told_replica(replica: Replica) -> str:
    reason = f": {replica.reason}" if replica.reason else ""
    return f"{replica.health.value}{reason}"
