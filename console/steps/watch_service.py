"""Step kind: a service stays well for a while before the next step is taken."""

from __future__ import annotations

from console.domain.alerts import AlertSeverity, AlertState
from console.domain.plans import Observation, Step, require_text
from console.domain.snapshot import Snapshot
from console.steps.seeing import RUNTIME_SOURCE


class WatchService:
    """Waits; never acts.  Arguments: ``service``, ``minimum_ready``, ``hold_seconds``."""

    name = "watch_service"

    def observe(self, step: Step, snapshot: Snapshot) -> Observation:
        """Hold while enough replicas are ready and no critical alert fires."""
        if not snapshot.source_is_fresh(RUNTIME_SOURCE):
            return Observation(None, "the runtime does not answer")
        service = snapshot.service(require_text(step.arguments, "service"))
        if service is None:
            return Observation(False, "the service is gone", coming=True)
        firing = [
            alert.name
            for alert in snapshot.alerts
            if alert.severity is AlertSeverity.CRITICAL and alert.state is AlertState.FIRING
        ]
        if firing:
            return Observation(False, f"alert firing: {', '.join(firing)}", coming=True)
        wanted = int(step.arguments.get("minimum_ready", 0))
        if service.ready < wanted:
            return Observation(False, f"{service.ready} of {wanted} ready", coming=True)
        return Observation(True, f"{service.ready} ready, no critical alert")

    def do(self, step: Step) -> None:
        """Do nothing: it is well or it is not."""
