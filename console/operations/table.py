"""Every operation by its verb; a line here gives command, dry run, palette and audit name."""

from __future__ import annotations

from collections.abc import Callable

from console.domain.plans import Plan
from console.operations.cleanup import plan_cleanup
from console.operations.maintenance import plan_maintenance
from console.operations.request import PlanRequest
from console.operations.resize import plan_resize
from console.operations.restart import plan_restart
from console.operations.scale import plan_scale
from console.operations.settings import plan_settings

OPERATIONS: dict[str, Callable[[PlanRequest], Plan]] = {
    "scale": plan_scale,
    "restart": plan_restart,
    "maintenance": plan_maintenance,
    "cleanup": plan_cleanup,
    "resize": plan_resize,
    "settings": plan_settings,
}
