"""What all screens draw from: the last picture, how old it is, what may be done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from console.domain.film import Frame
from console.domain.operations import Operation, OperationSummary
from console.domain.snapshot import AgentState, Overall, Snapshot
from screens.rendering import sparkline

if TYPE_CHECKING:
    from console.engine import Access

#: A picture older than three intervals of the agent is called old, seconds.
STALE_AFTER_SECONDS = 3.0
#: How far back trends go, seconds, and in how many bars they are drawn.
TREND_SECONDS = 1800.0
TREND_CELLS = 12
#: In a picture just taken, the operation may have been read this long before.
JOURNAL_READ_EVERY = timedelta(seconds=1.5)


@dataclass(frozen=True, slots=True)
class Rewound:
    """
    That what is drawn is the past.

    Args:
        frame: The picture, and whether something is missing beside it.
        present: How the stack is now; None while that is not known.
    """

    frame: Frame
    present: Overall | None = None

    @property
    def at(self) -> datetime:
        """The moment that is drawn."""
        return self.frame.at


@dataclass(frozen=True, slots=True)
class View:
    """
    One state of the console's knowledge.

    Args:
        environment: ``APP_ENV``, known before any picture.
        production: Whether it is production.
        operator: Who is at the keyboard.
        snapshot: The last picture, None before the first.
        access: Whether changes are allowed, None before the first answer.
        recalled: The picture is the agent's last one; nothing was read yet.
        failure: Why reading fails now, in the operator's lines; empty if it does not.
        failing_since: Since when it fails.
        capabilities: Names of the runtime's capabilities (:mod:`console.capabilities`).
        ended: The operation that was last seen to end.
        seen: The last picture in which the runtime's answer was fresh.
        trends: Figures of the last half hour by name, in :data:`TREND_CELLS` means each;
            empty without a history.
        low_bandwidth: Draw no clock: every byte counts.
        rewound: What is drawn is the past; None where it is the present.
    """

    environment: str
    production: bool
    operator: str
    snapshot: Snapshot | None = None
    access: Access | None = None
    recalled: bool = False
    failure: tuple[str, ...] = ()
    failing_since: datetime | None = None
    capabilities: frozenset[str] = field(default_factory=frozenset)
    ended: Operation | None = None
    seen: Snapshot | None = None
    low_bandwidth: bool = False
    trends: Mapping[str, tuple[float | None, ...]] = field(default_factory=dict)
    rewound: Rewound | None = None

    def moment(self, now: datetime) -> datetime:
        """Return the moment that is drawn, *now* for the present."""
        return now if self.rewound is None else self.rewound.at

    def trend(self, name: str, cells: int = TREND_CELLS, top: float | None = None) -> str:
        """Return a figure of the last half hour as bars; "" where there is nothing to draw."""
        values = self.trends.get(name, ())
        if self.low_bandwidth or all(value is None for value in values):
            return ""
        return sparkline(values, cells, top)

    @property
    def operation(self) -> OperationSummary | None:
        """
        Return the operation at work or unfinished, as far as is known.

        A picture whose journal was read before an operation ended still shows it at
        work; whoever followed it to the end knows better.
        """
        if self.snapshot is None or self.snapshot.operation is None:
            return None
        shown, ended = self.snapshot.operation, self.ended
        if (
            ended is not None
            and shown.id == ended.id
            and ended.ended_at is not None
            and self.snapshot.taken_at <= ended.ended_at + JOURNAL_READ_EVERY
        ):
            return None
        return shown

    def age_seconds(self, now: datetime) -> float | None:
        """Return the age of the picture, None when there is none."""
        if self.snapshot is None:
            return None
        return max(0.0, (now - self.snapshot.taken_at).total_seconds())

    def stale(self, now: datetime) -> bool:
        """Whether the picture is too old to be taken for the present."""
        seconds = self.age_seconds(now)
        return seconds is not None and seconds > STALE_AFTER_SECONDS

    def may_write(self, now: datetime) -> bool:
        """Whether changes are allowed, as far as is known; what has run out counts at once."""
        if self.access is None or not self.access.write:
            return False
        return self.access.until is None or now < self.access.until

    @property
    def blind(self) -> bool:
        """Whether there is a picture and what runs is not seen in it now."""
        return self.snapshot is not None and not self.snapshot.source_is_fresh("runtime")

    @property
    def without_agent(self) -> bool:
        """Whether this console collects for itself."""
        return self.snapshot is not None and self.snapshot.agent is AgentState.ABSENT
