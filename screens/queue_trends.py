"""How the queues went lately, from the agent's history."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

from textual.message import Message

from screens.feeds import LIST_INTERVAL_SECONDS, Feed, ended

if TYPE_CHECKING:
    from console.engine import Engine
    from screens.feeds import Owner

#: How far back, seconds, in how many means; the agent's own means are complete that often.
TREND_SECONDS = 1800.0
TREND_CELLS = 12
TREND_INTERVAL_SECONDS = 15.0

Trends: TypeAlias = Mapping[str, Sequence[float | None]]


class QueueTrendsRead(Message):
    """The last half hour of the queues was read."""

    def __init__(self, trends: Trends) -> None:
        super().__init__()
        self.trends = trends


class QueueTrendsFeed(Feed):
    """
    Depth and rates of the queues in one reading, told when they changed.

    Args:
        owner: Receives the message.
        engine: Has the history.
    """

    def __init__(self, owner: Owner, engine: Engine) -> None:
        super().__init__(owner, "queue-trends")
        self._engine = engine
        #: Names of the queues; set by the screen.
        self.queues: tuple[str, ...] = ()

    def _run(self, stopped: threading.Event) -> None:
        told: Trends = {}
        while not ended(stopped):
            names = [
                f"queue.{queue}.{figure}"
                for queue in self.queues
                for figure in ("depth", "arrived_per_second", "completed_per_second")
            ]
            try:
                trends = self._engine.means(names, TREND_SECONDS, TREND_CELLS) if names else {}
            except Exception:
                trends = {}  # what is wrong is told by the pictures; bars are a comfort
            if trends != told:
                told = trends
                self._post(QueueTrendsRead(trends))
            stopped.wait(TREND_INTERVAL_SECONDS if trends else LIST_INTERVAL_SECONDS)
