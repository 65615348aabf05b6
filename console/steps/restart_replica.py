"""Step kind: a replica runs in another process than when the plan was made."""

from __future__ import annotations

from console.capabilities import RestartsReplica
from console.domain.plans import Observation, Step, require_text
from console.domain.services import ReplicaState
from console.domain.snapshot import Snapshot
from console.errors import NotSupported
from console.ports import Runtime
from console.steps.seeing import RUNTIME_SOURCE, is_new_process, replica_or_unknown


class RestartReplica:
    """
    Arguments: ``replica``, ``previous`` (pid and start of its process), ``grace_seconds``.

    "Was restarted" cannot be seen in one picture, "is another process than that
    one" can; so it is safe to resume.
    """

    name = "restart_replica"
    sources = (RUNTIME_SOURCE,)

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def observe(self, step: Step, snapshot: Snapshot) -> Observation:
        """Hold once a new process runs under its name."""
        replica = replica_or_unknown(step, snapshot)
        if isinstance(replica, Observation):
            return replica
        if replica is None:
            return Observation(False, "not there")
        previous = step.arguments.get("previous")
        if not isinstance(previous, dict):
            raise ValueError(f"step {step.name} does not say which process to replace")
        if replica.state is not ReplicaState.RUNNING:
            coming = replica.state in {ReplicaState.STARTING, ReplicaState.STOPPING}
            return Observation(False, replica.reason or replica.state.value, coming=coming)
        if not is_new_process(replica, previous):
            return Observation(False, "still the old process")
        return Observation(True, f"new process {replica.pid}" if replica.pid else "new process")

    def do(self, step: Step) -> None:
        """Stop and start it, unless a new process is already coming up."""
        if not isinstance(self._runtime, RestartsReplica):
            raise NotSupported(f"{self._runtime.name} cannot restart single replicas")
        self._runtime.restart_replica(
            require_text(step.arguments, "replica"),
            float(step.arguments.get("grace_seconds", 30.0)),
        )
