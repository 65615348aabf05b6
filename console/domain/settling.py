"""
Has it settled: a scaled service by its figures before and after, some minutes apart;
the whole stack after maintenance, which is watched for longer and judged at once
when something breaks meanwhile.

Nothing is remembered: which operation is being followed, until when and what came of
it follow from the journal alone, so an agent that was killed goes on where it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from console.domain.advice import Advice, Direction, advise
from console.domain.alerts import Alert, AlertSeverity, AlertState
from console.domain.operations import Change, Operation, OperationState
from console.domain.policy import Policy
from console.domain.snapshot import Snapshot
from console.domain.triggers import Trigger, TriggerState, figure, in_state, measure

SETTLING = "settling"
SETTLED = "settled"
NOT_SETTLED = "not settled"
NOT_FOLLOWED = "not followed"

#: How late the verdict may come: an agent that starts later has not seen the figures.
GRACE = timedelta(minutes=2)
#: Answers that fail with 5xx, as a share of all, from which on there is an error spike.
ERROR_SPIKE_RATIO = 0.01
#: What a person looks at meanwhile.
LOOK_AT = "fragrance status, fragrance alerts, fragrance logs --errors --since 10m"
#: Short names of the figures, as in ``queue 120 → 3``.
NOUNS = {
    "queue_depth": "queue",
    "wait_seconds": "wait",
    "p95_seconds": "p95",
    "requests_in_flight": "requests in flight",
    "cpu_ratio": "CPU",
}
_WITHOUT_EFFECT = frozenset(
    {OperationState.REFUSED, OperationState.CANCELLED, OperationState.REVERTED}
)


@dataclass(frozen=True, slots=True)
class Settling:
    """
    What became of a scaling, or of the stack after maintenance.

    Args:
        state: ``settling``, ``settled``, ``not settled`` or ``not followed``.
        until: When it is judged, UTC.
        words: For the operator.
    """

    state: str
    until: datetime
    words: str


def judged_at(operation: Operation, policy: Policy) -> datetime | None:
    """Return when it is judged at the latest; None when there is nothing to judge."""
    if operation.state is not OperationState.DONE or operation.ended_at is None:
        return None
    if _ended_maintenance(operation):
        return operation.ended_at + timedelta(minutes=policy.maintenance.watch_minutes)
    if operation.verb == "scale" and operation.plan.before:
        return operation.ended_at + timedelta(minutes=policy.settle_minutes)
    return None


def _ended_maintenance(operation: Operation) -> bool:
    """Whether users got the application back by it."""
    return operation.verb == "maintenance" and operation.plan.wish.get("on") is False


def settling_of(
    operation: Operation,
    changes: Iterable[Change],
    others: Iterable[Operation],
    policy: Policy,
    now: datetime,
) -> Settling | None:
    """
    Tell where the following of *operation* stands; None when it is not one to follow.

    Args:
        operation: A scaling, or an end of maintenance.
        changes: Those recorded of it.
        others: Operations; a later one of the same service, or of maintenance again, ends
            the following.
        policy: Says how long.
        now: UTC.
    """
    until = judged_at(operation, policy)
    if until is None:
        return None
    for change in changes:
        if change.operation_id == operation.id and change.outcome in {SETTLED, NOT_SETTLED}:
            return Settling(change.outcome, until, f"{change.outcome}: {change.reason}")
    later = changed_again(operation, others, until)
    if later is not None:
        what = later.plan.summary
        if _ended_maintenance(operation):
            what = f"{later.verb} {what}"
        words = f"{later.id} ({what}) came before it had settled"
        return Settling(NOT_FOLLOWED, until, words)
    doing = "watched after maintenance" if _ended_maintenance(operation) else "settling"
    if now < until:
        left = (until - now).total_seconds()
        words = f"{left / 60:.0f} min" if left >= 90 else f"{left:.0f} s"
        guide = f"; look at {LOOK_AT}" if _ended_maintenance(operation) else ""
        return Settling(SETTLING, until, f"{doing}, {words} left{guide}")
    if now <= until + GRACE:
        return Settling(SETTLING, until, f"{doing}, about to be judged")
    return Settling(NOT_FOLLOWED, until, f"not followed: no agent ran at {until:%H:%M} UTC")


def changed_again(
    operation: Operation, others: Iterable[Operation], until: datetime
) -> Operation | None:
    """Return the operation that changed what is followed before *until*, if any."""
    services = set(operation.plan.before)

    def concerns_it(other: Operation) -> bool:
        if _ended_maintenance(operation):
            return other.verb == "maintenance"
        return bool(services & set(other.plan.expects))

    return next(
        (
            other
            for other in others
            if other.id != operation.id
            and operation.submitted_at < other.submitted_at < until
            and other.state not in _WITHOUT_EFFECT
            and concerns_it(other)
        ),
        None,
    )


def judge(operation: Operation, snapshot: Snapshot, policy: Policy) -> tuple[str, str]:
    """
    Judge a scaling, or the stack after maintenance, by the figures of now.

    Returns:
        ``settled`` or ``not settled``, and the figures before and after in words.
    """
    if _ended_maintenance(operation):
        return _judge_stack(snapshot, policy)
    several = len(operation.plan.before) > 1
    outcome, told = SETTLED, []
    for name, before in operation.plan.before.items():
        advice = advise(name, snapshot, policy)
        parts = [*_compared(before, advice.triggers), *_obstacles(advice, snapshot)]
        if _obstacles(advice, snapshot):
            outcome = NOT_SETTLED
        words = ", ".join(parts) or f"{advice.present} replicas, nothing else is measured"
        told.append(f"{name} {words}" if several else words)
    return outcome, "; ".join(told)


def broken_since(operation: Operation, snapshot: Snapshot) -> str | None:
    """
    Return what broke after maintenance had ended, in words; None while nothing did.

    A critical alert has lasted for its time before it fires, so one is enough; what
    already was so before is given the whole watch to end.
    """
    ended = operation.ended_at
    if not _ended_maintenance(operation) or ended is None:
        return None
    broken = [a for a in _critical(snapshot) if a.since >= ended]
    if not broken:
        return None
    minutes = (snapshot.taken_at - ended).total_seconds() / 60
    words = ", ".join(f"{a.name} fires: {a.summary}" if a.summary else a.name for a in broken)
    return f"{minutes:.0f} min after maintenance {words}"


def _critical(snapshot: Snapshot) -> list[Alert]:
    return [
        alert
        for alert in snapshot.alerts
        if alert.severity is AlertSeverity.CRITICAL and alert.state is AlertState.FIRING
    ]


def _judge_stack(snapshot: Snapshot, policy: Policy) -> tuple[str, str]:
    """Judge the whole stack: all there, nothing critical, no error spike, figures normal."""
    metrics = snapshot.metrics
    core = [service for service in snapshot.services if service.core]
    short = [f"{s.name} {s.ready_words} ready" for s in core if s.ready < s.desired]
    found = short + [f"{alert.name} fires" for alert in _critical(snapshot)]
    found += [f"{source.name} does not answer" for source in snapshot.sources if source.troubled]
    for service in core:
        if policy.bounds(service.name, service.role) is not None:
            limits = policy.triggers(service.name, service.role)
            over = in_state(measure(service, snapshot, limits), TriggerState.FIRES)
            found += [f"{service.name} {trigger.words}" for trigger in over]
    if metrics.request_rate is None:
        found.append("requests cannot be seen")
        requests = "requests unknown"
    elif metrics.error_ratio is None:
        requests = "no request in the last minute"
    else:
        if metrics.error_ratio >= ERROR_SPIKE_RATIO:
            found.append("error spike")
        requests = f"5xx {figure(metrics.error_ratio, 'ratio')} of {metrics.request_rate:.1f}/s"
    ready = sum(s.ready >= s.desired for s in core)
    told = [f"{ready} of {len(core)} core services ready", requests, *found]
    if not found:
        told.append("no critical alert")
    return (NOT_SETTLED if found or not core else SETTLED), ", ".join(told)


def _compared(before: dict[str, float | None], triggers: Sequence[Trigger]) -> list[str]:
    """Return each figure before and after; one that is unknown on both sides is left out."""
    return [
        f"{NOUNS.get(t.name, t.name)} {figure(before.get(t.name), t.unit)} → "
        f"{figure(t.value, t.unit)}"
        for t in triggers
        if before.get(t.name) is not None or t.value is not None
    ]


def _obstacles(advice: Advice, snapshot: Snapshot) -> list[str]:
    """Return what keeps it from having settled."""
    service = snapshot.service(advice.service)
    found = []
    if service is not None and service.ready < service.desired:
        found.append(f"{service.ready} of {service.desired} ready")
    firing = list(in_state(advice.triggers, TriggerState.FIRES))
    if firing:
        verb = "fires" if len(firing) == 1 else "fire"
        found.append(f"{len(firing)} of {len(advice.triggers)} triggers {verb}")
    elif advice.direction is Direction.UNKNOWN:
        found.append(advice.verdict)
    return found
