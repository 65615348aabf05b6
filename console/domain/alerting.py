"""
From figures and thresholds to alerts with the moment they began.

Each rule answers one of three: it holds (with words), it does not, or it cannot be
told.  What cannot be told keeps the alert it had: silence is no recovery.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum

from console.domain.alerts import CONSOLE, PROMETHEUS, Alert, AlertSeverity, AlertState
from console.domain.metrics import Metrics
from console.domain.policy import AlertPolicy, Policy
from console.domain.queues import Queue
from console.domain.services import Health, Role, Service

CANNOT_TELL_NOTE = " (no longer measured)"
#: How long, and how many, alerts that are over are shown.
ENDED_KEPT_SECONDS = 3600.0
ENDED_KEPT = 20


class Verdict(Enum):
    """What a rule says besides words: all is well, or it cannot be told."""

    QUIET = "quiet"
    CANNOT_TELL = "cannot tell"


Answer = str | Verdict


@dataclass(frozen=True, slots=True)
class Figures:
    """
    What rules look at.

    Figures here are young enough to judge by; what is only shown is None.
    """

    metrics: Metrics
    queues: tuple[Queue, ...]
    services: tuple[Service, ...]


@dataclass(frozen=True, slots=True)
class Rule:
    """
    One alert rule.

    ``default`` holds where policy names no threshold; ``procedure`` is the anchor
    in RUNBOOK.md where that is not the name in lower case; ``watches`` says what it
    looks for, with ``{limit}`` or ``{percent}`` in it.
    """

    name: str
    severity: AlertSeverity
    default: AlertPolicy
    ask: Callable[[Figures, float], Answer]
    procedure: str = ""
    watches: str = "nothing is ready"

    def watched(self, limit: AlertPolicy) -> str:
        """Return what it watches for under *limit*, in words."""
        words = self.watches.format(limit=limit.threshold, percent=100 * limit.threshold)
        seconds = limit.for_seconds
        if not seconds:
            return words
        return (
            f"{words}, for {seconds / 60:g} min" if seconds >= 60 else f"{words}, for {seconds:g} s"
        )


def evaluate(
    figures: Figures, policy: Policy, previous: Sequence[Alert], now: datetime
) -> tuple[Alert, ...]:
    """
    Return the alerts of this moment, critical and longest first.

    Args:
        figures: Measured now.
        policy: Thresholds and durations by alert name.
        previous: The alerts of the snapshot before, for their ``since``.
        now: Of this snapshot.
    """
    before = {alert.name: alert for alert in previous if alert.origin == CONSOLE}
    alerts = []
    for rule in RULES:
        limit = policy.alerts.get(rule.name, rule.default)
        answer = rule.ask(figures, limit.threshold)
        known = before.get(rule.name)
        if answer is Verdict.QUIET or (answer is Verdict.CANNOT_TELL and known is None):
            continue
        if not isinstance(answer, str):
            if known is not None:
                alerts.append(_kept(known))
            continue
        since = known.since if known is not None else now
        held = (now - since).total_seconds() >= limit.for_seconds
        alerts.append(
            Alert(
                name=rule.name,
                severity=rule.severity,
                state=AlertState.FIRING if held else AlertState.PENDING,
                since=since,
                runbook=rule.procedure or rule.name.lower(),
                summary=answer,
            )
        )
    return _in_order(alerts)


def _in_order(alerts: Iterable[Alert]) -> tuple[Alert, ...]:
    return tuple(
        sorted(
            alerts,
            key=lambda alert: (
                alert.state is not AlertState.FIRING,
                alert.severity is not AlertSeverity.CRITICAL,
                alert.since,
                alert.key,
            ),
        )
    )


def merge(
    own: Sequence[Alert],
    observed: Sequence[Alert] | None,
    previous: Sequence[Alert] = (),
    *,
    expected: bool = False,
) -> tuple[Alert, ...]:
    """
    Return what the console and Prometheus find together, each trouble once.

    Both judge by the same limits, and Prometheus also by what only it can know; of one
    name the word of who is further (firing) counts, Prometheus' where they agree.

    Args:
        own: From :func:`evaluate`.
        observed: Prometheus' alerts; None while it does not answer.
        previous: The alerts of the snapshot before.
        expected: Whether a Prometheus is there that should answer: then what it last
            said stays, marked, because silence is no recovery.
    """
    if observed is None:
        names = {alert.name for alert in own}
        kept = [
            _kept(alert)
            for alert in previous
            if expected and alert.origin == PROMETHEUS and alert.name not in names
        ]
        return _in_order([*own, *kept])
    told = {alert.name for alert in observed}
    fires = {alert.name for alert in observed if alert.state is AlertState.FIRING}
    ours = [
        alert
        for alert in own
        if alert.name not in told or (alert.state is AlertState.FIRING and alert.name not in fires)
    ]
    names = {alert.name for alert in ours}
    return _in_order([*ours, *(alert for alert in observed if alert.name not in names)])


def ended(
    previous: Sequence[Alert],
    present: Sequence[Alert],
    known: Sequence[Alert],
    now: datetime,
) -> tuple[Alert, ...]:
    """
    Return the alerts that are over, the last one first.

    Args:
        previous: The alerts of the snapshot before.
        present: Those of this one.
        known: What had ended by the snapshot before.
        now: Of this snapshot.
    """
    there = {alert.key for alert in present}
    origins = {(alert.name, alert.origin) for alert in present}
    other = {CONSOLE: PROMETHEUS, PROMETHEUS: CONSOLE}
    over = [
        replace(alert, ended_at=now)
        for alert in previous
        if alert.state is AlertState.FIRING
        and alert.key not in there
        and (alert.name, other.get(alert.origin, "")) not in origins
    ]
    kept = [
        alert
        for alert in known
        if alert.ended_at is not None
        and (now - alert.ended_at).total_seconds() <= ENDED_KEPT_SECONDS
        and alert.key not in {each.key for each in over}
    ]
    return tuple([*over, *kept][:ENDED_KEPT])


def _kept(alert: Alert) -> Alert:
    if alert.summary.endswith(CANNOT_TELL_NOTE):
        return alert
    return replace(alert, summary=alert.summary + CANNOT_TELL_NOTE)


def _above(value: float | None, threshold: float, words: Callable[[float], str]) -> Answer:
    if value is None:
        return Verdict.CANNOT_TELL
    return words(value) if value > threshold else Verdict.QUIET


def _percent(ratio: float) -> str:
    return f"{100 * ratio:.1f} %".replace(".0 %", " %")


def _error_rate(figures: Figures, threshold: float) -> Answer:
    metrics = figures.metrics
    if metrics.request_rate == 0:
        return Verdict.QUIET  # nothing was asked, so nothing fails
    return _above(
        metrics.error_ratio,
        threshold,
        lambda ratio: f"{_percent(ratio)} of requests fail (limit {_percent(threshold)})",
    )


def _response_time(figures: Figures, threshold: float) -> Answer:
    if figures.metrics.request_rate == 0:
        return Verdict.QUIET
    return _above(
        figures.metrics.p95_seconds,
        threshold,
        lambda seconds: f"p95 is {seconds:.2f} s (limit {threshold:g} s)",
    )


def _backlog(figures: Figures, threshold: float) -> Answer:
    known = [queue for queue in figures.queues if queue.depth is not None]
    if not known:
        return Verdict.CANNOT_TELL
    longest = max(known, key=lambda queue: queue.depth or 0)
    return _above(
        longest.depth,
        threshold,
        lambda depth: f"{depth:.0f} tasks wait in {longest.name} (limit {threshold:g})",
    )


def _connections(figures: Figures, threshold: float) -> Answer:
    used = figures.metrics.database_connections
    allowed = figures.metrics.database_connections_max
    ratio = used / allowed if used is not None and allowed else None
    return _above(
        ratio,
        threshold,
        lambda _: f"{used} of {allowed} connections used (limit {_percent(threshold)})",
    )


def _disk(figures: Figures, threshold: float) -> Answer:
    return _above(
        figures.metrics.host_disk_ratio,
        threshold,
        lambda ratio: f"disk is {_percent(ratio)} full (limit {_percent(threshold)})",
    )


def _memory(figures: Figures, threshold: float) -> Answer:
    return _above(
        figures.metrics.host_memory_ratio,
        threshold,
        lambda ratio: f"memory is {_percent(ratio)} used (limit {_percent(threshold)})",
    )


def _burst(
    turned_away: Callable[[Metrics], float | None], what: str
) -> Callable[[Figures, float], Answer]:
    """Ask whether more requests than allowed were turned away in the last 5 minutes."""

    def ask(figures: Figures, threshold: float) -> Answer:
        return _above(
            turned_away(figures.metrics),
            threshold,
            lambda count: f"{count:.0f} requests {what} in 5 minutes (limit {threshold:g})",
        )

    return ask


def _none_ready(role: Role) -> Callable[[Figures, float], Answer]:
    """Ask whether every service of *role* that should run has nothing ready."""

    def ask(figures: Figures, _threshold: float) -> Answer:
        wanted = [s for s in figures.services if s.role is role and s.desired > 0]
        down = [s for s in wanted if s.ready == 0]
        if not down:
            return Verdict.QUIET if wanted else Verdict.CANNOT_TELL
        if down[0].health in {Health.STOPPED, Health.STARTING}:
            return Verdict.QUIET  # stopped on purpose, or coming up within its time
        if down[0].health is Health.UNKNOWN:
            return Verdict.CANNOT_TELL
        return f"{down[0].name}: {down[0].reason}"

    return ask


#: Every rule; RUNBOOK.md has the procedure of each.
RULES: tuple[Rule, ...] = (
    Rule(
        "ApiDown",
        AlertSeverity.CRITICAL,
        AlertPolicy(0, 30),
        _none_ready(Role.APP),
        "service-will-not-start",
    ),
    Rule(
        "DatabaseDown",
        AlertSeverity.CRITICAL,
        AlertPolicy(0, 5),
        _none_ready(Role.DATABASE),
        "database-connection-failed",
    ),
    Rule(
        "BrokerDown",
        AlertSeverity.CRITICAL,
        AlertPolicy(0, 5),
        _none_ready(Role.BROKER),
        "workers-not-processing",
    ),
    Rule(
        "HighErrorRate",
        AlertSeverity.CRITICAL,
        AlertPolicy(0.05, 300),
        _error_rate,
        watches="more than {percent:g} % of requests fail",
    ),
    Rule(
        "HighResponseTime",
        AlertSeverity.WARNING,
        AlertPolicy(1.0, 300),
        _response_time,
        watches="p95 above {limit:g} s",
    ),
    Rule(
        "WorkerQueueBacklog",
        AlertSeverity.WARNING,
        AlertPolicy(100, 600),
        _backlog,
        watches="more than {limit:g} tasks wait in a queue",
    ),
    Rule(
        "DatabaseConnectionPoolExhausted",
        AlertSeverity.CRITICAL,
        AlertPolicy(0.9, 300),
        _connections,
        watches="more than {percent:g} % of the connections used",
    ),
    Rule(
        "DiskSpace",
        AlertSeverity.WARNING,
        AlertPolicy(0.85),
        _disk,
        watches="disk more than {percent:g} % full",
    ),
    Rule(
        "MemoryUse",
        AlertSeverity.WARNING,
        AlertPolicy(0.9, 300),
        _memory,
        watches="more than {percent:g} % of the memory used",
    ),
    Rule(
        "RefusedKeysBurst",
        AlertSeverity.WARNING,
        AlertPolicy(50),
        _burst(lambda metrics: metrics.keys_refused, "with a missing or wrong key"),
        watches="more than {limit:g} refused keys in 5 min",
    ),
    Rule(
        "RateLimitBurst",
        AlertSeverity.WARNING,
        AlertPolicy(100),
        _burst(lambda metrics: metrics.rate_limited, "over their rate limit"),
        watches="more than {limit:g} over their rate limit in 5 min",
    ),
    Rule(
        "OversizedRequestsBurst",
        AlertSeverity.WARNING,
        AlertPolicy(20),
        _burst(lambda metrics: metrics.oversized, "with too large a body"),
        watches="more than {limit:g} too large requests in 5 min",
    ),
)
