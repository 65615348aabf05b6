"""What planners and the runner both read from a snapshot."""

from __future__ import annotations

from console.domain.plans import Plan
from console.domain.services import Replica, ReplicaState, Service
from console.domain.snapshot import Snapshot

RUNTIME_SOURCE = "runtime"
BROKER_SOURCE = "broker"


def present_replicas(service: Service) -> tuple[Replica, ...]:
    """Return the replicas that are meant to be there: all but those being removed."""
    return tuple(r for r in service.replicas if r.state is not ReplicaState.STOPPING)


def present_names(service: Service) -> list[str]:
    """Return their names, sorted, as in :attr:`console.domain.plans.Plan.expects`."""
    return sorted(replica.name for replica in present_replicas(service))


def same_world(one: Snapshot, other: Snapshot) -> bool:
    """
    Whether the runtime tells the same in both: what runs, as which process, how configured.

    Health, load and figures may differ; no plan rests on their being of this very moment,
    and each step is observed anew.
    """
    return _told(one) == _told(other)


def _told(snapshot: Snapshot) -> tuple[object, ...]:
    return (
        snapshot.runtime,
        snapshot.environment,
        snapshot.running,
        snapshot.maintenance,
        snapshot.maintenance_since,
        snapshot.settings,
        snapshot.endpoints,
        [
            (s.name, s.role, s.desired, s.labels, s.core, s.single, s.limits, s.drift)
            for s in snapshot.services
        ],
        [
            (r.id, r.name, r.state, r.pid, r.started_at, r.restarts, r.release, r.route, r.limits)
            for s in snapshot.services
            for r in s.replicas
        ],
    )


def difference(plan: Plan, snapshot: Snapshot) -> str | None:
    """Return how the world differs from what *plan* was made for; None when it does not."""
    for name, expected in plan.expects.items():
        service = snapshot.service(name)
        if service is None:
            return f"service {name} is gone"
        if present_names(service) != sorted(expected):
            return (
                f"{name} has {', '.join(present_names(service)) or 'no replica'}, "
                f"and had {', '.join(sorted(expected)) or 'none'} when it was planned"
            )
    return None
