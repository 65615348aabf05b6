"""Alerts: what is firing, how bad, since when, and which procedure helps."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

_RECEIVER = re.compile(r"^[ -]*(\w+)_configs:(?! *\[\])", re.MULTILINE)
#: The alert that says which of them is not reached, and its label for that.
NOT_DELIVERED, RECEIVER_LABEL = "AlertDeliveryFailing", "integration"
#: Who judges: the console by its own policy, or Prometheus by its rules.
CONSOLE = "console"
PROMETHEUS = "prometheus"


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

    ``summary`` says in words what was measured against which threshold.  ``subject``
    tells alerts of one name apart (``instance=app-2``), ``origin`` is who judges:
    ``console`` or ``prometheus``; ``ended_at`` is set once it is over.
    """

    name: str
    severity: AlertSeverity
    state: AlertState
    since: datetime
    runbook: str
    summary: str = ""
    subject: str = ""
    origin: str = CONSOLE
    ended_at: datetime | None = None

    @property
    def key(self) -> tuple[str, str]:
        """What makes it this alert and no other."""
        return self.name, self.subject


@dataclass(frozen=True, slots=True)
class Silence:
    """
    Somebody knows of an alert and does not want to be told of it for a while.

    It is still shown and still counts: a silence mends nothing.

    Args:
        alert: Name of the alert; "" for one made elsewhere for something else.
        until: When it ends, UTC.
        actor: Who made it.
        reason: Why.
        since: When it was made, UTC.
        id: Its name in the Alertmanager, "" where that knows nothing of it.
        matches: What it is for, in words, where ``alert`` does not say it all.
    """

    alert: str
    until: datetime
    actor: str
    reason: str
    since: datetime
    id: str = ""
    matches: str = ""

    def covers(self, alert: Alert, now: datetime) -> bool:
        """Whether *alert* is silenced by it at *now*."""
        return self.alert == alert.name and not self.matches and self.since <= now < self.until


@dataclass(frozen=True, slots=True)
class Delivery:
    """
    What became of a test at the receivers of one kind.

    Args:
        receiver: ``webhook``, ``slack``, ``pagerduty``.
        attempts: How often it was sent meanwhile.
        failed: How many of these were in vain.
    """

    receiver: str
    attempts: float
    failed: float

    @property
    def taken(self) -> bool:
        """Whether something sent meanwhile was taken."""
        return self.attempts > self.failed

    @property
    def words(self) -> str:
        """What became of it."""
        if self.taken:
            return "took it"
        if self.attempts:
            return f"did not take it, tried {self.attempts:g} times"
        return "nothing was sent to it in time"


def receiver_kinds(configuration: str) -> tuple[str, ...]:
    """Return the kinds of receivers in an Alertmanager's configuration, as it tells it."""
    return tuple(sorted(set(_RECEIVER.findall(configuration))))


def not_reached(alerts: Iterable[Alert]) -> frozenset[str]:
    """Return the kinds of receivers that alerts are said not to reach."""
    labels = (alert.subject for alert in alerts if alert.name == NOT_DELIVERED)
    return frozenset(
        value
        for subject in labels
        for name, _, value in (label.partition("=") for label in subject.split(", "))
        if name == RECEIVER_LABEL
    )


def silence_of(alert: Alert, silences: Iterable[Silence], now: datetime) -> Silence | None:
    """Return the silence of *alert* that lasts longest, None where somebody is told of it."""
    covering = [silence for silence in silences if silence.covers(alert, now)]
    return max(covering, key=lambda silence: silence.until, default=None)
