"""Incidents: severity, status and the clock against the response target."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class Severity(StrEnum):
    """P0 outage or data loss, P1 major feature, P2 minor, P3 cosmetic."""

    P0 = "P0"
    P1 = "P1"
    P2 = "P2"
    P3 = "P3"


#: Time until somebody must have acknowledged, by severity.
RESPONSE_TARGET: dict[Severity, timedelta] = {
    Severity.P0: timedelta(0),
    Severity.P1: timedelta(minutes=15),
    Severity.P2: timedelta(hours=4),
    Severity.P3: timedelta(days=2),
}


@dataclass(frozen=True, slots=True)
class IncidentSummary:
    """The open incident as a snapshot carries it."""

    id: str
    severity: Severity
    title: str
    status: str
    opened_at: datetime
