"""What a planner is given."""

from __future__ import annotations

from dataclasses import dataclass, field

from console.domain.plans import Json
from console.domain.policy import Policy
from console.domain.snapshot import Snapshot
from console.ports import Runtime


@dataclass(frozen=True, slots=True)
class PlanRequest:
    """
    One snapshot and one wish.

    Args:
        snapshot: The picture the decision is made from.
        policy: Bounds and thresholds.
        runtime: Asked only for its capabilities, names and command texts, which
            are pure; a planner never acts.
        wish: Arguments of the verb, plain JSON, ``{"targets": {"app": 3}}``.
        measured: The agent's picture of just now, which has the rates that a single
            look lacks; None where there is no agent.
    """

    snapshot: Snapshot
    policy: Policy
    runtime: Runtime
    wish: dict[str, Json] = field(default_factory=dict)
    measured: Snapshot | None = None

    @property
    def figures(self) -> Snapshot:
        """The picture to read rates and loads from; what runs is in :attr:`snapshot`."""
        return self.measured or self.snapshot
