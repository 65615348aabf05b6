"""Incidents as a snapshot carries them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Severity(StrEnum):
    """P0 outage or data loss, P1 major feature, P2 minor, P3 cosmetic."""

    P0 = "P0"
    P1 = "P1"
    P2 = "P2"
    P3 = "P3"


@dataclass(frozen=True, slots=True)
class IncidentSummary:
    """The open incident as a snapshot carries it."""

    id: str
    severity: Severity
    title: str
    status: str
    opened_at: datetime
