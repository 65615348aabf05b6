"""Feeds of what the agent has kept: trends, and what happened lately."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from console.domain.figures import replica_request_figure, request_figure
from console.domain.services import Role
from console.domain.snapshot import Snapshot
from screens.feeds import LIST_INTERVAL_SECONDS, MOVING_SECONDS, Feed, as_console_error, ended
from screens.messages import HappeningsRead, RequestFailed, TrendsRead
from screens.view import TREND_CELLS, TREND_SECONDS

if TYPE_CHECKING:
    from console.engine import Engine
    from screens.feeds import Owner

#: A trend changes when the next of its spans is complete.
TREND_INTERVAL_SECONDS = 15.0
#: Figures of the whole stack that are drawn as trends.
MAIN_TRENDS = (
    "request_rate",
    "p95_seconds",
    "error_ratio",
    "database_connections",
    "redis_memory_bytes",
    "host_cpu_ratio",
    "host_memory_ratio",
    "host_disk_ratio",
)
#: Replicas of a service whose requests are drawn as trends.
MOST_REPLICAS = 20
#: Figures of each queue that are.
QUEUE_TRENDS = ("depth", "arrived_per_second", "completed_per_second")


class TrendFeed(Feed):
    """Trends of all services and the main figures, in one reading; told when they changed."""

    def __init__(self, owner: Owner, engine: Engine) -> None:
        super().__init__(owner, "trends")
        self._engine = engine

    def _run(self, stopped: threading.Event) -> None:
        told: object = {}
        while not ended(stopped):
            trends = self._read()
            if trends and trends != told:
                told = trends
                self._post(TrendsRead(trends))
            stopped.wait(TREND_INTERVAL_SECONDS if trends else LIST_INTERVAL_SECONDS)

    def _read(self) -> Mapping[str, tuple[float | None, ...]]:
        try:
            picture = self._engine.last_picture()
            if picture is None:
                return {}  # no agent was ever here, so there is no history either
            return self._engine.means(trend_names(picture), TREND_SECONDS, TREND_CELLS)
        except Exception:
            return {}  # what is wrong is told by the pictures; bars are a comfort


def trend_names(picture: Snapshot) -> list[str]:
    """Return the figures that are drawn as trends."""
    return [
        *MAIN_TRENDS,
        *(f"service.{s.name}.{f}" for s in picture.services for f in ("cpu_ratio", "memory_bytes")),
        *(request_figure(s.name) for s in picture.services if s.role is Role.APP),
        *(
            replica_request_figure(r.name)
            for s in picture.services
            for r in s.replicas[:MOST_REPLICAS]
            if r.request_rate is not None
        ),
        *(f"queue.{q.name}.{f}" for q in picture.queues for f in QUEUE_TRENDS),
    ]


class HappeningsFeed(Feed):
    """What happened lately, told when it changed; what had happened *then* only once."""

    def __init__(
        self, owner: Owner, engine: Engine, seconds: float, then: datetime | None = None
    ) -> None:
        super().__init__(owner, "happenings")
        self._engine = engine
        self._then = then
        self._seconds = seconds

    def _run(self, stopped: threading.Event) -> None:
        told: object = None
        if self._then is not None and stopped.wait(MOVING_SECONDS):
            return
        while not ended(stopped):
            try:
                happened = self._engine.happened(self._seconds, until=self._then)
                if happened != told:
                    told = happened
                    self._post(HappeningsRead(happened, self._then))
                if self._then is not None:
                    return
            except Exception as error:
                failed = as_console_error(error)
                if told != failed.lines():
                    told = failed.lines()
                    self._post(RequestFailed(failed))
            stopped.wait(LIST_INTERVAL_SECONDS)
