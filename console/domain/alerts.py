"""Alerts: what is firing, how bad, since when, and which procedure helps."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class AlertSeverity(StrEnum):
    """Critical wakes somebody up; warning waits for daylight."""

    CRITICAL = "critical"
    WARNING = "warning"


class AlertState(StrEnum):
    """Pending until the condition has held long enough, then firing."""

    PENDING = "pending"
    FIRING = "firing"


@dataclass(frozen=True, slots=True)
class Alert:
    """
    One alert; ``runbook`` is the anchor of its section in RUNBOOK.md.

    ``summary`` says in words what was measured against which threshold.
    """

    name: str
    severity: AlertSeverity
    state: AlertState
    since: datetime
    runbook: str
    summary: str = ""
