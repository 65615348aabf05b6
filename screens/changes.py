"""Changes: what changed in the last hour?  By whom, or by itself, the newest first."""

from __future__ import annotations

from datetime import datetime

from rich.text import Text

from console.domain.happenings import Happening, Kind
from screens.actions import bindings_on
from screens.history_feeds import HappeningsFeed
from screens.look import Look
from screens.messages import HappeningsRead, RequestFailed
from screens.rendering import clean, paragraph, put, styled, wrap
from screens.screen import ConsoleScreen

HOUR_SECONDS = 3600.0
#: More lines than anybody reads; the command has them all.
MOST = 500


class ChangesScreen(ConsoleScreen):
    """Everything of the last hour in one order."""

    NAME = "changes"
    TITLE = "Changes"
    BINDINGS = bindings_on("changes")

    def __init__(self) -> None:
        super().__init__()
        self._happened: tuple[Happening, ...] | None = None
        self._failed: tuple[str, ...] = ()
        self._feed: HappeningsFeed | None = None
        self._of: datetime | None = None

    def entered(self) -> None:
        """Begin to follow what happens."""
        if self._of != self.then:
            self._happened, self._of = None, self.then
        self._feed = HappeningsFeed(self, self.engine, HOUR_SECONDS, self.then)
        self._feed.start()

    def left(self) -> None:
        """Stop following."""
        if self._feed is not None:
            self._feed.stop()

    def moved(self) -> None:
        """Read the hour up to that moment."""
        self.left()
        self.entered()

    def on_happenings_read(self, message: HappeningsRead) -> None:
        """Draw what happened."""
        message.stop()
        if message.then != self.then:
            return
        self._happened, self._failed = message.happened, ()
        self.redraw()

    def on_request_failed(self, message: RequestFailed) -> None:
        """Say why it cannot be told; what was read stays."""
        message.stop()
        self._failed = tuple(message.error.lines())
        self.redraw()

    def draw(self) -> None:
        """Draw the hour."""
        self.lines.show(changes_page(self._happened, self._failed, self.look, self.app.size.width))


def changes_page(
    happened: tuple[Happening, ...] | None,
    failed: tuple[str, ...],
    look: Look,
    width: int,
) -> list[Text]:
    """Return the screen's lines; *happened* is None while nothing was read yet."""
    lines = [styled(f" ▲ {clean(line, 300)}", look.warn) for line in failed]
    if happened is None:
        return [*lines, Text(), styled(" Reading the last hour…", look.dim)]
    if not happened:
        words = "Nothing changed in the last hour: nobody did anything, nothing went by itself."
        return [*lines, Text(), *paragraph([words], width, look.text)]
    if not any(one.kind not in {Kind.CHANGE, Kind.OPERATION} for one in happened):
        words = "Only what people did is on record: what goes by itself is seen by the agent."
        lines += paragraph([words], width, look.dim)
    lines.append(_columns(look))
    for one in happened[:MOST]:
        lines += _happening(one, look, width)
    left = len(happened) - MOST
    if left > 0:
        lines.append(styled(f" and {left} more: fragrance changes", look.dim))
    for line in lines:
        line.truncate(width, overflow="ellipsis")
    return lines


def _columns(look: Look) -> Text:
    line = put(styled(" "), "UTC", 10, look.dim)
    return put(line, "", 2).append("what happened, to what, by whom", look.dim)


def _happening(one: Happening, look: Look, width: int) -> list[Text]:
    done = one.kind in {Kind.CHANGE, Kind.OPERATION}
    style = look.accent if done else look.text
    lines = []
    actor = f" · by {clean(one.actor, 60)}" if one.actor else ""
    for number, text in enumerate(wrap(clean(one.words, 400) + actor, width - 15)[:3]):
        line = put(styled(" "), "" if number else f"{one.at:%H:%M:%S}", 10, look.dim)
        mark = "" if number else "▲" if one.grave else "▶" if done else ""
        put(line, mark, 2, look.warn if one.grave else look.accent)
        lines.append(line.append(text, style))
    return lines
