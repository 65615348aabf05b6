"""
Silencing an alert for a time: recorded with who and why, told to the Alertmanager if any.

The journal's note is what every console shows; the Alertmanager is what keeps messages
from being sent.  It is told first: what it did not take is not recorded as done.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from console.domain.alerts import Silence
from console.domain.operations import Actor, Change
from console.domain.silences import (
    LONGEST_SECONDS,
    NOTE,
    ended_at,
    read_silences,
    write_silences,
)
from console.domain.snapshot import Snapshot
from console.errors import NotSupported, Refused, UsageError
from console.ports import Clock, Journal, TakesSilences


class Silencing:
    """
    Makes and ends silences.

    Args:
        journal: Keeps them, and the record.
        alerting: Tells an Alertmanager; None where nothing ever does.
        clock: Their beginning.
    """

    def __init__(self, journal: Journal, alerting: TakesSilences | None, clock: Clock) -> None:
        self._journal = journal
        self._alerting = alerting
        self._clock = clock

    def silence(
        self,
        snapshot: Snapshot,
        alert: str,
        seconds: float,
        actor: Actor,
        reason: str,
        is_known: Callable[[str], bool],
    ) -> Silence:
        """
        Silence *alert* for *seconds*; an earlier silence of it is replaced.

        Args:
            snapshot: Where the Alertmanager is.
            alert: Name of an alert.
            seconds: How long, at most a week.
            actor: Who.
            reason: Why; required.
            is_known: Whether there is an alert of a name.

        Raises:
            UsageError: If there is no such alert, no reason, or the time makes no sense.
            Unreachable: If the Alertmanager did not take it; nothing is recorded then.
        """
        if not reason.strip():
            raise UsageError(
                "a silence needs a reason",
                unchanged="nothing was silenced",
                remedy=f'fragrance alerts silence {alert} --for 1h --reason "…"',
            )
        if not 0 < seconds <= LONGEST_SECONDS:
            raise UsageError(
                "an alert can be silenced for at most 7 days", unchanged="nothing was silenced"
            )
        if not is_known(alert):
            raise UsageError(
                f"there is no alert {alert!r}",
                unchanged="nothing was silenced",
                remedy="fragrance alerts; RUNBOOK.md has a section for each",
            )
        now = self._clock.now()
        made = Silence(alert, now + timedelta(seconds=seconds), str(actor), reason, now)
        address = snapshot.endpoints.get("alertmanager")
        earlier = self._kept()
        if address is not None and self._alerting is not None:
            made = replace(made, id=self._alerting.silence(address, made))
            self._end_there(address, [s for s in earlier if s.alert == alert and s.until > now])
        self._record(
            f"silence {alert}", f"until {made.until:%H:%M} UTC", made.actor, reason, now,
            (*ended_at(earlier, alert, now), made),
        )  # fmt: skip
        return made

    def unsilence(self, snapshot: Snapshot, alert: str, actor: Actor, reason: str) -> list[Silence]:
        """
        End the silences of *alert*, whoever made them; return them.

        Raises:
            Refused: If it is not silenced.
            Unreachable: If the Alertmanager did not take it; nothing is recorded then.
        """
        now = self._clock.now()
        ours = self._kept()
        known = {silence.id for silence in ours if silence.id}
        theirs = [s for s in snapshot.silences if s.id and s.id not in known]
        found = [s for s in (*ours, *theirs) if s.alert == alert and s.until > now]
        found = list({(s.id, s.since): s for s in found}.values())
        if not found:
            raise Refused(
                f"{alert} is not silenced",
                unchanged="nothing was changed",
                remedy="fragrance alerts",
            )
        address = snapshot.endpoints.get("alertmanager")
        if address is not None:
            self._end_there(address, found)
        kept = ended_at({(s.id, s.since): s for s in (*ours, *found)}.values(), alert, now)
        self._record(f"silence {alert}", "ended", str(actor), reason, now, kept)
        return found

    def _kept(self) -> tuple[Silence, ...]:
        return read_silences(self._journal.note(NOTE))

    def _end_there(self, address: str, silences: list[Silence]) -> None:
        if self._alerting is None:
            raise NotSupported("nothing here speaks to an Alertmanager")
        for silence in silences:
            if silence.id:
                self._alerting.unsilence(address, silence.id)

    def _record(
        self,
        what: str,
        outcome: str,
        actor: str,
        reason: str,
        now: datetime,
        kept: tuple[Silence, ...],
    ) -> None:
        self._journal.record(
            Change(at=now, actor=actor, what=what, outcome=outcome, reason=reason),
            note=(NOTE, write_silences(kept, now)),
        )
