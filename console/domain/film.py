"""
The film: pictures of the past, each kept as what changed since the one before.

A picture is mostly what the one before was, so only the first of a reel is kept whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from console.domain.happenings import Happening, Kind
from console.domain.operations import Operation
from console.domain.snapshot import Snapshot

#: Two pictures this many intervals apart have a gap between them: nobody took any.
GAP_INTERVALS = 3.0
#: Digits kept behind the point: more than anybody is shown, and most of a film otherwise.
DIGITS = 4


@dataclass(frozen=True, slots=True)
class Frame:
    """
    One picture of the past.

    Args:
        snapshot: As it was taken; figures are rounded to :data:`DIGITS`.
        gap: Two moments between which nothing was kept, where the picture was asked for
            a moment between them, or by a step across them; None otherwise.
    """

    snapshot: Snapshot
    gap: tuple[datetime, datetime] | None = None

    @property
    def at(self) -> datetime:
        """When it was taken."""
        return self.snapshot.taken_at


@dataclass(frozen=True, slots=True)
class Landmark:
    """
    A moment to go back to.

    Args:
        at: When it happened, or began.
        words: What it was.
        grave: Whether it was one for the worse.
        operation: Whether somebody did it.
    """

    at: datetime
    words: str
    grave: bool = False
    operation: bool = False


def landmarks(
    happened: Sequence[Happening], operations: Iterable[Operation], since: datetime
) -> list[Landmark]:
    """
    Return the alerts, what else went wrong, and the operations of a time, the newest first.

    What went wrong at one moment is told together, with what is nearest to the cause.
    """
    found = [Landmark(one.at, one.words, one.grave) for one in happened if one.kind is Kind.ALERT]
    wrong: dict[datetime, list[Happening]] = {}
    for one in happened:
        if one.grave and one.kind not in {Kind.ALERT, Kind.CHANGE, Kind.OPERATION}:
            wrong.setdefault(one.at, []).append(one)
    for at, several in wrong.items():
        first = next((one for one in several if one.kind is Kind.REPLICA), several[0])
        more = f" · and {len(several) - 1} more" if len(several) > 1 else ""
        found.append(Landmark(at, first.words + more, grave=True))
    for done in operations:
        began = done.started_at or done.submitted_at
        words = f"{done.verb} {done.plan.summary}: {done.state.value} · by {done.actor}"
        if began >= since:
            found.append(Landmark(began, words, operation=True))
    return sorted(found, key=lambda one: one.at, reverse=True)


def gap_between(
    earlier: datetime, later: datetime, every_seconds: float
) -> tuple[datetime, datetime] | None:
    """Return the two moments where nothing was kept between them, None where it was."""
    apart = later - earlier
    return (earlier, later) if apart > timedelta(seconds=GAP_INTERVALS * every_seconds) else None


def rounded(value: Any) -> Any:
    """Return *value*, of dicts, lists and plain values, with its figures rounded."""
    if isinstance(value, float):
        return round(value, DIGITS)
    if isinstance(value, dict):
        return {key: rounded(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [rounded(inner) for inner in value]
    return value


def delta(before: Any, after: Any) -> Any:
    """
    Return what makes *after* of *before*, both of dicts, lists and plain values.

    Returns:
        None where they are the same; ``[after]`` where it is another; else the deltas
        of what changed in it, by key or, in a list of the same length, by place.
    """
    if isinstance(before, dict) and isinstance(after, dict) and before.keys() == after.keys():
        pairs = ((key, before[key], after[key]) for key in after)
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        pairs = ((str(n), b, a) for n, (b, a) in enumerate(zip(before, after, strict=True)))
    else:
        # 1, 1.0 and True are equal, and are not the same.
        same = type(before) is type(after) and before == after
        return None if same else [after]
    changed = {key: found for key, b, a in pairs if (found := delta(b, a)) is not None}
    return changed or None


def developed(before: Any, change: Any) -> Any:
    """
    Return what :func:`delta` made *change* for; *before* is left as it is.

    Raises:
        LookupError, TypeError, ValueError: If it was made for something else.
    """
    if change is None:
        return before
    if isinstance(change, list):
        (after,) = change
        return after
    if isinstance(before, list):
        places = list(before)
        for key, inner in change.items():
            places[int(key)] = developed(places[int(key)], inner)
        return places
    return before | {key: developed(before[key], inner) for key, inner in change.items()}
