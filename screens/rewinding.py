"""Moving back in time: the same screens, drawn from the agent's pictures of the past."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, cast

from console.domain.film import Frame
from console.domain.snapshot import Snapshot
from screens.feeds import as_console_error, request
from screens.history_feeds import trend_names
from screens.messages import MovedInTime
from screens.screen import ConsoleScreen
from screens.table import WATCHING
from screens.view import TREND_CELLS, TREND_SECONDS, Rewound, View

if TYPE_CHECKING:
    from screens.application import ConsoleApp

#: How far the coarse keys go.
COARSE = timedelta(minutes=5)
#: Two times of one moment, kept in two places, may differ by so much.
_SAME = timedelta(milliseconds=1)


class Rewinds:
    """
    To be mixed into the app: which moment is drawn.

    Only screens that watch are moved; what lists or follows operations is of now.
    """

    #: What is known of the present, whatever is drawn.
    present: View

    def __init__(self) -> None:
        super().__init__()
        self._frame: Frame | None = None
        self._then_trends: Mapping[str, tuple[float | None, ...]] = {}
        #: Where the keys have led so far: a moment, and pictures from there.
        self._goal: tuple[datetime, int] | None = None
        #: Of the last wish; answers to others come too late.
        self._wish = 0

    @property
    def _app(self) -> ConsoleApp:
        return cast("ConsoleApp", self)

    @property
    def rewound(self) -> bool:
        """Whether the screens that watch show the past."""
        return self._frame is not None

    @property
    def view(self) -> View:
        """What the screen in front draws from, and the dialog above it."""
        frame, present = self._frame, self.present
        if frame is None or not self._watching():
            return present
        overall = present.snapshot.overall if present.snapshot is not None else None
        snapshot: Snapshot = self._app.drawable(frame.snapshot)
        return replace(
            present,
            snapshot=snapshot,
            seen=snapshot if snapshot.source_is_fresh("runtime") else None,
            recalled=False,
            failure=(),
            failing_since=None,
            ended=None,
            trends=self._then_trends,
            rewound=Rewound(frame, overall),
        )

    def _watching(self) -> bool:
        stack = self._app.screen_stack
        front = next((s for s in reversed(stack) if isinstance(s, ConsoleScreen)), None)
        return front is not None and front.NAME in WATCHING

    # Keys --------------------------------------------------------------------

    def do_earlier(self) -> None:
        """Draw the picture before."""
        self._step(-1)

    def do_later(self) -> None:
        """Draw the picture after, at last the present."""
        self._step(1)

    def do_much_earlier(self) -> None:
        """Draw what was some minutes before."""
        self.go_to((self._goal[0] if self._goal else self._now) - COARSE)

    def do_much_later(self) -> None:
        """Draw what was some minutes later, at last the present."""
        if self._goal is None or self._goal[0] + COARSE >= self._now:
            self.do_to_now()
        else:
            self.go_to(self._goal[0] + COARSE, beyond=self._goal[0])

    def do_jump_back(self) -> None:
        """Ask for the moment."""
        from screens.dialogs.rewind import RewindDialog

        self._app.push_screen(RewindDialog(), self._chosen)

    def _chosen(self, answer: tuple[datetime, bool] | None) -> None:
        if answer is None:
            return
        at, happened = answer
        # What had just happened is in the first picture taken then, or after it.
        self.go_to(at, beyond=at - _SAME if happened else None)

    def do_to_now(self) -> None:
        """Draw the present."""
        self._wish += 1
        self._goal = None
        if self._frame is None:
            self._app.say("this is now; [ goes back in time")
            return
        self._frame = None
        self._moved()

    @property
    def _now(self) -> datetime:
        return self._app.engine.clock.now()

    # Asking ------------------------------------------------------------------

    def _step(self, by: int) -> None:
        """Go some pictures on from where the keys have led; the first back is the last kept."""
        at, steps = self._goal or (self._now, 1)
        if self._goal is None and by > 0:
            self.do_to_now()
            return
        self._goal = at, steps + by
        engine = self._app.engine
        self._ask(lambda: engine.rewound(at, steps + by))

    def go_to(self, at: datetime, beyond: datetime | None = None) -> None:
        """
        Draw the last picture taken by *at*.

        Args:
            at: A moment of the past.
            beyond: Draw no picture of then or before, rather the one after it.
        """
        self._goal = at, 0
        engine = self._app.engine

        def look() -> Frame | None:
            frame = engine.rewound(at + _SAME)
            if beyond is not None and frame is not None and frame.at <= beyond:
                return engine.rewound(beyond, 1)
            return frame

        self._ask(look)

    def _ask(self, look: Callable[[], Frame | None]) -> None:
        self._wish += 1
        wish, engine = self._wish, self._app.engine

        def work() -> MovedInTime:
            trends: Mapping[str, tuple[float | None, ...]] = {}
            try:
                frame = look()
            except Exception as error:
                return MovedInTime(wish, None, {}, as_console_error(error))
            if frame is not None:
                names = trend_names(frame.snapshot)
                try:
                    trends = engine.means(names, TREND_SECONDS, TREND_CELLS, frame.at)
                except Exception:
                    trends = {}  # bars are a comfort
            return MovedInTime(wish, frame, trends)

        request(self._app, "rewind", work)

    def on_moved_in_time(self, message: MovedInTime) -> None:
        """Draw that moment, or say why it cannot be."""
        message.stop()
        if message.wish != self._wish:
            return  # the keys have led on, or back to now
        if message.failed is not None:
            self._goal = None if self._frame is None else (self._frame.at, 0)
            self._app.say(message.failed.message)
        elif message.frame is None:
            self.do_to_now()
        else:
            self._frame, self._then_trends = message.frame, message.trends
            self._goal = message.frame.at, 0
            self._moved()

    def _moved(self) -> None:
        for screen in self._app.screen_stack:
            if isinstance(screen, ConsoleScreen) and screen.NAME in WATCHING:
                screen.moved()
        self._app.redraw()
