"""
What the collector knows of each source at one moment, and how fresh that is.

Judgement never uses a reading for longer than it is evidence: three intervals.
Display may keep it longer, with its age beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TypeVar

from console.domain.readings import Reading, RuntimeReading, SourceState, SourceStatus
from console.domain.services import Topology

#: A reading older than this many intervals is stale.
STALE_INTERVALS = 3
#: A reading older than this is no longer shown either.
KEEP_SECONDS = 300.0

R = TypeVar("R", bound=Reading)


class Failure(StrEnum):
    """
    Why the last try of a source gave nothing.

    ``no_answer`` is itself evidence against what was asked; the others say only
    that nothing could be learnt.
    """

    NO_ANSWER = "no_answer"
    NOT_CONFIGURED = "not_configured"
    BROKEN = "broken"


#: Said of a source that has neither answered nor failed since its collector began.
NOT_READ_YET = "not read yet"


@dataclass(frozen=True, slots=True)
class Observed:
    """
    One source as the collector last saw it.

    Args:
        name: Name of the source.
        interval_seconds: How often it is read.
        reading: The last good reading; None if there never was one.
        begun_at: When that read began: what started later cannot be judged by it.
        read_at: When that read ended.
        failure: Kind of the present failure; None when the last try was good.
        error: The present failure in words.
        failed_at: When the last try failed; None when it was good.
    """

    name: str
    interval_seconds: float
    reading: Reading | None = None
    begun_at: datetime | None = None
    read_at: datetime | None = None
    failure: Failure | None = None
    error: str | None = None
    failed_at: datetime | None = None

    def age_seconds(self, now: datetime) -> float | None:
        """Return the age of the last good reading, None if there never was one."""
        return None if self.read_at is None else max(0.0, (now - self.read_at).total_seconds())

    def is_evidence(self, now: datetime) -> bool:
        """Whether the last good reading is young enough to judge by."""
        age = self.age_seconds(now)
        return age is not None and age <= STALE_INTERVALS * self.interval_seconds

    def status(self, now: datetime) -> SourceStatus:
        """Return the freshness as a snapshot carries it."""
        age = self.age_seconds(now)
        if self.failure is not None or self.reading is None:
            state = SourceState.FAILED
        elif not self.is_evidence(now):
            state = SourceState.STALE
        else:
            state = SourceState.FRESH
        error = self.error
        if error is None and self.reading is None:
            error = NOT_READ_YET
        return SourceStatus(
            name=self.name,
            state=state,
            age_seconds=None if age is None else round(age, 3),
            error=error,
            configured=self.failure is not Failure.NOT_CONFIGURED,
        )


#: All sources by name.
Observations = Mapping[str, Observed]


def find(observations: Observations, kind: type[R]) -> tuple[Observed, R] | None:
    """Return the source whose last good reading is of *kind*, with that reading."""
    for observed in observations.values():
        if isinstance(observed.reading, kind):
            return observed, observed.reading
    return None


def shown(observations: Observations, kind: type[R], now: datetime) -> R | None:
    """Return the last good reading of *kind* unless it is too old even to show."""
    found = find(observations, kind)
    if found is None:
        return None
    age = found[0].age_seconds(now)
    return found[1] if age is not None and age <= KEEP_SECONDS else None


def evidence(observations: Observations, kind: type[R], now: datetime) -> R | None:
    """Return the last good reading of *kind* while it is young enough to judge by."""
    found = find(observations, kind)
    return found[1] if found is not None and found[0].is_evidence(now) else None


def latest_topology(observations: Observations) -> Topology | None:
    """Return the latest topology known, however old; None at first."""
    found = find(observations, RuntimeReading)
    return None if found is None else found[1].topology
