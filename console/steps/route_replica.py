"""Step kinds: the proxy sends requests to a replica, or no more."""

from __future__ import annotations

from console.capabilities import Routes
from console.domain.plans import Observation, Step, require_text
from console.domain.services import Route
from console.domain.snapshot import Snapshot
from console.errors import NotSupported
from console.ports import Runtime
from console.steps.seeing import RUNTIME_SOURCE, is_new_process, replica_or_unknown


class RouteReplica:
    """Arguments: ``replica``; ``hold_seconds`` until the proxy has looked its name up."""

    name = "route_replica"
    sources = (RUNTIME_SOURCE,)

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def observe(self, step: Step, snapshot: Snapshot) -> Observation:
        """Hold while the configuration in force has it as a member."""
        replica = replica_or_unknown(step, snapshot)
        if isinstance(replica, Observation):
            return replica
        if replica is None:
            return Observation(False, "not there", coming=True)
        if replica.route is None:
            return Observation(None, "whether the proxy sends to it cannot be seen")
        return Observation(replica.route is Route.IN, _words(replica.route))

    def do(self, step: Step) -> None:
        """Make it a member."""
        _set_route(self._runtime, step, member=True)


class UnrouteReplica:
    """
    Arguments: ``replica``, ``wait`` (False where requests under way need not end),
    ``previous`` where a restart follows.
    """

    name = "unroute_replica"
    sources = (RUNTIME_SOURCE,)

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def observe(self, step: Step, snapshot: Snapshot) -> Observation:
        """Hold once no worker of the proxy can send to it any more."""
        replica = replica_or_unknown(step, snapshot)
        if isinstance(replica, Observation):
            return replica
        if replica is None:
            return Observation(True, "not there")
        previous = step.arguments.get("previous")
        if isinstance(previous, dict) and is_new_process(replica, previous):
            return Observation(True, "already restarted")
        if replica.route is None:
            return Observation(None, "whether the proxy sends to it cannot be seen")
        if replica.route is Route.LEAVING:
            waits = bool(step.arguments.get("wait", True))
            return Observation(not waits, _words(replica.route), coming=True)
        return Observation(replica.route is Route.OUT, _words(replica.route))

    def do(self, step: Step) -> None:
        """Take it out."""
        _set_route(self._runtime, step, member=False)


def _set_route(runtime: Runtime, step: Step, *, member: bool) -> None:
    if not isinstance(runtime, Routes):
        raise NotSupported(f"{runtime.name} has no proxy that can be told")
    runtime.set_route(require_text(step.arguments, "replica"), member=member)


def _words(route: Route) -> str:
    return {
        Route.IN: "gets requests",
        Route.OUT: "gets no requests",
        Route.LEAVING: "gets no new requests; old workers of the proxy finish theirs",
        Route.PENDING: "the proxy does not answer with what is written",
    }[route]
