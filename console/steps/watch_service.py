"""Step kind: a service stays well for a while before the next step is taken."""

from __future__ import annotations

from console.domain.alerts import AlertSeverity, AlertState
from console.domain.plans import Observation, Step, require_text
from console.domain.policy import ScaleTriggers
from console.domain.snapshot import Snapshot
from console.domain.triggers import TriggerState, in_state, measure
from console.steps.seeing import RUNTIME_SOURCE


class WatchService:
    """
    Waits; never acts.

    Arguments: ``service``, ``minimum_ready``, ``hold_seconds`` and ``limits``, of the
    figures that must stay calm, as in :class:`console.domain.policy.ScaleTriggers`.
    """

    name = "watch_service"
    sources = None

    def observe(self, step: Step, snapshot: Snapshot) -> Observation:
        """
        Hold while enough is ready, no critical alert fires and no figure is over its limit.

        A figure that nobody measures holds nothing up; it is told.
        """
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
        limits = {str(k): float(v) for k, v in (step.arguments.get("limits") or {}).items()}
        figures = measure(service, snapshot, ScaleTriggers(**limits))
        over = [t.words for t in in_state(figures, TriggerState.FIRES)]
        if over:
            return Observation(False, ", ".join(over), coming=True)
        told = ", ".join([f"{service.ready} ready, no critical alert", *(t.short for t in figures)])
        return Observation(True, told)

    def do(self, step: Step) -> None:
        """Do nothing: it is well or it is not."""
