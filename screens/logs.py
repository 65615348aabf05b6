"""Logs: what does it say?  Merged, followed, filtered, searched, saved."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

from rich.text import Text
from textual.app import ComposeResult
from textual.timer import Timer

from console.domain.logs import LEVELS, Entry, parse_pattern
from console.modes import make_directory, open_private
from screens.actions import Action, bindings_on
from screens.dialogs.base import Field
from screens.dialogs.pick import PickDialog
from screens.feeds import MOVING_SECONDS, LogFeed, request
from screens.log_lines import DrawnLines, file_lines
from screens.log_moves import LogMoves
from screens.log_ring import LogRing
from screens.messages import (
    LogLinesArrived,
    LogsCaughtUp,
    LogsEnded,
    LogsSaved,
    RequestFailed,
)
from screens.preferences import Kept
from screens.rendering import between, clean, clock_time, plural, styled
from screens.service_rows import WIDE
from screens.widgets.footer import Hint
from screens.widgets.lines import Lines
from screens.widgets.log_view import LogView

#: How often new lines are drawn at most, seconds; more seldom on a slow line.
_DRAW_SECONDS = 0.1
#: Lines taken in at once: more would keep a key waiting.
_TAKEN_LINES = 4_000
_REST_SECONDS = 0.01
_CONTEXTS = (0, 2, 5, 10)


class LogsScreen(LogMoves):
    """The log lines of any services, merged in time order."""

    NAME = "logs"
    TITLE = "Logs"
    BINDINGS = bindings_on("logs")

    def __init__(self) -> None:
        super().__init__()
        self._ring = LogRing()
        self._feed: LogFeed | None = None
        self._paused = False
        self._unseen = 0
        self._ended: tuple[str, ...] | None = None
        self._heard = False
        self._loading = True
        self._drawing = False
        self._behind = False
        self._drawn_at = 0.0
        self._drawn = DrawnLines()
        self._of: datetime | None = None
        self._settling: Timer | None = None

    def body(self) -> ComposeResult:
        """Put a line about the filter over the log."""
        yield Lines(id="status")
        yield LogView(self._line, id="log")
        prompt = Field("", id="prompt")
        prompt.display = False
        yield prompt

    # The feed ----------------------------------------------------------------

    def entered(self) -> None:
        """Begin to follow; the last lines come again, so none is missing."""
        if self._of != self.then:
            self.asked, self._of = self.usual(), self.then
        self.reload()

    def moved(self) -> None:
        """Read what had been said by that moment, once it stays there."""
        self.left()
        self.book.clear()
        if self._settling is not None:
            self._settling.stop()
        self._settling = self.set_timer(MOVING_SECONDS, self.entered)

    def left(self) -> None:
        """Stop reading."""
        if self._settling is not None:
            self._settling.stop()
        if self._feed is not None:
            self._feed.stop()

    def reload(self) -> None:
        """Read what is asked for anew."""
        self.left()
        self.book.clear()
        self._drawn = DrawnLines()
        self._ring = LogRing()
        self._ring.patient = True
        self._loading, self._heard, self._ended = True, False, None
        self._unseen, self._paused, self._found = 0, False, None
        wanted = replace(self.asked, services=tuple(sorted(self.book.filter.services)))
        self._feed = LogFeed(self, self.engine, self._ring, wanted)
        self._feed.start()
        self._show(to_end=True)

    def on_log_lines_arrived(self, message: LogLinesArrived) -> None:
        """Draw what came, at most a few times a second."""
        message.stop()
        if not self._drawing:
            self._drawing = True
            self.set_timer(self._pause, self._take)

    @property
    def _pause(self) -> float:
        """Seconds between two draws."""
        return self.console_app.terminal.pause(_DRAW_SECONDS)

    def on_logs_caught_up(self, message: LogsCaughtUp) -> None:
        """Go to the time that was asked for; from now on what comes too fast is dropped."""
        message.stop()
        self._loading, self._ended = False, None
        self._take()
        self._ring.patient = self._paused
        goal, self._goal = self._goal, None
        if goal is not None:
            self._go_to(goal)
        self.redraw()

    def _take(self) -> None:
        self._drawing = False
        if self._paused:
            self.redraw()  # they wait in the ring
            return
        lines, missed = self._ring.take(None if self._goal is not None else _TAKEN_LINES)
        self._behind = len(self._ring) > 0
        if self._behind and not self._drawing:
            # The rest after the keys that were pressed meanwhile.
            self._drawing = True
            self.set_timer(_REST_SECONDS, self._take)
        if lines:
            self._heard, self._ended = True, None
        follow = self.log_view.at_end
        added, fallen = self.book.add(lines, missed)
        if self._found is not None:
            self._found = self._found - fallen if self._found >= fallen else None
        if not follow:
            self._unseen += added
        clock = self.engine.clock.monotonic()
        due = not self._behind or not 0 <= clock - self._drawn_at < self._pause
        self._drawn_at = clock if due else self._drawn_at
        self._show(to_end=follow, fallen=fallen, draw=due)

    def on_logs_ended(self, message: LogsEnded) -> None:
        """Say that reading broke off, and why; it is tried again."""
        message.stop()
        self._take()
        self._ended = message.lines
        self._heard = True
        self.redraw()

    # Drawing -----------------------------------------------------------------

    def _show(self, *, to_end: bool, fallen: int = 0, draw: bool = True) -> None:
        if to_end:
            self._unseen = 0
        if self.query(LogView):  # not there yet while the screen is being opened
            count = len(self.book.visible)
            self.log_view.know_count(count, to_end=to_end, fallen=fallen)
            if draw:
                self.redraw()

    def _line(self, index: int) -> tuple[Text, int]:
        if index >= len(self.book.visible):
            return Text(), 0
        entry, wanted = self.book.visible[index], self.book.filter
        drawn = replace(
            self.style,
            wide=self.app.size.width >= WIDE,
            marked=bool(wanted.context and wanted.filters),
        )
        line, columns = self._drawn.line(entry, self.look, drawn)
        if index == self._found:
            line = line.copy()
            line.stylize_before(self.look.selected)
        return line, columns

    def draw(self) -> None:
        """Draw the lines in sight, and the one about filter and state."""
        self.log_view.layout_rows()
        words = self.book.filter.words()
        if self.style.raw:
            words += " · raw"
        left = styled(f" {clean(words, 300)}", self.look.strong)
        left.append(f" · {self._times()}", self.look.dim)
        right = styled(self._state() + " ", self.look.warn if self._loud() else self.look.dim)
        width = self.app.size.width
        right.truncate(width * 3 // 4, overflow="ellipsis")
        self.query_one("#status", Lines).show([between(left, right, width)])

    def _times(self) -> str:
        """Say in which zone times are, and of which day if it is not today."""
        zone = "UTC" if self.zone is not None else "local"
        entries, first = self.book.visible, self.log_view.first
        at = entries[first].line.at if first < len(entries) else None
        if at is None or at.astimezone(self.zone).date() == self.now.astimezone(self.zone).date():
            return zone
        return f"{at.astimezone(self.zone):%d %b} {zone}"

    def _loud(self) -> bool:
        return bool(self._paused or self._ended or self.book.missed or self.past)

    def _state(self) -> str:
        notice = self.book.notice()
        parts = [notice] if notice else []
        if self._ended:
            parts.append(f"logs ended: {clean(self._ended[0], 120)}")
        elif self.past and not self._loading:
            parts.append(f"until {self._until()}, not following: {'.' if self.then else 'G'}")
        elif self._ended is not None and not self.past:
            parts.append("the log ended")
        elif not self._heard:
            parts.append("reading…" if self._loading else "nothing said yet")
        if self._paused:
            waiting = len(self._ring)
            full = " and more in the logs" if self._ring.full else ""
            parts.append("PAUSED" + (f", {waiting:,} wait{full}" if waiting else ""))
        elif self._unseen and not self.log_view.at_end:
            parts.append(f"{self._unseen:,} new below: G")
        elif self._ended is None and not self.past:
            parts.append("catching up" if self._behind else "following")
        if self._heard and not self.book.visible:
            parts.append("no line matches" if len(self.book) else "no line")
        return " · ".join(parts)

    def _until(self) -> str:
        until = self.asked.until or self.now
        return clock_time(until.astimezone(self.zone), self.now.astimezone(self.zone))

    def hints(self) -> tuple[Hint, ...]:
        """Return the footer; while something is typed it is about that."""
        if self._prompt:
            return (Hint("enter", "take"), Hint("esc", "leave"))
        return super().hints()

    def refuses(self, wanted: Action) -> str | None:
        """Say what has to be found or kept first."""
        if wanted.id in {"find_next", "find_previous"} and not self.style.find:
            return "nothing was searched for; f finds"
        if wanted.id == "save" and not self.book.visible:
            return "there is no line to save"
        if wanted.id == "pause" and self.past:
            way = "G follows again" if self.then is None else ". goes back to now"
            return f"nothing new comes: this is the past; {way}"
        if wanted.id == "context" and not self.book.filter.filters:
            return "nothing is left out; / or e leave lines out"
        return None

    # Filtering ---------------------------------------------------------------

    def only(self, service: str) -> None:
        """Show one service alone."""
        self.refilter(services=frozenset({service}))

    def refilter(self, **changes: object) -> None:
        """Change the filter; other services are read anew."""
        services = self.book.filter.services
        self.book.refilter(**changes)
        self._found = None
        if self.book.filter.services != services and self._feed is not None:
            self.reload()
        self._show(to_end=True)

    def do_errors(self) -> None:
        """Show errors only, or everything again."""
        self.refilter(level="debug" if self.book.filter.level == "error" else "error")

    def do_level(self) -> None:
        """Raise the lowest level shown, and begin again after the highest."""
        here = LEVELS.index(self.book.filter.level)
        self.refilter(level=LEVELS[(here + 1) % len(LEVELS)])

    def do_context(self) -> None:
        """Show more lines around each wanted one, and none again after the most."""
        here = _CONTEXTS.index(self.book.filter.context)
        self.refilter(context=_CONTEXTS[(here + 1) % len(_CONTEXTS)])

    def do_pick_services(self) -> None:
        """Let services be ticked, or single replicas."""
        snapshot = self.view.snapshot
        names: list[str] = []
        for service in snapshot.services if snapshot else ():
            names.append(service.name)
            several = [replica.name for replica in service.replicas if replica.name != service.name]
            names += several if len(service.replicas) > 1 else []
        picked = sorted(self.book.filter.services)
        self.app.push_screen(PickDialog("Logs of", names, picked), self._services_picked)

    def _services_picked(self, names: tuple[str, ...] | None) -> None:
        if names is not None:
            self.refilter(services=frozenset(names))

    # Holding still -----------------------------------------------------------

    def do_pause(self) -> None:
        """Hold the view still, or go on at the newest line; what comes meanwhile waits."""
        self._paused = not self._paused
        if self._paused:
            self._ring.patient = True
        else:
            # Full, it stays patient until what waits in the logs is read too.
            self._ring.patient = self._ring.full
            self.log_view.at_end = True
            self._take()

    def do_bottom(self) -> None:
        """Scroll to the newest line and follow again."""
        if self.past:
            self.asked = self.usual()
            self.reload()
        self._show(to_end=True)

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
            "context": chosen.context,
            "local": self.zone is None,
            "raw": self.style.raw,
        }

    def restore(self, kept: Kept) -> None:
        """Filter as the last time; the line over the log says how."""
        level, pattern, context = kept["level"], kept["pattern"], kept.get("context", 0)
        if level not in LEVELS or context not in _CONTEXTS:
            raise ValueError(level)
        zone = None if kept.get("local") is True else UTC
        self.style = replace(self.style, zone=zone, raw=kept.get("raw") is True)
        self.book.refilter(
            services=frozenset(map(str, kept["services"])),
            level=level,
            pattern=parse_pattern(pattern) if pattern else None,
            context=context,
        )

    def on_logs_saved(self, message: LogsSaved) -> None:
        """Say where they are."""
        self.console_app.say(f"saved {plural(message.count, 'line')} to {message.path}")

    def on_request_failed(self, message: RequestFailed) -> None:
        """Say why they could not be saved."""
        self.console_app.say(f"not saved: {message.error}")


def save_lines(entries: tuple[Entry, ...], directory: Path, now: datetime) -> LogsSaved:
    """
    Write *entries* to a new file that only its owner can read.

    Args:
        entries: What to save.
        directory: Made when it is missing.
        now: Names the file.
    """
    make_directory(directory)
    for number in count(1):
        more = f"-{number}" if number > 1 else ""
        path = directory / f"logs-{now:%Y%m%d-%H%M%S}{more}.txt"
        try:
            descriptor = open_private(path)
        except FileExistsError:
            continue
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.writelines(file_lines(entries))
        break
    return LogsSaved(str(path), len(entries))
