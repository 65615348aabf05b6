"""Step kind: a replica exists and its process runs; healthy is the gate's affair."""

from __future__ import annotations

from console.capabilities import StartsReplicas
from console.domain.plans import Observation, Step, require_text
from console.domain.services import ReplicaState
from console.domain.snapshot import Snapshot
from console.errors import NotSupported
from console.ports import Runtime
from console.steps.seeing import RUNTIME_SOURCE, replica_or_unknown


class StartReplica:
    """Arguments: ``service``, ``replica``."""

    name = "start_replica"
    sources = (RUNTIME_SOURCE,)

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def observe(self, step: Step, snapshot: Snapshot) -> Observation:
        """Hold while the process runs."""
        replica = replica_or_unknown(step, snapshot)
        if isinstance(replica, Observation):
            return replica
        if replica is None:
            return Observation(False, "not there")
        if replica.state is ReplicaState.RUNNING:
            return Observation(True, f"runs, pid {replica.pid}" if replica.pid else "runs")
        if replica.state is ReplicaState.UNKNOWN:
            return Observation(None, "its state cannot be seen")
        coming = replica.state is ReplicaState.STARTING
        return Observation(False, replica.reason or replica.state.value, coming=coming)

    def do(self, step: Step) -> None:
        """Ask the runtime for it."""
        if not isinstance(self._runtime, StartsReplicas):
            raise NotSupported(f"{self._runtime.name} cannot start single replicas")
        self._runtime.start_replica(
            require_text(step.arguments, "service"),
            require_text(step.arguments, "replica"),
            {"console.operation": require_text(step.arguments, "operation")},
        )
