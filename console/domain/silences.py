"""
Silences as the journal keeps them: one note, with who, until when and why.

A note that cannot be understood silences nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime

from console.domain.alerts import Silence

#: Key of the journal's note.
NOTE = "silences"
#: Longest silence; who needs more of it mends the rule.
LONGEST_SECONDS = 7 * 86400.0


def read_silences(noted: str | None) -> tuple[Silence, ...]:
    """Return the silences of a note, those that have run out included."""
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
    """Return the note of *silences*, without those that have run out."""
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
            if silence.until > now
        ]
    )


def with_silence(silences: Iterable[Silence], made: Silence) -> tuple[Silence, ...]:
    """Return *silences* with *made* in the place of an earlier one of the same alert."""
    return (*(silence for silence in silences if silence.alert != made.alert), made)


def without(silences: Iterable[Silence], alert: str) -> tuple[Silence, ...]:
    """Return *silences* without those of *alert*."""
    return tuple(silence for silence in silences if silence.alert != alert)
