"""Why a replica or a service is as it is, in words, by what is known and not by a sample."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from console.domain.description import ReplicaDescription, ServiceDescription
from console.domain.rollup import WORST_FIRST
from console.domain.services import Health, Replica, ReplicaState, Service

#: What was restarted this often, the last time so short ago, crashes again and again;
#: between two crashes it looks as if it ran.
LOOP_RESTARTS = 3
LOOP_SECONDS = 600.0
#: Of its limit; above that the kernel soon kills.
TIGHT_MEMORY_RATIO = 0.9


def is_crash_loop(replica: Replica, now: datetime) -> bool:
    """Whether it crashes again and again, told by restarts, whatever its state is just now."""
    if replica.restarts < LOOP_RESTARTS:
        return False
    if replica.started_at is None:
        return replica.state in {ReplicaState.BACKOFF, ReplicaState.STARTING}
    return (now - replica.started_at).total_seconds() < LOOP_SECONDS


def replica_reasons(
    replica: Replica, limit_bytes: int | None, of: ReplicaDescription | None, now: datetime
) -> list[str]:
    """
    Return what is to be said of one replica, the weightiest first; empty when all is well.

    Args:
        limit_bytes: How much memory it may use, None where nothing limits it.
        of: What the runtime knows of it; None while that is not known.
    """
    reasons = []
    if is_crash_loop(replica, now):
        reasons.append(f"crash loop: restarted {replica.restarts} times")
    if of is not None and of.out_of_memory:
        reasons.append("out of memory: the kernel killed it")
    if replica.health is not Health.HEALTHY or replica.reason:
        told = replica.reason or replica.health.value
        said = "killed by" in told or "exited with" in told
        if of is not None and of.exit_code and not said:
            told += f" (exit code {of.exit_code})"
        reasons.append(told)
    if of is not None and of.failures:
        times = "once" if of.failures == 1 else f"{of.failures} times in a row"
        reasons.append(f"its health check failed {times}")
    used = replica.memory_bytes
    if used is not None and limit_bytes and used / limit_bytes > TIGHT_MEMORY_RATIO:
        reasons.append(f"memory at {used / limit_bytes:.0%} of its limit")
    return list(dict.fromkeys(reasons))


def service_reasons(
    service: Service,
    limits: Iterable[int | None],
    description: ServiceDescription | None,
    now: datetime,
) -> list[tuple[str, str]]:
    """
    Return (replica, reasons) for each replica with any, those that are not well first.

    Args:
        limits: How much memory each replica may use, in their order.
    """
    found: list[tuple[str, str]] = []
    both = zip(service.replicas, limits, strict=True)
    for replica, limit in sorted(both, key=lambda b: WORST_FIRST.index(b[0].health)):
        of = description.replica(replica.name) if description is not None else None
        if reasons := replica_reasons(replica, limit, of, now):
            found.append((replica.name, "; ".join(reasons)))
    if len(service.replicas) < service.desired:
        missing = f"{len(service.replicas)} of {service.desired} replicas exist"
        found.insert(0, (service.name, missing))
    if not service.replicas and service.reason:
        found.insert(0, (service.name, service.reason))
    return found
