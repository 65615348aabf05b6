"""Step kind: a replica is healthy, and a worker is registered and takes tasks."""

from __future__ import annotations

from collections.abc import Collection

from console.domain.plans import Observation, Step
from console.domain.services import Health, ReplicaState
from console.domain.snapshot import Snapshot
from console.ports import Runtime
from console.steps.executing import execute
from console.steps.seeing import BROKER_SOURCE, HEALTH_SOURCES, WORKER_SOURCES, replica_or_unknown


class GateReplica:
    """
    Waits; the one thing it does is to let a drained worker take tasks again, which
    is left behind when an undo was interrupted and the operation is resumed.

    Arguments: ``replica``, ``registered`` (a worker must have sent a heartbeat),
    ``undrain`` (its command), ``probed`` (False where nothing tells its health:
    then running will do), ``hold_seconds`` (kept by the runner: what is healthy and
    dead after twenty seconds must not pass).
    """

    name = "gate_replica"
    sources = HEALTH_SOURCES

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def sources_of(self, step: Step) -> Collection[str]:
        """A worker's health is its heartbeat; nobody else need be asked for it."""
        return WORKER_SOURCES if step.arguments.get("registered") else self.sources

    def observe(self, step: Step, snapshot: Snapshot) -> Observation:
        """Hold while it is healthy; unknown health is not healthy."""
        replica = replica_or_unknown(step, snapshot)
        if isinstance(replica, Observation):
            return replica
        if replica is None:
            return Observation(False, "not there", coming=True)
        if not step.arguments.get("probed", True) or not replica.probed:
            runs = replica.state is ReplicaState.RUNNING
            return Observation(runs, replica.state.value, coming=True)
        if replica.health is Health.UNKNOWN:
            return Observation(None, replica.reason or "its health cannot be seen")
        if replica.health is not Health.HEALTHY:
            words = f"{replica.health.value}: {replica.reason}" if replica.reason else ""
            return Observation(False, words or replica.health.value, coming=True)
        if not step.arguments.get("registered"):
            return Observation(True, "healthy")
        if not snapshot.source_is_fresh(BROKER_SOURCE):
            return Observation(None, "the broker does not answer")
        if replica.accepting is None:
            return Observation(False, "not registered with the broker", coming=True)
        if not replica.accepting:
            return Observation(False, "healthy, but drained")
        return Observation(True, "healthy, takes tasks")

    def do(self, step: Step) -> None:
        """Let a drained worker take tasks again; health comes by itself or not at all."""
        execute(self._runtime, step, "undrain")
