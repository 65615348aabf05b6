"""Logs: what does it say?  Followed, filtered, searched, saved."""

from __future__ import annotations

import os
import re
from collections import deque
from datetime import datetime
from pathlib import Path

from rich.text import Text
from textual.app import ComposeResult
from textual.widgets import Input

from console.ports import LogRequest
from screens.actions import Action, bindings_on
from screens.dialogs.base import Field
from screens.dialogs.pick import PickDialog
from screens.feeds import LogFeed, request
from screens.log_lines import LEVELS, LogBook, Shown, file_lines, log_line
from screens.log_ring import LogRing
from screens.messages import LogLinesArrived, LogsEnded, LogsSaved, RequestFailed
from screens.preferences import Kept
from screens.rendering import between, clean, styled
from screens.screen import ConsoleScreen
from screens.widgets.footer import Hint
from screens.widgets.lines import Lines
from screens.widgets.log_view import LogView

#: How often new lines are drawn at most, seconds; more seldom on a slow line.
_DRAW_SECONDS = 0.1


class LogsScreen(ConsoleScreen):
    """The log lines of any services, merged in time order."""

    NAME = "logs"
    TITLE = "Logs"
    BINDINGS = bindings_on("logs")

    def __init__(self) -> None:
        super().__init__()
        self.book = LogBook()
        self._ring = LogRing()
        self._feed: LogFeed | None = None
        self._paused = False
        self._unseen = 0
        self._find = ""
        self._found: int | None = None
        self._ended: tuple[str, ...] | None = None
        self._heard = False
        self._prompt = ""
        self._drawing = False

    def body(self) -> ComposeResult:
        """Put a line about the filter over the log."""
        yield Lines(id="status")
        yield LogView(self._line, id="log")
        prompt = Field("", id="prompt")
        prompt.display = False
        yield prompt

    @property
    def log_view(self) -> LogView:
        """The lines of the log."""
        return self.query_one(LogView)

    # The feed ----------------------------------------------------------------

    def entered(self) -> None:
        """Begin to follow; the last lines come again, so none is missing."""
        self.book.clear()
        self._ring = LogRing()
        self._heard, self._ended, self._unseen = False, None, 0
        self._feed = LogFeed(self, self.engine, self._ring)
        self._feed.request = LogRequest(
            services=tuple(sorted(self.book.filter.services)), tail=200, follow=True
        )
        self._feed.start()

    def left(self) -> None:
        """Stop following."""
        if self._feed is not None:
            self._feed.stop()

    def on_log_lines_arrived(self, message: LogLinesArrived) -> None:
        """Draw what came, at most a few times a second."""
        message.stop()
        if not self._drawing:
            self._drawing = True
            self.set_timer(self.console_app.terminal.pause(_DRAW_SECONDS), self._take)

    def _take(self) -> None:
        self._drawing = False
        self._heard = True
        follow = not self._paused and self.log_view.at_end
        kept = self.book.forgotten
        lines, missed = self._ring.take()
        added = self.book.add(lines, missed)
        if self._paused or not follow:
            self._unseen += added
            # Hold what is read in place while older lines fall out above it.
            if self.book.forgotten != kept:
                self.log_view.scroll_relative(y=kept - self.book.forgotten, animate=False)
        self._show(to_end=follow)

    def on_logs_ended(self, message: LogsEnded) -> None:
        """Say that following ended, and why."""
        message.stop()
        self._ended = message.lines
        self._heard = True
        self.redraw()

    # Drawing -----------------------------------------------------------------

    def _show(self, *, to_end: bool) -> None:
        if to_end:
            self._unseen = 0
        if self.query(LogView):  # not there yet while the screen is being opened
            self.log_view.show_count(len(self.book.visible), to_end=to_end)
            self.redraw()

    def _line(self, index: int) -> Text:
        if index >= len(self.book.visible):
            return Text()
        wide = self.app.size.width >= 120
        line = log_line(self.book.visible[index], self.look, self._find, wide=wide)
        if index == self._found:
            line.stylize_before(self.look.selected)
        return line

    def draw(self) -> None:
        """Draw the line about filter and state."""
        left = styled(f" {clean(self.book.filter.words(), 300)}", self.look.strong)
        right = styled(self._state() + " ", self.look.warn if self._loud() else self.look.dim)
        width = self.app.size.width
        right.truncate(width * 3 // 4, overflow="ellipsis")
        self.query_one("#status", Lines).show([between(left, right, width)])

    def _loud(self) -> bool:
        return bool(self._paused or self._ended or self.book.missed)

    def _state(self) -> str:
        notice = self.book.notice()
        parts = [notice] if notice else []
        if self._ended:
            parts.append(f"logs ended: {clean(self._ended[0], 120)}")
        elif self._ended is not None:
            parts.append("the log ended")
        elif not self._heard:
            parts.append("nothing said yet")
        if self._paused:
            parts.append("PAUSED" + (f", {self._unseen} new" if self._unseen else ""))
        elif self._unseen and not self.log_view.at_end:
            parts.append(f"{self._unseen} new below: G")
        elif self._ended is None:
            parts.append("following")
        if self._heard and not self.book.visible:
            parts.append("no line matches")
        return " · ".join(parts)

    def hints(self) -> tuple[Hint, ...]:
        """Return the footer; while something is typed it is about that."""
        if self._prompt:
            return (Hint("enter", "take"), Hint("esc", "leave"))
        return super().hints()

    def refuses(self, wanted: Action) -> str | None:
        """Say what has to be found or kept first."""
        if wanted.id in {"find_next", "find_previous"} and not self._find:
            return "nothing was searched for; f finds"
        if wanted.id == "save" and not self.book.visible:
            return "there is no line to save"
        return None

    # Filtering ---------------------------------------------------------------

    def only(self, service: str) -> None:
        """Show one service alone."""
        self._refilter(services=frozenset({service}))

    def _refilter(self, **changes: object) -> None:
        services = self.book.filter.services
        self.book.refilter(**changes)
        self._found = None
        if self.book.filter.services != services and self._feed is not None:
            self.left()
            self.entered()
        self._show(to_end=True)

    def do_errors(self) -> None:
        """Show errors only, or everything again."""
        level = "debug" if self.book.filter.level == "error" else "error"
        self._refilter(level=level)

    def do_level(self) -> None:
        """Raise the lowest level shown, and begin again after the highest."""
        here = LEVELS.index(self.book.filter.level)
        self._refilter(level=LEVELS[(here + 1) % len(LEVELS)])

    def do_pick_services(self) -> None:
        """Let services be ticked."""
        snapshot = self.view.snapshot
        names = [service.name for service in snapshot.services] if snapshot else []
        picked = sorted(self.book.filter.services)
        self.app.push_screen(PickDialog("Logs of", names, picked), self._services_picked)

    def _services_picked(self, names: tuple[str, ...] | None) -> None:
        if names is not None:
            self._refilter(services=frozenset(names))

    # Typing ------------------------------------------------------------------

    def do_filter(self) -> None:
        """Ask for a pattern."""
        pattern = self.book.filter.pattern
        self._ask("filter", pattern.pattern if pattern else "")

    def do_find(self) -> None:
        """Ask for a text."""
        self._ask("find", self._find)

    def _ask(self, what: str, value: str) -> None:
        self._prompt = what
        field = self.query_one(Field)
        field.rename("keep lines matching" if what == "filter" else "find")
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
        if what == "find":
            self._find = typed
            self._found = None
            if typed:
                self._seek(-1, start=len(self.book.visible))
            self.log_view.refresh()
            return
        try:
            pattern = re.compile(typed, re.IGNORECASE) if typed else None
        except re.error as error:
            self.console_app.say(f"not a pattern: {error}")
            return
        self._refilter(pattern=pattern)

    def do_find_next(self) -> None:
        """Go to the next find."""
        self._seek(1, start=self._here())

    def do_find_previous(self) -> None:
        """Go to the previous find."""
        self._seek(-1, start=self._here())

    def _here(self) -> int:
        return self.log_view.first if self._found is None else self._found

    def _seek(self, step: int, *, start: int) -> None:
        entries: deque[Shown] = self.book.visible
        wanted = self._find.lower()
        index = start + step
        while 0 <= index < len(entries):
            if wanted in entries[index].text.lower():
                self._found = index
                self.log_view.see(index)
                self.log_view.refresh()
                return
            index += step
        where = "below" if step > 0 else "above"
        self.console_app.say(f"“{self._find}” is not found {where}")

    # Moving ------------------------------------------------------------------

    def do_pause(self) -> None:
        """Hold the view still, or go on at the newest line."""
        self._paused = not self._paused
        if not self._paused:
            self._show(to_end=True)

    def do_up(self) -> None:
        """Scroll a line up."""
        self.log_view.scroll_relative(y=-1, animate=False)

    def do_down(self) -> None:
        """Scroll a line down."""
        self.log_view.scroll_relative(y=1, animate=False)

    def do_page_up(self) -> None:
        """Scroll a page up."""
        self.log_view.scroll_relative(y=-self.log_view.size.height, animate=False)

    def do_page_down(self) -> None:
        """Scroll a page down."""
        self.log_view.scroll_relative(y=self.log_view.size.height, animate=False)

    def do_top(self) -> None:
        """Scroll to the oldest line."""
        self.log_view.scroll_to(y=0, animate=False)

    def do_bottom(self) -> None:
        """Scroll to the newest line and follow again."""
        self._show(to_end=True)

    def do_left(self) -> None:
        """Look further to the left."""
        self.log_view.shift(-self.app.size.width // 2)

    def do_right(self) -> None:
        """Look further to the right."""
        self.log_view.shift(self.app.size.width // 2)

    # Out of the console ------------------------------------------------------

    def do_copy(self) -> None:
        """Copy what is in sight by OSC 52."""
        self.console_app.copy(self.log_view.plain)

    def do_save(self) -> None:
        """Save the lines that the filter shows."""
        entries = tuple(self.book.visible)
        directory = self.engine.settings.state / "saved-logs"
        request(self, "save", lambda: save_lines(entries, directory, self.now))

    # Until the next time -----------------------------------------------------

    def kept(self) -> Kept:
        """Keep the filter."""
        chosen = self.book.filter
        return {
            "services": sorted(chosen.services),
            "level": chosen.level,
            "pattern": chosen.pattern.pattern if chosen.pattern else "",
        }

    def restore(self, kept: Kept) -> None:
        """Filter as the last time; the line over the log says how."""
        level, pattern = kept["level"], kept["pattern"]
        if level not in LEVELS:
            raise ValueError(level)
        self.book.refilter(
            services=frozenset(map(str, kept["services"])),
            level=level,
            pattern=re.compile(pattern, re.IGNORECASE) if pattern else None,
        )

    def on_logs_saved(self, message: LogsSaved) -> None:
        """Say where they are."""
        self.console_app.say(f"saved {message.count:,} lines to {message.path}")

    def on_request_failed(self, message: RequestFailed) -> None:
        """Say why they could not be saved."""
        self.console_app.say(f"not saved: {message.error}")


def save_lines(entries: tuple[Shown, ...], directory: Path, now: datetime) -> LogsSaved:
    """
    Write *entries* to a new file that only its owner can read.

    Args:
        entries: What to save.
        directory: Made when it is missing.
        now: Names the file.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = directory / f"logs-{now:%Y%m%d-%H%M%S}.txt"
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:  # noqa: PTH123 - mode from the start
        file.writelines(file_lines(entries))
    return LogsSaved(str(path), len(entries))
