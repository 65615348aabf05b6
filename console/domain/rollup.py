"""From replicas to services, and from services to the one word for the whole stack."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

from console.domain.alerts import Alert, AlertSeverity, AlertState
from console.domain.health import Evidence, Verdict, judge
from console.domain.services import (
    Health,
    Limits,
    Replica,
    ReplicaFact,
    ReplicaState,
    ReplicaStats,
    Role,
    Service,
    ServiceFact,
)
from console.domain.snapshot import Overall

#: Without one of these nothing works; none ready makes the stack unhealthy.
VITAL_ROLES = frozenset({Role.APP, Role.DATABASE, Role.BROKER})
#: What is worst first, when one word must stand for several replicas.
WORST_FIRST = (Health.UNHEALTHY, Health.UNKNOWN, Health.STARTING, Health.STOPPED, Health.HEALTHY)
#: States in which a replica uses processor and memory.
_ALIVE = frozenset({ReplicaState.STARTING, ReplicaState.RUNNING, ReplicaState.STOPPING})

_N = TypeVar("_N", int, float)

NO_STATS = ReplicaStats(cpu_cores=None, memory_bytes=None)


def build_service(
    fact: ServiceFact,
    stats: dict[str, ReplicaStats],
    evidence: Evidence,
    *,
    stack_running: bool,
) -> Service:
    """Join a service's facts, statistics and verdicts into its part of a snapshot."""
    verdicts = [judge(fact, replica, evidence) for replica in fact.replicas]
    if not stack_running:
        verdicts = [_stopped_with_stack(v, r) for v, r in zip(verdicts, fact.replicas, strict=True)]
    replicas = tuple(
        _build_replica(fact, replica, verdict, stats.get(replica.id, NO_STATS), evidence)
        for replica, verdict in zip(fact.replicas, verdicts, strict=True)
    )
    ready = sum(
        verdict.health is Health.HEALTHY
        or (not verdict.probed and replica.state is ReplicaState.RUNNING)
        for verdict, replica in zip(verdicts, fact.replicas, strict=True)
    )
    health, reason = _service_health(fact, replicas, verdicts, ready, stack_running=stack_running)
    alive = [replica for replica in fact.replicas if replica.state in _ALIVE]
    cores = _sum_known(stats.get(replica.id, NO_STATS).cpu_cores for replica in alive)
    given = fact.limits or Limits()
    allowed = sum(_limits(fact, replica).cpu_cores or 1.0 for replica in alive)
    return Service(
        name=fact.name,
        role=fact.role,
        desired=fact.desired,
        ready=ready,
        health=health,
        reason=reason,
        release=common(replica.release for replica in fact.replicas),
        cpu_cores=cores,
        cpu_ratio=cores / allowed if cores is not None and allowed else None,
        memory_bytes=_sum_known(stats.get(replica.id, NO_STATS).memory_bytes for replica in alive),
        memory_limit_bytes=_sum_known(_limits(fact, r).memory_bytes for r in fact.replicas),
        restarts=sum(replica.restarts for replica in fact.replicas),
        replicas=replicas,
        labels=fact.labels,
        core=fact.core,
        single=fact.single,
        replica_cpu_limit_cores=given.cpu_cores,
        replica_memory_limit_bytes=given.memory_bytes,
        limits=fact.limits,
        drift=fact.drift,
    )


def judge_overall(services: Sequence[Service], alerts: Sequence[Alert]) -> Overall:
    """
    Return the whole stack in one word.

    Unhealthy if a vital service has nothing ready; degraded if a core service
    lacks replicas or a critical alert fires; unknown if either cannot be told, or
    nothing at all tells of health; else healthy.
    """
    if not services:
        return Overall.UNKNOWN
    dead = [_is_dead(s) for s in services if s.role in VITAL_ROLES]
    if True in dead:
        return Overall.UNHEALTHY
    if None in dead:
        return Overall.UNKNOWN
    short = [_is_short(s) for s in services if s.core]
    fires = any(
        alert.severity is AlertSeverity.CRITICAL and alert.state is AlertState.FIRING
        for alert in alerts
    )
    if True in short or fires:
        return Overall.DEGRADED
    told = any(service.health is Health.HEALTHY for service in services if service.core)
    return Overall.HEALTHY if told and None not in short else Overall.UNKNOWN


def common(values: Iterable[str | None]) -> str | None:
    """Return the one value that all have, None where they differ or none is known."""
    distinct = set(values)
    return distinct.pop() if len(distinct) == 1 else None


def _is_dead(service: Service) -> bool | None:
    """Tell whether nothing works; None when it cannot be told: running is not working."""
    healths = [replica.health for replica in service.replicas]
    if Health.HEALTHY in healths:
        return False
    return None if Health.UNKNOWN in healths else True


def _is_short(service: Service) -> bool | None:
    """Tell whether less is ready than desired; None when it cannot be told."""
    if service.ready >= service.desired:
        return False
    return None if service.ready + _untold(service) >= service.desired else True


def _untold(service: Service) -> int:
    """Count replicas that may or may not be ready."""
    healths = [replica.health for replica in service.replicas]
    ready_though_unknown = service.ready - healths.count(Health.HEALTHY)
    return healths.count(Health.UNKNOWN) - ready_though_unknown


def _build_replica(
    service: ServiceFact,
    fact: ReplicaFact,
    verdict: Verdict,
    stats: ReplicaStats,
    evidence: Evidence,
) -> Replica:
    beat = evidence.heartbeats.get(fact.name) if service.role is Role.WORKER else None
    if beat is not None and fact.started_at is not None and beat.at < fact.started_at:
        beat = None  # written by the process before this one
    cores = stats.cpu_cores
    return Replica(
        id=fact.id,
        name=fact.name,
        state=fact.state,
        health=verdict.health,
        reason=verdict.reason,
        release=fact.release,
        started_at=fact.started_at,
        cpu_ratio=None if cores is None else cores / (_limits(service, fact).cpu_cores or 1.0),
        memory_bytes=stats.memory_bytes,
        restarts=fact.restarts,
        health_output=verdict.output,
        pid=fact.pid,
        active_tasks=beat.active if beat is not None else None,
        reserved_tasks=beat.reserved if beat is not None else None,
        accepting=beat.accepting if beat is not None else None,
        probed=verdict.probed,
        route=fact.route,
        task_slots=beat.slots if beat is not None else None,
        heartbeat_at=beat.at if beat is not None else None,
        tasks=beat.tasks if beat is not None else (),
        newest_checkpoint_at=beat.newest_checkpoint_at if beat is not None else None,
        limits=fact.limits,
        request_rate=evidence.windows.request_rate(fact.id, evidence.now),
    )


def _limits(service: ServiceFact, replica: ReplicaFact) -> Limits:
    """Return the limits in force on *replica*, else those of its service."""
    return replica.limits or service.limits or Limits()


def _stopped_with_stack(verdict: Verdict, replica: ReplicaFact) -> Verdict:
    ended = replica.state in {ReplicaState.EXITED, ReplicaState.BACKOFF}
    return Verdict(Health.STOPPED, "the stack is stopped") if ended else verdict


def _service_health(
    fact: ServiceFact,
    replicas: Sequence[Replica],
    verdicts: Sequence[Verdict],
    ready: int,
    *,
    stack_running: bool,
) -> tuple[Health, str]:
    if fact.desired == 0 and not replicas:
        return Health.STOPPED, "scaled to 0"
    if not stack_running and all(replica.health is Health.STOPPED for replica in replicas):
        return Health.STOPPED, "the stack is stopped"
    if replicas and not any(verdict.probed for verdict in verdicts):
        return Health.UNKNOWN, verdicts[0].reason
    told = [r for r in replicas if r.reason and r.health is Health.HEALTHY]
    if ready >= fact.desired and ready > 0:
        return Health.HEALTHY, _first_reason(told)
    lacking = sorted(
        (replica for replica in replicas if replica.health is not Health.HEALTHY),
        key=lambda replica: WORST_FIRST.index(replica.health),
    )
    counted = f"{ready} of {fact.desired} ready"
    if lacking and lacking[0].health is Health.UNKNOWN:
        counted = f"{len(lacking)} of {fact.desired} cannot be told"
    if len(replicas) < fact.desired:
        counted += f", {len(replicas)} exist"
    health = lacking[0].health if lacking else Health.UNHEALTHY
    first = _first_reason(lacking)
    return health, f"{counted}: {first}" if first else counted


def _first_reason(replicas: Sequence[Replica]) -> str:
    return f"{replicas[0].name}: {replicas[0].reason}" if replicas else ""


def _sum_known(values: Iterable[_N | None]) -> _N | None:
    """Return the sum; None when any part is unknown, for half a sum is a wrong one."""
    total: _N | None = None
    for value in values:
        if value is None:
            return None
        total = value if total is None else total + value
    return total
