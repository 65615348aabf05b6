"""
Step kinds: a worker takes no more tasks and holds none; and it takes tasks again.

Both speak to the worker through its own admin command, run where it runs.
"""

from __future__ import annotations

from console.domain.plans import Observation, Step
from console.domain.services import Health, ReplicaState
from console.domain.snapshot import Snapshot
from console.ports import Runtime
from console.steps.executing import execute
from console.steps.seeing import (
    BROKER_SOURCE,
    HEALTH_SOURCES,
    RUNTIME_SOURCE,
    is_new_process,
    replica_or_unknown,
)


class DrainReplica:
    """
    Arguments: ``replica``, ``command``; ``wait`` (False where what it holds need not end
    yet); ``previous`` where a restart follows.
    """

    name = "drain_replica"
    sources = (RUNTIME_SOURCE, BROKER_SOURCE)

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def observe(self, step: Step, snapshot: Snapshot) -> Observation:
        """
        Hold once nothing can be lost by stopping it.

        That is so too when it is gone, when its process has ended, when it has
        already been restarted (``previous``), and while it has no heartbeat:
        then it cannot be asked, and what it may hold goes back to the queue.
        """
        replica = replica_or_unknown(step, snapshot)
        if isinstance(replica, Observation):
            return replica
        if replica is None:
            return Observation(True, "not there")
        previous = step.arguments.get("previous")
        if isinstance(previous, dict) and is_new_process(replica, previous):
            return Observation(True, "already restarted")
        if replica.state not in {ReplicaState.RUNNING, ReplicaState.UNKNOWN}:
            return Observation(True, f"{replica.state.value}: holds no task")
        if not snapshot.source_is_fresh(BROKER_SOURCE):
            return Observation(None, "the broker does not answer")
        if replica.accepting is None:
            return Observation(True, "not registered with the broker: takes no task")
        held = (replica.active_tasks or 0) + (replica.reserved_tasks or 0)
        if replica.accepting:
            return Observation(False, f"takes tasks, {held} in hand")
        done = held == 0 or not step.arguments.get("wait", True)
        return Observation(done, f"takes no more tasks, {held} in hand", coming=True)

    def do(self, step: Step) -> None:
        """Tell it to take no more."""
        execute(self._runtime, step, "command")


class UndrainReplica:
    """Arguments: ``replica``, ``command``."""

    name = "undrain_replica"
    sources = HEALTH_SOURCES

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def observe(self, step: Step, snapshot: Snapshot) -> Observation:
        """Hold while it takes tasks; one that is still starting is waited for."""
        replica = replica_or_unknown(step, snapshot)
        if isinstance(replica, Observation):
            return replica
        if replica is None:
            return Observation(False, "not there", coming=True)
        if not snapshot.source_is_fresh(BROKER_SOURCE):
            return Observation(None, "the broker does not answer")
        if replica.accepting is None or replica.health is not Health.HEALTHY:
            return Observation(False, replica.reason or "not registered", coming=True)
        return Observation(replica.accepting, "takes tasks" if replica.accepting else "drained")

    def do(self, step: Step) -> None:
        """Tell it to take tasks again."""
        execute(self._runtime, step, "command")
