"""Go back in time: to a clock time, an alert, an operation."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import ClassVar

from rich.text import Text
from textual.widgets import Input

from console.domain.duration import parse_moment
from console.domain.film import Landmark, landmarks
from console.errors import ConsoleError
from screens.dialogs.base import Dialog, Field
from screens.feeds import request
from screens.messages import LandmarksRead, RequestFailed
from screens.rendering import clean, fill, put, styled
from screens.widgets.footer import Hint
from screens.widgets.lines import Lines

#: Operations that are looked through.
_OPERATIONS = 50
#: Landmarks told at most.
_MOST = 300


class RewindDialog(Dialog[tuple[datetime, bool]]):
    """
    Ask for a moment: typed, or one of what happened; looking is harmless, ``enter`` goes.

    Its answer is the moment, and whether what happened then is to be seen in the picture.
    """

    GUARD_SECONDS: ClassVar[float] = 0.0

    def __init__(self) -> None:
        super().__init__("Back in time")
        self._landmarks: tuple[Landmark, ...] | None = None
        self._here = 0
        self._wrong = ""

    def fields(self) -> Sequence[Field]:
        """Ask for a clock time."""
        return (Field("03:10, -20m, a date", id="time"),)

    def on_mount(self) -> None:
        """Begin in the field, and read what happened."""
        super().on_mount()
        self.action_next_field()
        engine = self.engine
        now = engine.clock.now()
        kept = timedelta(hours=engine.settings.policy.rewind.kept_hours)

        def work() -> LandmarksRead:
            happened = engine.happened(kept.total_seconds())
            try:
                operations = engine.operations(_OPERATIONS)
            except ConsoleError:
                operations = []  # a broken journal takes nothing away from the rest
            return LandmarksRead(landmarks(happened, operations, now - kept)[:_MOST])

        request(self, "landmarks", work)

    def on_landmarks_read(self, message: LandmarksRead) -> None:
        """Offer them."""
        message.stop()
        self._landmarks = message.landmarks
        self.redraw()

    def on_request_failed(self, message: RequestFailed) -> None:
        """Say why nothing is offered; a time can be typed all the same."""
        message.stop()
        self._landmarks, self._wrong = (), message.error.message
        self.redraw()

    def content(self, width: int) -> list[Text]:
        """Return what happened, the newest first."""
        look = self.look
        lines = [styled(" A time (UTC) in the field, or one of these:", look.text)]
        if self._wrong:
            lines.append(styled(f" ▲ {clean(self._wrong, 300)}", look.warn))
        if self._landmarks is None:
            return [*lines, styled(" reading what happened…", look.dim)]
        if not self._landmarks:
            return [*lines, styled(" no alert, no operation, nothing that went wrong", look.dim)]
        for place, one in enumerate(self._landmarks):
            line = styled("› " if place == self._here else "  ", look.accent)
            put(line, f"{one.at:%d %b %H:%M:%S}", 17, look.dim)
            mark = "▶ " if one.operation else "▲ " if one.grave else "  "
            line.append(mark, look.warn if one.grave else look.accent)
            line.append(clean(one.words, 300), look.text)
            line.truncate(width, overflow="ellipsis")
            lines.append(fill(line, width, look.selected) if place == self._here else line)
        return lines

    def answers(self) -> tuple[Hint, ...]:
        """Return what the keys do."""
        return (Hint("enter", "go there"), Hint("↑ ↓", "what happened"), Hint("esc", "stay"))

    def action_scroll_content(self, lines: int) -> None:
        """Choose another of what happened."""
        last = len(self._landmarks or ()) - 1
        self._here = max(0, min(last, self._here + lines))
        self.redraw()
        place = self._here + self.above + 1 + bool(self._wrong)
        self.query_one("#body", Lines).see(0 if self._here == 0 else place, place)

    def action_enter(self) -> None:
        """Go to what was typed, else to what is chosen."""
        typed = self.value("time")
        if typed:
            try:
                self.dismiss((parse_moment(typed, self.engine.clock.now()), False))
            except ValueError as error:
                self._wrong = str(error)
                self.redraw()
        elif self._landmarks:
            chosen = self._landmarks[self._here]
            self.dismiss((chosen.at, not chosen.operation))
        else:
            self._wrong = "type a time: 03:10, -20m or 2026-03-14 03:10"
            self.redraw()

    def action_next_field(self) -> None:
        """Stay in the only field."""
        self.set_focus(self.query_one("#time"))
        self.redraw()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Go there."""
        event.stop()
        self.action_enter()
