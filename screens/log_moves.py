"""Moving through a log: by lines, to a find, to a clock time, further back."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, tzinfo

from textual.widgets import Input

from console.domain.duration import parse_moment
from console.domain.logs import LogRequest, parse_pattern
from screens.dialogs.base import Field
from screens.log_lines import KEPT_LINES, LineStyle, LogBook, text_of
from screens.screen import ConsoleScreen
from screens.widgets.log_view import LogView

#: How much of a time long past is read around it.
BEFORE_MOMENT = timedelta(minutes=5)
AFTER_MOMENT = timedelta(minutes=10)
FURTHER = timedelta(hours=1)

_LABELS = {
    "filter": "keep lines matching",
    "find": "find",
    "begin": "begin: 1h, 14:30, 500",
    "jump": "go to: 14:30, 1h ago: 1h",
}


class LogMoves(ConsoleScreen):
    """What of the log is read, and where in it one is; to be inherited from."""

    def __init__(self) -> None:
        super().__init__()
        self.book = LogBook()
        self.style = LineStyle(zone=UTC)
        self.asked = LogRequest(tail=200, follow=True)
        self._found: int | None = None
        self._prompt = ""
        #: Said then or later is to be the first line in sight once it is read.
        self._goal: datetime | None = None

    # For the screen to fill in -----------------------------------------------

    def reload(self) -> None:
        """Read :attr:`asked` anew."""

    def refilter(self, **changes: object) -> None:
        """Change the filter."""

    def usual(self) -> LogRequest:
        """Return what is read where nothing else is asked for: the end, or up to that moment."""
        if self.then is None:
            return LogRequest(tail=200, follow=True)
        return LogRequest(tail=KEPT_LINES, since=self.then - BEFORE_MOMENT, until=self.then)

    @property
    def log_view(self) -> LogView:
        """The lines of the log."""
        return self.query_one(LogView)

    @property
    def past(self) -> bool:
        """Whether a time long past is read, so that nothing new comes."""
        return self.asked.until is not None

    @property
    def zone(self) -> tzinfo | None:
        """Of what is drawn and typed; None for the local one."""
        return self.style.zone

    # Typing ------------------------------------------------------------------

    def do_filter(self) -> None:
        """Ask for a pattern."""
        pattern = self.book.filter.pattern
        self._ask("filter", pattern.pattern if pattern else "")

    def do_find(self) -> None:
        """Ask for a text."""
        self._ask("find", self.style.find)

    def do_begin(self) -> None:
        """Ask from when on lines are wanted."""
        self._ask("begin", "")

    def do_jump(self) -> None:
        """Ask for a time to go to."""
        self._ask("jump", "")

    def _ask(self, what: str, value: str) -> None:
        self._prompt = what
        field = self.query_one(Field)
        field.rename(_LABELS[what])
        field.display = True
        entry = self.query_one("#prompt", Input)
        entry.value = value
        # Not entry.focus(), which waits a turn: keys typed right after belong here.
        self.set_focus(entry)
        self.redraw()

    def do_back(self) -> None:
        """Leave the prompt without taking what was typed, or the screen."""
        if self._prompt:
            self._close_prompt()
        else:
            self.console_app.do_back()

    def _close_prompt(self) -> None:
        self._prompt = ""
        self.query_one(Field).display = False
        self.set_focus(None)
        self.redraw()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Take what was typed."""
        event.stop()
        what, typed = self._prompt, event.value
        self._close_prompt()
        take: dict[str, Callable[[str], None]] = {
            "find": self._take_find,
            "filter": self._take_filter,
            "begin": self._take_begin,
            "jump": self._take_jump,
        }
        try:
            take[what](typed)
        except re.error as error:
            self.console_app.say(f"not a pattern: {error}")
        except ValueError as error:
            self.console_app.say(str(error))

    def _take_filter(self, typed: str) -> None:
        self.refilter(pattern=parse_pattern(typed) if typed else None)

    def _take_find(self, typed: str) -> None:
        self.style = replace(self.style, find=typed)
        self._found = None
        if typed:
            self._seek(-1, start=len(self.book.visible))
        self.log_view.layout_rows()

    def _take_begin(self, typed: str) -> None:
        if typed.strip().isdecimal():
            lines = max(1, min(KEPT_LINES, int(typed)))
            self.asked = LogRequest(tail=lines, follow=True)
        elif typed:
            since = parse_moment(typed, self.now, self.zone)
            self.asked = LogRequest(tail=KEPT_LINES, since=since, follow=True)
        else:
            return
        self.reload()

    def _take_jump(self, typed: str) -> None:
        moment = parse_moment(typed, self.now, self.zone)
        oldest, newest = self.book.oldest, self.book.newest
        if oldest is not None and newest is not None and oldest <= moment <= newest:
            self._go_to(moment)
            return
        self._goal = moment
        self.asked = LogRequest(
            tail=KEPT_LINES, since=moment - BEFORE_MOMENT, until=moment + AFTER_MOMENT
        )
        self.reload()

    def _go_to(self, moment: datetime) -> None:
        place = self.book.place_of(moment)
        if place is None:
            self.console_app.say("no line was said then or later")
            return
        self._found = place
        self.log_view.see(place, at_top=True)

    def do_older(self) -> None:
        """Read an hour more of what was said before; what is in sight stays."""
        oldest = self.book.oldest or self.now
        entries = self.book.visible
        first = self.log_view.first
        self._goal = entries[first].line.at if first < len(entries) else None
        self.asked = replace(self.asked, since=oldest - FURTHER, tail=KEPT_LINES)
        self.reload()

    # Finding -----------------------------------------------------------------

    def do_find_next(self) -> None:
        """Go to the next find."""
        self._seek(1, start=self._here())

    def do_find_previous(self) -> None:
        """Go to the previous find."""
        self._seek(-1, start=self._here())

    def _here(self) -> int:
        return self.log_view.first if self._found is None else self._found

    def _seek(self, step: int, *, start: int) -> None:
        entries = list(self.book.visible)
        wanted = self.style.find.lower()
        index = start + step
        while 0 <= index < len(entries):
            if wanted in text_of(entries[index], raw=self.style.raw).lower():
                self._found = index
                self.log_view.see(index)
                return
            index += step
        where = "below" if step > 0 else "above"
        self.console_app.say(f"“{self.style.find}” is not found {where}")

    # Moving ------------------------------------------------------------------

    def do_up(self) -> None:
        """Scroll a line up."""
        self.log_view.move(-1)

    def do_down(self) -> None:
        """Scroll a line down."""
        self.log_view.move(1)

    def do_page_up(self) -> None:
        """Scroll a page up."""
        self.log_view.move(-self.log_view.size.height)

    def do_page_down(self) -> None:
        """Scroll a page down."""
        self.log_view.move(self.log_view.size.height)

    def do_top(self) -> None:
        """Scroll to the oldest line."""
        self.log_view.see(0, at_top=True)

    def do_left(self) -> None:
        """Look further to the left."""
        self.log_view.shift(-self.app.size.width // 2)

    def do_right(self) -> None:
        """Look further to the right."""
        self.log_view.shift(self.app.size.width // 2)

    # How lines are drawn -----------------------------------------------------

    def do_wrap(self) -> None:
        """Break long lines, or look at them sideways."""
        self.log_view.toggle_wrap()

    def do_raw(self) -> None:
        """Show lines as they were written, or as message and key=value."""
        self._restyle(raw=not self.style.raw)

    def do_zone(self) -> None:
        """Show times in UTC or local."""
        self._restyle(zone=None if self.style.zone is not None else UTC)

    def _restyle(self, **changes: object) -> None:
        self.style = replace(self.style, **changes)  # type: ignore[arg-type]  # its own fields
        self.log_view.layout_rows()
