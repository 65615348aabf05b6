"""
Step kinds, one file each: how to see that an effect is true, and how to make it true.

A kind decides from one snapshot alone and acts through the runtime's capabilities.
A new one is a file here, a line in :func:`step_kinds`, and its name in a planner.
"""

from __future__ import annotations

from console.ports import Runtime, StepKind
from console.steps.cleanup import PackCheckpoints, RemoveBuildCache, RemoveImage, RemoveLogs
from console.steps.drain_replica import DrainReplica, UndrainReplica
from console.steps.gate_replica import GateReplica
from console.steps.limit_replica import LimitReplica
from console.steps.maintenance import DrainRequests, SwitchMaintenance
from console.steps.restart_replica import RestartReplica
from console.steps.route_replica import RouteReplica, UnrouteReplica
from console.steps.start_replica import StartReplica
from console.steps.stop_replica import StopReplica
from console.steps.watch_service import WatchService
from console.steps.write_settings import WriteSettings


def step_kinds(runtime: Runtime) -> dict[str, StepKind]:
    """Return every step kind by name, acting on *runtime*."""
    kinds: tuple[StepKind, ...] = (
        StartReplica(runtime),
        GateReplica(runtime),
        DrainReplica(runtime),
        UndrainReplica(runtime),
        RouteReplica(runtime),
        UnrouteReplica(runtime),
        StopReplica(runtime),
        RestartReplica(runtime),
        LimitReplica(runtime),
        WriteSettings(runtime),
        WatchService(),
        SwitchMaintenance(runtime),
        DrainRequests(),
        RemoveImage(runtime),
        RemoveLogs(runtime),
        RemoveBuildCache(runtime),
        PackCheckpoints(runtime),
    )
    return {kind.name: kind for kind in kinds}
