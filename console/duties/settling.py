"""
Following a scaling, and the stack after maintenance: the agent judges it when its minutes
have passed, or something broke meanwhile, and records that.
"""

from __future__ import annotations

from console.domain.operations import Change, Operation
from console.domain.policy import Policy
from console.domain.settling import (
    GRACE,
    NOT_SETTLED,
    SETTLING,
    Settling,
    broken_since,
    judge,
    judged_at,
    settling_of,
)
from console.domain.snapshot import Snapshot
from console.ports import Clock, Journal

#: How often the journal is asked.
EVERY_SECONDS = 5.0
#: Operations that may still be settling are among the last so many.
LOOKED_AT = 40
ACTOR = "agent"


def settling(
    journal: Journal, operation: Operation, policy: Policy, clock: Clock
) -> Settling | None:
    """Tell where the following of *operation* stands, from the journal alone."""
    if judged_at(operation, policy) is None:
        return None
    return settling_of(
        operation,
        journal.changes(LOOKED_AT, operation_id=operation.id),
        journal.operations(LOOKED_AT),
        policy,
        clock.now(),
    )


class SettleDuty:
    """
    The agent's following of scalings and of the stack after maintenance.

    Args:
        journal: Says which there are; takes the verdicts.
        policy: Says how long.
        clock: Time.
    """

    name = "settling"

    def __init__(self, journal: Journal, policy: Policy, clock: Clock) -> None:
        self._journal = journal
        self._policy = policy
        self._clock = clock
        self._next = float("-inf")

    def attend(self, snapshot: Snapshot) -> None:
        """Judge each whose minutes have passed, or that broke; at most every few seconds."""
        if self._clock.monotonic() < self._next:
            return
        self._next = self._clock.monotonic() + EVERY_SECONDS
        now = self._clock.now()
        for operation in self._journal.operations(LOOKED_AT):
            due = judged_at(operation, self._policy)
            if due is None or now > due + GRACE:
                continue
            broken = broken_since(operation, snapshot)
            if now < due and broken is None:
                continue
            found = settling(self._journal, operation, self._policy, self._clock)
            if found is None or found.state != SETTLING:
                continue
            if broken is not None:
                self._record(operation, NOT_SETTLED, broken)
            elif snapshot.source_is_fresh("runtime"):  # else tried again until the grace is over
                self._record(operation, *judge(operation, snapshot, self._policy))

    def _record(self, operation: Operation, outcome: str, words: str) -> None:
        self._journal.record(
            Change(
                at=self._clock.now(),
                actor=ACTOR,
                what=f"{operation.verb} {operation.plan.summary}",
                outcome=outcome,
                reason=words,
                operation_id=operation.id,
            )
        )
