"""
Silences as the journal keeps them: one note, with who, until when and why.

A note that cannot be understood silences nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from console.domain.alerts import Silence

#: Key of the journal's note.
NOTE = "silences"
#: Longest silence; who needs more of it mends the rule.
LONGEST_SECONDS = 7 * 86400.0
#: One that was ended is remembered this long: a reading of the Alertmanager from just
#: before may still have it, and must not bring it back to the screen.
REMEMBERED = timedelta(minutes=10)


def read_silences(noted: str | None) -> tuple[Silence, ...]:
    """Return the silences of a note, those that have ended included."""
    if noted is None:
        return ()
    try:
        return tuple(
            Silence(
                alert=str(each["alert"]),
                until=datetime.fromisoformat(each["until"]),
                actor=str(each["actor"]),
                reason=str(each["reason"]),
                since=datetime.fromisoformat(each["since"]),
                id=str(each.get("id", "")),
            )
            for each in json.loads(noted)
        )
    except (ValueError, TypeError, KeyError, AttributeError):
        return ()


def write_silences(silences: Iterable[Silence], now: datetime) -> str:
    """Return the note of *silences*, without those that ended a while ago."""
    return json.dumps(
        [
            {
                "alert": silence.alert,
                "until": silence.until.isoformat(),
                "actor": silence.actor,
                "reason": silence.reason,
                "since": silence.since.isoformat(),
                "id": silence.id,
            }
            for silence in silences
            if silence.until > now - REMEMBERED
        ]
    )


def ended_at(silences: Iterable[Silence], alert: str, now: datetime) -> tuple[Silence, ...]:
    """Return *silences* with those of *alert* ended at *now*."""
    return tuple(
        replace(silence, until=now) if silence.alert == alert and silence.until > now else silence
        for silence in silences
    )
