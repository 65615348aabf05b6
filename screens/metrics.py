"""Metrics: since when?  One figure in a chart, all of them beside it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from screens.actions import bindings_on
from screens.dialogs.confirm import error_lines
from screens.feeds import MetricsFeed
from screens.messages import RangeMeasured, RequestFailed
from screens.metrics_lines import RANGES, MetricsState, chosen, metrics_page
from screens.selecting import Selects


class MetricsScreen(Selects):
    """Figures over a chosen range, with their limits; ``↑`` and ``↓`` choose the figure."""

    NAME = "metrics"
    TITLE = "Metrics"
    BINDINGS = bindings_on("metrics")

    def __init__(self) -> None:
        super().__init__()
        self._state = MetricsState(RANGES[1][1])
        self._failure: RequestFailed | None = None
        self._feed: MetricsFeed | None = None
        self._of: datetime | None = None

    def entered(self) -> None:
        """Begin to read."""
        if self._of != self.then:
            self._state, self._of = replace(self._state, measured=None), self.then
        then = self.view.snapshot if self.view.rewound is not None else None
        self._feed = MetricsFeed(self, self.engine, self._state.seconds, then)
        self._feed.start()

    def left(self) -> None:
        """Stop reading."""
        if self._feed is not None:
            self._feed.stop()

    def moved(self) -> None:
        """Read the figures up to that moment."""
        self.left()
        self.entered()

    def on_range_measured(self, message: RangeMeasured) -> None:
        """Draw the figures; those of a range that was left meanwhile are nothing."""
        if message.seconds == self._state.seconds and message.then == self.then:
            self._state = replace(self._state, measured=message.measured)
            self._failure = None
            self.redraw()

    def on_request_failed(self, message: RequestFailed) -> None:
        """Say that nothing can be read; what is known stays."""
        self._failure = message
        self.redraw()

    def draw(self) -> None:
        """Draw chart and figures."""
        size = self.app.size
        lines = []
        if self._failure is not None:
            look = self.look
            lines = error_lines(self._failure.error, size.width, look.bad, look.text)
        if self._failure is None or self._state.measured is not None:
            height = max(12, self.lines.size.height - len(lines))
            lines += metrics_page(
                self._state,
                self.view.snapshot,
                self.look,
                self.now,
                size.width,
                height,
                stale=self.view.stale(self.now),
            )
        self.lines.show(lines)

    # Keys --------------------------------------------------------------------

    def move(self, by: int) -> None:
        """Draw another figure."""
        measured, curve = self._state.measured, chosen(self._state, self.view.snapshot)
        if measured is None or curve is None:
            return
        names = [each.measure.name for each in measured.curves]
        place = max(0, min(len(names) - 1, names.index(curve.measure.name) + by))
        self._state = replace(self._state, selected=names[place], targets=False)

    def do_range(self) -> None:
        """Choose the range of the key."""
        place = int(self.pressed_key) - 1 if self.pressed_key.isdigit() else 1
        self._choose(place)

    def do_range_shorter(self) -> None:
        """Choose the next shorter range."""
        self._choose(self._place - 1)

    def do_range_longer(self) -> None:
        """Choose the next longer range."""
        self._choose(self._place + 1)

    @property
    def _place(self) -> int:
        return [seconds for _, seconds in RANGES].index(self._state.seconds)

    def _choose(self, place: int) -> None:
        name, seconds = RANGES[max(0, min(len(RANGES) - 1, place))]
        if seconds == self._state.seconds:
            return
        self._state = replace(self._state, seconds=seconds, measured=None)
        self.left()
        self.entered()
        self.console_app.say(f"the last {name}")

    def do_targets(self) -> None:
        """Show what Prometheus scrapes, or the figures again."""
        self._state = replace(self._state, targets=not self._state.targets)
