"""Step kinds: users are shown the maintenance page, or not; and nothing is under way any more."""

from __future__ import annotations

from console.capabilities import HasMaintenance
from console.domain.plans import Observation, Step
from console.domain.services import ReplicaState, Role
from console.domain.snapshot import Snapshot
from console.errors import NotSupported
from console.ports import Runtime
from console.steps.seeing import METRICS_SOURCE, RUNTIME_SOURCE, are_new_processes


class SwitchMaintenance:
    """
    Arguments: ``on``; ``until`` (replicas with their ``previous`` processes) where the
    plan takes the page away again once all of these have been replaced.
    """

    name = "switch_maintenance"
    sources = (RUNTIME_SOURCE,)

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def observe(self, step: Step, snapshot: Snapshot) -> Observation:
        """Hold while every running proxy answers so."""
        if not snapshot.source_is_fresh(RUNTIME_SOURCE):
            return Observation(None, "the runtime does not answer")
        if are_new_processes(step, snapshot):
            return Observation(True, "no longer needed")
        if snapshot.maintenance is None:
            # Doing it again harms nothing, and a proxy that hangs is no reason not to.
            written = snapshot.maintenance_since is not None
            words = "a proxy does not answer with what is written"
            return Observation(False, words, coming=written is _wanted(step))
        words = "users get the page" if snapshot.maintenance else "users get the application"
        return Observation(snapshot.maintenance is _wanted(step), words)

    def do(self, step: Step) -> None:
        """Switch it."""
        if not isinstance(self._runtime, HasMaintenance):
            raise NotSupported(f"{self._runtime.name} has no maintenance page")
        self._runtime.set_maintenance(on=_wanted(step))


class DrainRequests:
    """
    Waits; never acts.  Arguments: ``limit_seconds`` since the page is shown, after which
    what is still under way is left to itself (absent: it never is); ``until`` as above.
    """

    name = "drain_requests"
    sources = (RUNTIME_SOURCE, METRICS_SOURCE)

    def observe(self, step: Step, snapshot: Snapshot) -> Observation:
        """Hold once the application, asked after the page was shown, is at no request."""
        if not snapshot.source_is_fresh(RUNTIME_SOURCE):
            return Observation(None, "the runtime does not answer")
        if are_new_processes(step, snapshot):
            return Observation(True, "no longer needed")
        since = snapshot.maintenance_since
        if not snapshot.maintenance or since is None:
            return Observation(False, "the page is not shown", coming=True)
        limit = step.arguments.get("limit_seconds")
        late = limit is not None and (snapshot.taken_at - since).total_seconds() >= float(limit)
        left = f"; left to themselves after {limit:g} s" if late else ""
        source = next((s for s in snapshot.sources if s.name == METRICS_SOURCE), None)
        apps = [service for service in snapshot.services if service.role is Role.APP]
        if apps and all(r.state is ReplicaState.EXITED for app in apps for r in app.replicas):
            return Observation(True, "the application does not run, so no request is under way")
        under_way = snapshot.metrics.requests_in_flight
        if under_way is None or source is None or source.age_seconds is None or source.troubled:
            words = f"requests under way cannot be seen{left}"
            return Observation(True if late else None, words)
        asked_after = (snapshot.taken_at - since).total_seconds() - source.age_seconds
        if under_way == 0 and asked_after > 0:
            return Observation(True, "no request is under way")
        return Observation(late, f"{under_way:g} requests under way{left}", coming=True)

    def do(self, step: Step) -> None:
        """Do nothing: they end by themselves."""


def _wanted(step: Step) -> bool:
    wanted = step.arguments.get("on")
    if not isinstance(wanted, bool):
        raise ValueError(f"step {step.name} does not say on or off")
    return wanted
