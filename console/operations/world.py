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
