"""Step kind: settings have certain values, for what is started from then on."""

from __future__ import annotations

from console.capabilities import HasSettings
from console.domain.plans import Json, Observation, Step
from console.domain.snapshot import Snapshot
from console.errors import NotSupported
from console.ports import Runtime
from console.steps.seeing import RUNTIME_SOURCE


class WriteSettings:
    """Arguments: ``values`` by name, None for one that is not to be set."""

    name = "write_settings"
    sources = (RUNTIME_SOURCE,)

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def observe(self, step: Step, snapshot: Snapshot) -> Observation:
        """Hold while all have these values."""
        if not snapshot.source_is_fresh(RUNTIME_SOURCE):
            return Observation(None, "the runtime does not answer")
        others = [n for n, v in _values(step).items() if snapshot.settings.get(n) != v]
        return Observation(not others, f"not yet: {', '.join(others)}" if others else "written")

    def do(self, step: Step) -> None:
        """Have the runtime write them."""
        if not isinstance(self._runtime, HasSettings):
            raise NotSupported(f"{self._runtime.name} has no settings to change")
        self._runtime.write_settings(_values(step))


def _values(step: Step) -> dict[str, str | None]:
    values: Json = step.arguments.get("values")
    if not isinstance(values, dict):
        raise ValueError(f"step {step.name} does not say which settings")
    return values
