"""
The autoscaler's decision: advice, the recent past and the moment in, one decision out.

Quick up, slow down: what speaks for a change must have done so for a while, every
change is given time to show, and the direction is not turned twice in ten minutes.
The past comes from the journal, so people's own scalings count as well.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from console.domain.advice import Advice, Direction
from console.domain.decisions import Action, Decision
from console.domain.operations import Operation, OperationState
from console.domain.policy import AutoscalePolicy
from console.domain.services import Health, ReplicaState, Service

#: Figures may call for nothing this long without the wait beginning anew.
LONGEST_BREAK = timedelta(seconds=10)
_FAILED = frozenset({OperationState.REVERTED, OperationState.CANCELLED, OperationState.REFUSED})


@dataclass(frozen=True, slots=True)
class Waiting:
    """
    Since when the figures have called for one direction, and when they last did.

    A moment in which they call for nothing is no break: a single look at processors
    and tasks under way is a noisy one.
    """

    direction: Direction = Direction.LEAVE
    since: datetime | None = None
    held_at: datetime | None = None

    def after(self, direction: Direction, now: datetime) -> Waiting:
        """Return what is remembered after advice of *direction*."""
        if self.since is not None and direction is self.direction:
            return replace(self, held_at=now)
        brief = self.held_at is not None and now - self.held_at <= LONGEST_BREAK
        if brief and direction is Direction.LEAVE:
            return self
        return Waiting(direction, now, now)


@dataclass(frozen=True, slots=True)
class Past:
    """
    What was done to one service lately, by anybody.

    Args:
        changed_at: End of the last operation that touched it.
        sign: +1 when it was last scaled up, −1 down, 0 unknown.
        reversed_at: When the direction last turned.
        failed: The last operation on it when that one did not succeed, else "".
        emergency_at: End of the last scaling in an emergency, which is not to be turned
            back by a machine.
        emergency: Which one that was, and by whom.
    """

    changed_at: datetime | None = None
    sign: int = 0
    reversed_at: datetime | None = None
    failed: str = ""
    emergency_at: datetime | None = None
    emergency: str = ""


def past_of(service: str, operations: Iterable[Operation]) -> Past:
    """Return what *operations*, in any order, did to *service*."""
    turns: list[tuple[datetime, int]] = []
    last: tuple[datetime, str] | None = None
    emergency: tuple[datetime, str] | None = None
    for operation in operations:
        at = operation.ended_at
        if at is None or service not in operation.plan.expects:
            continue
        failed = operation.state in _FAILED
        if last is None or at > last[0]:
            last = (at, operation.id if failed else "")
        urgent = operation.plan.wish.get("emergency") and not failed
        if urgent and (emergency is None or at > emergency[0]):
            emergency = (at, f"{operation.id} by {operation.actor}")
        sign = 0 if failed else _sign(operation, service)
        if sign and operation.state is OperationState.UNDONE:
            turns += [(operation.started_at or operation.submitted_at, sign), (at, -sign)]
        elif sign:
            turns.append((at, sign))
    reversed_at, before = None, 0
    for at, sign in sorted(turns):
        if before and sign != before:
            reversed_at = at
        before = sign
    return Past(
        changed_at=None if last is None else last[0],
        sign=before,
        reversed_at=reversed_at,
        failed="" if last is None else last[1],
        emergency_at=None if emergency is None else emergency[0],
        emergency="" if emergency is None else emergency[1],
    )


def decide(
    advice: Advice,
    service: Service | None,
    waiting: Waiting,
    past: Past,
    policy: AutoscalePolicy,
    now: datetime,
    *,
    busy: str = "",
) -> tuple[Waiting, Decision]:
    """
    Decide about one service.

    Args:
        advice: Of this moment.
        service: As it is seen; None when it is not.
        waiting: As returned by the decision before.
        past: From the journal.
        policy: How patient to be.
        now: UTC.
        busy: What forbids any change now, in words, else "".

    Returns:
        What to remember for the next decision, and this one.
    """
    waiting = waiting.after(advice.direction, now)
    obstacle = busy or _obstacle(advice, service) or _too_soon(advice, waiting, past, policy, now)
    if obstacle:
        return waiting, Decision(advice.service, Action.HOLD, None, obstacle, now)
    action = Action.UP if advice.direction is Direction.UP else Action.DOWN
    return waiting, Decision(
        advice.service, action, advice.recommended, f"autoscale: {advice.verdict}", now
    )


def _obstacle(advice: Advice, service: Service | None) -> str:
    """Return why nothing is to be done whatever the time, else ""."""
    if advice.direction not in {Direction.UP, Direction.DOWN}:
        return advice.verdict
    if service is None or advice.recommended is None:
        return f"cannot be told: {advice.verdict}"
    if advice.present == 0:
        return "it was taken to 0 by hand, which the autoscaler leaves alone"
    if advice.recommended == advice.present:
        return advice.verdict
    present = [r for r in service.replicas if r.state is not ReplicaState.STOPPING]
    if len(present) != len(service.replicas):
        return "a replica is still leaving"
    lacking = [r.name for r in present if r.probed and r.health is not Health.HEALTHY]
    if lacking or len(present) != service.desired:
        return f"not all of its replicas are healthy: {', '.join(lacking) or 'some are missing'}"
    return ""


def _too_soon(
    advice: Advice, waiting: Waiting, past: Past, policy: AutoscalePolicy, now: datetime
) -> str:
    """Return what has to pass first, else ""."""
    up = advice.direction is Direction.UP
    needed = policy.up_after_seconds if up else policy.down_after_seconds
    held = (now - waiting.since).total_seconds() if waiting.since is not None else 0.0
    if held < needed:
        return f"{advice.verdict}; for {held:.0f} of {needed:g} s"
    turns = past.sign != 0 and past.sign != (1 if up else -1)
    cooldown = policy.up_cooldown_seconds if up else policy.down_cooldown_seconds
    if past.failed or (turns and not up):
        cooldown = max(cooldown, policy.reversal_seconds)
    until = _later(past.changed_at, cooldown)
    why = f"{past.failed} did not succeed" if past.failed else "the last change is to show first"
    turned = _later(past.reversed_at, policy.reversal_seconds) if turns else None
    if turned is not None and (until is None or turned > until):
        until, why = turned, "it was turned around already"
    if until is not None and now < until:
        return f"{advice.verdict}; not before {until:%H:%M:%S} UTC: {why}"
    return ""


def _later(at: datetime | None, seconds: float) -> datetime | None:
    return None if at is None else at + timedelta(seconds=seconds)


def _sign(operation: Operation, service: str) -> int:
    """Return +1 for a scaling up of *service*, −1 for one down, 0 for anything else."""
    targets = operation.plan.wish.get("targets")
    wanted = targets.get(service) if isinstance(targets, dict) else None
    if operation.verb != "scale" or isinstance(wanted, bool) or not isinstance(wanted, int):
        return 0
    present = len(operation.plan.expects.get(service, ()))
    return (wanted > present) - (wanted < present)
