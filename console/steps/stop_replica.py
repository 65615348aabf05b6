"""Step kind: a replica is gone, for good or until a later step makes it anew."""

from __future__ import annotations

from console.capabilities import RemovesReplica
from console.domain.plans import Observation, Step, require_text
from console.domain.snapshot import Snapshot
from console.errors import NotSupported
from console.ports import Runtime
from console.steps.seeing import RUNTIME_SOURCE, is_new_process, replica_or_unknown


class StopReplica:
    """Arguments: ``replica``, ``grace_seconds``; ``previous`` where it is started again."""

    name = "stop_replica"
    sources = (RUNTIME_SOURCE,)

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def observe(self, step: Step, snapshot: Snapshot) -> Observation:
        """Hold once the runtime, asked just now, no longer knows it."""
        replica = replica_or_unknown(step, snapshot)
        if isinstance(replica, Observation):
            return replica
        if replica is None:
            return Observation(True, "gone")
        previous = step.arguments.get("previous")
        if isinstance(previous, dict) and is_new_process(replica, previous):
            return Observation(True, "already started again")
        return Observation(False, f"still {replica.state.value}")

    def do(self, step: Step) -> None:
        """Tell it to stop; the runtime kills it after the grace."""
        if not isinstance(self._runtime, RemovesReplica):
            raise NotSupported(f"{self._runtime.name} cannot remove single replicas")
        self._runtime.remove_replica(
            require_text(step.arguments, "replica"),
            float(step.arguments.get("grace_seconds", 30.0)),
        )
