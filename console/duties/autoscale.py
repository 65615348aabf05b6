"""
The autoscaler: off until a person turns it on, then through the ordinary journal.

Its switches are noted in the journal with who turned them and why; its decisions are
those of :mod:`console.domain.autoscaling`, and a change is an operation like any other,
by the actor ``autoscaler``: lock, audit, undo are the same.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta

from console.domain.advice import advise
from console.domain.autoscaling import Past, Waiting, decide, past_of
from console.domain.decisions import Action, Decision
from console.domain.operations import Actor, Change
from console.domain.policy import Policy
from console.domain.snapshot import Snapshot
from console.errors import ConsoleError
from console.ports import Clock, Journal

NOTE = "autoscale"
ACTOR_NAME = "autoscaler"
#: How often it decides.
EVERY_SECONDS = 2.0
#: A picture older than this is not decided from.
OLDEST_SECONDS = 5.0
#: How far back the past is read, operations.
LOOKED_AT = 50


@dataclass(frozen=True, slots=True)
class Switch:
    """Autoscaling of one service is on: since when, by whom, why."""

    since: str
    actor: str
    reason: str


def switches(journal: Journal) -> dict[str, Switch]:
    """Return the services whose autoscaling is on."""
    noted = journal.note(NOTE)
    return {} if noted is None else {k: Switch(**v) for k, v in json.loads(noted).items()}


def turn(
    journal: Journal, services: Iterable[str], actor: Actor, reason: str, now: datetime, *, on: bool
) -> list[str]:
    """
    Turn autoscaling of *services* on or off, recorded with actor and reason.

    Returns:
        Those that were not so already.
    """
    present = switches(journal)
    changed = [name for name in services if (name in present) is not on]
    if not changed:
        return []
    kept = {name: switch for name, switch in present.items() if on or name not in changed}
    if on:
        kept |= {name: Switch(now.isoformat(), str(actor), reason) for name in changed}
    journal.record(
        Change(
            at=now,
            actor=str(actor),
            what=f"autoscale {', '.join(changed)}",
            outcome="on" if on else "off",
            reason=reason,
        ),
        note=(NOTE, json.dumps({name: asdict(switch) for name, switch in kept.items()})),
    )
    return changed


class AutoscaleDuty:
    """
    The agent's autoscaling.

    Args:
        journal: Switches, what was done before, and whether something is unfinished.
        policy: Bounds, triggers and patience.
        clock: Time.
        scale: Plans and starts the scaling of one service to a number, with a reason;
            returns the operation's id, None when there was nothing to do.
    """

    name = "autoscaling"

    def __init__(
        self,
        journal: Journal,
        policy: Policy,
        clock: Clock,
        scale: Callable[[str, int, str], str | None],
    ) -> None:
        self._journal = journal
        self._policy = policy
        self._clock = clock
        self._scale = scale
        self._next = float("-inf")
        self._waiting: dict[str, Waiting] = {}
        self._refused: dict[str, tuple[datetime, str]] = {}
        self._decisions: tuple[Decision, ...] = ()

    def decisions(self) -> tuple[Decision, ...]:
        """Return the last decision about each service that is on."""
        return self._decisions

    def attend(self, snapshot: Snapshot) -> None:
        """Decide about every service that is on; at most one change at a time."""
        if self._clock.monotonic() < self._next:
            return
        self._next = self._clock.monotonic() + EVERY_SECONDS
        decisions: list[Decision] = []
        chosen = switches(self._journal)
        busy = self._busy(snapshot) if chosen else ""
        operations = self._journal.operations(LOOKED_AT) if chosen else []
        for name, switch in chosen.items():
            past = past_of(name, operations)
            decision = self._decide(name, snapshot, past, busy or _overruled(switch, past))
            if decision.action is not Action.HOLD:
                decision = self._act(decision)
                busy = busy or "another scaling has just begun"
            decisions.append(decision)
        self._decisions = tuple(decisions)
        self._waiting = {name: self._waiting[name] for name in chosen}

    def _busy(self, snapshot: Snapshot) -> str:
        """Return what forbids any change now, else ""."""
        age = (self._clock.now() - snapshot.taken_at).total_seconds()
        if abs(age) > OLDEST_SECONDS:
            return f"the picture is {age:.0f} s old"
        unfinished = self._journal.unfinished()
        if unfinished is not None:
            return f"{unfinished.id} by {unfinished.actor} is {unfinished.state.value}"
        return "maintenance is on" if snapshot.maintenance else ""

    def _decide(self, name: str, snapshot: Snapshot, past: Past, busy: str) -> Decision:
        now = self._clock.now()
        if not busy and name in self._refused:
            until, why = self._refused[name]
            busy = why if now < until else ""
        advice = advise(name, snapshot, self._policy)
        self._waiting[name], decision = decide(
            advice,
            snapshot.service(name),
            self._waiting.get(name, Waiting()),
            past,
            self._policy.autoscale,
            now,
            busy=busy,
        )
        return decision

    def _act(self, decision: Decision) -> Decision:
        """Carry a decision out; what is refused is held, and not tried again at once."""
        try:
            begun = self._scale(decision.service, decision.target or 0, decision.reason)
        except ConsoleError as error:
            why = f"{decision.action.value} to {decision.target} was refused: {error.message}"
            pause = timedelta(seconds=self._policy.autoscale.up_cooldown_seconds)
            self._refused[decision.service] = (self._clock.now() + pause, why)
            return replace(decision, action=Action.HOLD, target=None, reason=why)
        self._refused.pop(decision.service, None)
        return replace(decision, reason=f"{decision.reason} ({begun or 'nothing to do'})")


def _overruled(switch: Switch, past: Past) -> str:
    """Return whose emergency the service was scaled in since it was turned on, else ""."""
    if past.emergency_at is None or past.emergency_at <= datetime.fromisoformat(switch.since):
        return ""
    return f"scaled in an emergency ({past.emergency}); turning it off and on again releases it"
