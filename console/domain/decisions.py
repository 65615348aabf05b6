"""What the autoscaler decided about a service, and why."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Action(StrEnum):
    """What is done."""

    UP = "up"
    DOWN = "down"
    HOLD = "hold"


@dataclass(frozen=True, slots=True)
class Decision:
    """
    One decision, with its reason for people.

    Args:
        service: Which.
        action: Up, down or hold.
        target: Replicas wanted; None when holding.
        reason: Why, in words.
        at: When, UTC.
    """

    service: str
    action: Action
    target: int | None
    reason: str
    at: datetime
