"""
Has a scaled service settled: its figures before and after, some minutes apart.

Nothing is remembered: which operation is being followed, until when and what came of
it follow from the journal alone, so an agent that was killed goes on where it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from console.domain.advice import Advice, Direction, advise
from console.domain.operations import Change, Operation, OperationState
from console.domain.policy import Policy
from console.domain.snapshot import Snapshot
from console.domain.triggers import Trigger, TriggerState, figure, in_state

SETTLING = "settling"
SETTLED = "settled"
NOT_SETTLED = "not settled"
NOT_FOLLOWED = "not followed"

#: How late the verdict may come: an agent that starts later has not seen the figures.
GRACE = timedelta(minutes=2)
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
    What became of a scaling.

    Args:
        state: ``settling``, ``settled``, ``not settled`` or ``not followed``.
        until: When it is judged, UTC.
        words: For the operator.
    """

    state: str
    until: datetime
    words: str


def judged_at(operation: Operation, policy: Policy) -> datetime | None:
    """Return when a scaling is judged; None when there is nothing to judge."""
    done = operation.verb == "scale" and operation.state is OperationState.DONE
    if not done or not operation.plan.before or operation.ended_at is None:
        return None
    return operation.ended_at + timedelta(minutes=policy.settle_minutes)


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
        operation: A scaling.
        changes: Those recorded of it.
        others: Operations; a later one of the same service ends the following.
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
        words = f"{later.id} ({later.plan.summary}) came before it had settled"
        return Settling(NOT_FOLLOWED, until, words)
    if now < until:
        left = (until - now).total_seconds()
        words = f"{left / 60:.0f} min" if left >= 90 else f"{left:.0f} s"
        return Settling(SETTLING, until, f"settling, {words} left")
    if now <= until + GRACE:
        return Settling(SETTLING, until, "settling, about to be judged")
    return Settling(NOT_FOLLOWED, until, f"not followed: no agent ran at {until:%H:%M} UTC")


def changed_again(
    operation: Operation, others: Iterable[Operation], until: datetime
) -> Operation | None:
    """Return the operation that changed one of its services before *until*, if any."""
    services = set(operation.plan.before)
    return next(
        (
            other
            for other in others
            if other.id != operation.id
            and operation.submitted_at < other.submitted_at < until
            and other.state not in _WITHOUT_EFFECT
            and services & set(other.plan.expects)
        ),
        None,
    )


def judge(operation: Operation, snapshot: Snapshot, policy: Policy) -> tuple[str, str]:
    """
    Judge a scaling by the figures of now.

    Returns:
        ``settled`` or ``not settled``, and the figures before and after in words.
    """
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
