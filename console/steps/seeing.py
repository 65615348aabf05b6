"""What several step kinds read from a snapshot in the same way."""

from __future__ import annotations

from console.domain.plans import Json, Observation, Step, require_text
from console.domain.services import Replica
from console.domain.snapshot import Snapshot

RUNTIME_SOURCE = "runtime"
BROKER_SOURCE = "broker"
METRICS_SOURCE = "metrics"
#: All that a verdict on health draws on: see :mod:`console.domain.health`.
HEALTH_SOURCES = (RUNTIME_SOURCE, "health", BROKER_SOURCE, "database")
#: All that a verdict on a worker that registers with the broker draws on.
WORKER_SOURCES = (RUNTIME_SOURCE, BROKER_SOURCE)


def replica_or_unknown(step: Step, snapshot: Snapshot) -> Replica | Observation | None:
    """
    Return the replica a step is about, None when it is absent.

    An observation comes back instead when the runtime did not answer just now: a
    replica that is not in an old picture is not thereby gone.
    """
    if not snapshot.source_is_fresh(RUNTIME_SOURCE):
        return Observation(None, "the runtime does not answer")
    return snapshot.replica(require_text(step.arguments, "replica"))


def process_of(replica: Replica) -> dict[str, Json]:
    """Return what tells this process of *replica* from an earlier or later one."""
    started = replica.started_at
    return {"pid": replica.pid, "started_at": None if started is None else started.isoformat()}


def is_new_process(replica: Replica, previous: dict[str, Json]) -> bool:
    """Whether *replica* runs in another process than the one described by *previous*."""
    now = process_of(replica)
    if now["started_at"] is None and now["pid"] is None:
        return False
    return now != previous


def are_new_processes(step: Step, snapshot: Snapshot) -> bool:
    """
    Whether every replica that the argument ``until`` lists runs in another process.

    Each has the keys ``replica`` and ``previous``; without the argument it is False.
    """
    awaited = step.arguments.get("until") or []
    return bool(awaited) and all(
        (replica := snapshot.replica(each["replica"])) is not None
        and is_new_process(replica, each["previous"])
        for each in awaited
    )
