"""
What an operation did to the figures: before → after, pure.

Nothing is remembered for it: both sides are read from the agent's history, so any
console can show them, also hours later.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from rich.text import Text

from console.domain.operations import Operation
from console.domain.services import Role
from console.domain.settling import SETTLED as HAS_SETTLED
from console.domain.settling import SETTLING, Settling
from console.domain.snapshot import Snapshot
from screens.look import Look
from screens.rendering import (
    UNKNOWN,
    clean,
    duration,
    heading,
    latency,
    paragraph,
    percent,
    rate,
    size,
    styled,
)

#: How far back from its beginning a figure may lie to count as before.
BEFORE = timedelta(seconds=90)
#: A change has shown what it does this long after its end.
SETTLED = timedelta(minutes=10)
#: With more services than this only what they serve is shown.
_FEW = 3

Series = Sequence[tuple[datetime, float | None]]


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure: the subject's line it stands in, its label, its name in the history."""

    subject: str
    label: str
    name: str
    words: Callable[[float | None], str]


@dataclass(frozen=True, slots=True)
class Effect:
    """A figure with its values before and after, None where unknown."""

    figure: Figure
    before: float | None
    after: float | None


def _count(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:,.0f}"


def _size(value: float | None) -> str:
    return size(None if value is None else int(value))


def figures_for(operation: Operation, snapshot: Snapshot) -> list[Figure]:
    """Return the figures that *operation* was meant to change."""
    services = [service for name in operation.plan.expects if (service := snapshot.service(name))]
    figures: list[Figure] = []
    for service in services[:_FEW]:
        at = f"service.{service.name}"
        figures += [
            Figure(service.name, "ready", f"{at}.ready", _count),
            Figure(service.name, "cpu", f"{at}.cpu_ratio", percent),
            Figure(service.name, "memory", f"{at}.memory_bytes", _size),
        ]
        queue = service.labels.get("console.queue")
        if queue:
            figures += [
                Figure(f"queue {queue}", "waiting", f"queue.{queue}.depth", _count),
                Figure(f"queue {queue}", "oldest", f"queue.{queue}.oldest_age_seconds", duration),
                Figure(f"queue {queue}", "out/s", f"queue.{queue}.completed_per_second", rate),
            ]
    everything = len(services) > _FEW or operation.verb == "maintenance"
    if everything or any(s.role is Role.APP for s in services):
        figures += [
            Figure("requests", "per second", "request_rate", rate),
            Figure("requests", "p95", "p95_seconds", latency),
            Figure("requests", "5xx", "error_ratio", lambda value: percent(value, 1)),
        ]
    return figures


def effect_of(operation: Operation, figure: Figure, series: Series) -> Effect:
    """Return *figure* just before *operation* began, and as long after its end as is known."""
    begun = operation.started_at or operation.submitted_at
    before = [v for at, v in series if begun - BEFORE <= at <= begun and v is not None]
    until = operation.ended_at + SETTLED if operation.ended_at else None
    after = [v for at, v in series if at > begun and (until is None or at <= until)]
    return Effect(figure, before[-1] if before else None, after[-1] if after else None)


def settled(operation: Operation, now: datetime) -> bool:
    """Whether nothing later can change what is shown as its effect."""
    return operation.ended_at is not None and now > operation.ended_at + SETTLED


def effect_lines(
    operation: Operation,
    effects: Sequence[Effect],
    settling: Settling | None,
    look: Look,
    now: datetime,
    width: int,
) -> list[Text]:
    """Return before → after, one line for each subject; nothing when nothing is known."""
    known = [e for e in effects if e.before is not None or e.after is not None]
    if not known and settling is None:
        return []
    lines = [Text(), heading("Before → after", look, _when(operation, now))]
    for subject in dict.fromkeys(effect.figure.subject for effect in known):
        line = styled(f"   {clean(subject, 40)}", look.text)
        for effect in known:
            if effect.figure.subject != subject:
                continue
            words = effect.figure.words
            line.append(f"   {effect.figure.label} ", look.dim)
            line.append(f"{words(effect.before)} → {words(effect.after)}", look.text)
        line.truncate(width, overflow="ellipsis")
        lines.append(line)
    if settling is not None:
        style = {HAS_SETTLED: look.good, SETTLING: look.accent}.get(settling.state, look.warn)
        lines += paragraph([f"  {clean(settling.words, 400)}"], width, style)
    return lines


def _when(operation: Operation, now: datetime) -> str:
    if operation.ended_at is None:
        return "still under way"
    return f"{duration(min(now - operation.ended_at, SETTLED).total_seconds())} after its end"
