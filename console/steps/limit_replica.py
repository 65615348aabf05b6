"""Step kind: a replica has certain limits, its process untouched."""

from __future__ import annotations

from console.capabilities import SetsLimits
from console.domain.plans import Json, Observation, Step, require_text
from console.domain.services import Limits
from console.domain.snapshot import Snapshot
from console.errors import NotSupported
from console.ports import Runtime
from console.steps.seeing import RUNTIME_SOURCE, replica_or_unknown


class LimitReplica:
    """Arguments: ``replica``, ``limits`` (by field of Limits; None is left as it is)."""

    name = "limit_replica"
    sources = (RUNTIME_SOURCE,)

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def observe(self, step: Step, snapshot: Snapshot) -> Observation:
        """Hold while the limits in force are the wanted ones."""
        replica = replica_or_unknown(step, snapshot)
        if isinstance(replica, Observation):
            return replica
        if replica is None:
            return Observation(False, "not there", coming=True)
        if replica.limits is None:
            return Observation(None, "its limits cannot be seen")
        held = replica.limits.meets(_limits(step))
        return Observation(held, "has them" if held else "has others")

    def do(self, step: Step) -> None:
        """Have the runtime change them."""
        if not isinstance(self._runtime, SetsLimits):
            raise NotSupported(f"{self._runtime.name} cannot change limits")
        self._runtime.set_limits(require_text(step.arguments, "replica"), _limits(step))


def _limits(step: Step) -> Limits:
    given: Json = step.arguments.get("limits")
    if not isinstance(given, dict):
        raise ValueError(f"step {step.name} does not say which limits")
    return Limits(**given)
