"""The app: one view of the stack, the screens that draw it, and what works anywhere."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import re
import signal
import time
from collections import deque
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from textual.app import App
from textual.events import Event, Key
from textual.filter import LineFilter

from console import capabilities
from console.domain.operations import Operation
from console.domain.snapshot import Snapshot
from screens.actions import action
from screens.ascii import AsciiOnly
from screens.coarse import coarse
from screens.comforts import Comforts
from screens.dialogs.base import Dialog
from screens.feeds import SNAPSHOT_INTERVAL_SECONDS, SnapshotFeed
from screens.history_feeds import TrendFeed
from screens.look import THEMES, Look, WithoutColour, look_of, textual_theme
from screens.messages import (
    PictureRecalled,
    RequestDone,
    SnapshotFailed,
    SnapshotFetched,
    TrendsRead,
)
from screens.operate import Operates
from screens.preferences import Preferences
from screens.rewinding import Rewinds
from screens.screen import ConsoleScreen
from screens.table import SCREENS, screen_entry
from screens.terminal import Terminal
from screens.view import View

if TYPE_CHECKING:
    from collections.abc import Sequence

    from console.engine import Engine

_CAPABILITIES = (
    "StartsReplicas",
    "RemovesReplica",
    "RestartsReplica",
    "HasMaintenance",
    "SetsLimits",
    "HasSettings",
    "HasLogFiles",
    "StartsStack",
)

#: Drawing by itself is followed by a rest so many times as long as it took.
REST = 3.0
#: How often ages and clocks are looked at; what did not change is not written.
TICK_SECONDS = 1.0


class ConsoleApp(Comforts, Operates, Rewinds, App[None]):
    """
    The console on one stack.

    Args:
        engine: Observes and operates; called in feeds only.
        terminal: What to allow for when drawing.
        preferences: What this user chose before; None keeps nothing.
    """

    CSS_PATH = "app.tcss"
    TITLE = "Fragrance AI"
    ENABLE_COMMAND_PALETTE = False
    AUTO_FOCUS = ""

    def __init__(
        self,
        engine: Engine,
        terminal: Terminal | None = None,
        preferences: Preferences | None = None,
    ) -> None:
        self.terminal = terminal or Terminal()
        self.preferences = preferences or Preferences()
        self._ascii: list[LineFilter] = [] if self.terminal.unicode else [AsciiOnly()]
        super().__init__()
        self.engine = engine
        self.words = self.preferences.complaint
        self.present = View(
            environment=engine.settings.environment,
            production=engine.settings.production,
            operator=str(engine.actor),
            capabilities=frozenset(
                name
                for name in _CAPABILITIES
                if isinstance(engine.runtime, getattr(capabilities, name))
            ),
            low_bandwidth=self.terminal.low_bandwidth,
        )
        for name in THEMES:
            self.register_theme(textual_theme(name))
        wishes = (self.terminal.theme, self.preferences.theme)
        chosen = next((wish for wish in wishes if wish in THEMES), None) or THEMES[0]
        self.look_name = chosen if self.terminal.colour else "no-colour"
        self.look: Look = look_of(self.look_name)
        self.theme = self.look_name
        self.animation_level = "none"
        self._feed = SnapshotFeed(self, engine, self.terminal.pause(SNAPSHOT_INTERVAL_SECONDS))
        self._rest_until = 0.0
        self._redraw_waits = False
        self._trends = TrendFeed(self, engine)
        #: Name of the service or replica that was chosen last.
        self.chosen: str | None = None
        self._made: dict[str, ConsoleScreen] = {}
        self._aimed: deque[tuple[Key, tuple[object, object]]] = deque(maxlen=64)

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Return what every line passes on its way to the terminal."""
        colour = [] if self.look_name != "no-colour" else [WithoutColour()]
        return [*super().get_line_filters(), *colour, *self._ascii]

    # Life --------------------------------------------------------------------

    def on_mount(self) -> None:
        """Show the first screen, then begin to read."""
        self._end_on_signals()
        self.push_screen(self._screen(SCREENS[0].name), callback=None)
        self.call_after_refresh(self._begin)

    def _begin(self) -> None:
        self._trends.start()
        self._feed.start()
        self.set_interval(max(TICK_SECONDS, self.terminal.pause(0)), self._redraw_calmly)
        current = self.screen
        if isinstance(current, ConsoleScreen):
            current.entered()
        if not gc.isenabled():
            # What is there now stays: without it a collection is too short to hold up a key.
            gc.freeze()
            gc.enable()

    def _end_on_signals(self) -> None:
        """Leave in good order on SIGTERM and SIGHUP, so that the terminal is given back."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP):
            # Only the main thread may; a test may run the app elsewhere.
            with contextlib.suppress(RuntimeError, ValueError, NotImplementedError):
                loop.add_signal_handler(number, partial(self.exit, return_code=128 + number))

    async def on_unmount(self) -> None:
        """Stop reading; keep what was chosen."""
        self._feed.stop()
        self._trends.stop()
        for name, screen in self._made.items():
            self.preferences.screens[name] = screen.kept()
        # Whoever leaves is not held up by a comfort that could not be kept.
        with contextlib.suppress(OSError):
            await asyncio.to_thread(self.preferences.save)
        await asyncio.to_thread(self.engine.close)

    async def on_event(self, event: Event) -> None:
        """
        Give every key to what is in front when its turn comes.

        Keys that arrive together (a fast typist over a slow link) are aimed before
        the first of them has opened anything; each is aimed again if the front has
        changed since.  A dialog that has just opened swallows them.
        """
        if isinstance(event, Key):
            front = (self.screen, self.focused)
            if event.is_forwarded:
                aimed = next((a for e, a in self._aimed if e is event), front)
                if aimed != front:
                    event.stop()
                    event = Key(event.key, event.character)
            if not event.is_forwarded:
                if isinstance(self.screen, Dialog) and not self.screen.armed:
                    event.stop()
                    return
                self._aimed.append((event, front))
        await super().on_event(event)

    # News --------------------------------------------------------------------

    def on_picture_recalled(self, message: PictureRecalled) -> None:
        """Draw the agent's last picture until a present one comes."""
        if self.present.snapshot is None:
            snapshot = self.drawable(message.snapshot)
            seen = _seen(snapshot)
            self._know(replace(self.present, snapshot=snapshot, recalled=True, seen=seen))

    def on_snapshot_fetched(self, message: SnapshotFetched) -> None:
        """Draw the present picture."""
        snapshot = self.drawable(message.snapshot)
        self._know(
            replace(
                self.present,
                snapshot=snapshot,
                access=message.access,
                environment=snapshot.environment,
                recalled=False,
                seen=_seen(snapshot) or self.present.seen,
                failure=(),
                failing_since=None,
            )
        )

    def on_snapshot_failed(self, message: SnapshotFailed) -> None:
        """Say that reading fails; what is known stays drawn, with its age."""
        since = self.present.failing_since or self.engine.clock.now()
        self._know(replace(self.present, failure=message.lines, failing_since=since))

    def on_trends_read(self, message: TrendsRead) -> None:
        """Draw the trends."""
        self._know(replace(self.present, trends=message.trends))

    def on_request_done(self, message: RequestDone) -> None:
        """Say that something asked for is done."""
        self.say(message.words)

    def operation_ended(self, operation: Operation) -> None:
        """Know that an operation is over before the next picture says so."""
        self._know(replace(self.present, ended=operation))

    def drawable(self, snapshot: Snapshot) -> Snapshot:
        """Return a picture as this terminal is to see it."""
        return coarse(snapshot) if self.terminal.low_bandwidth else snapshot

    def _know(self, present: View) -> None:
        self.present = present
        self._redraw_calmly()

    def _redraw_calmly(self) -> None:
        """
        Draw what came by itself, but never so often that keys have to wait in line.

        However large the stack and however slow the machine, most of the time is left
        for the operator.
        """
        now = time.monotonic()
        if now < self._rest_until:
            if not self._redraw_waits:
                self._redraw_waits = True
                self.set_timer(self._rest_until - now, self._rested)
            return
        self.redraw()
        self._rest_until = now + (time.monotonic() - now) * (1 + REST)

    def _rested(self) -> None:
        self._redraw_waits = False
        self._redraw_calmly()

    def redraw(self) -> None:
        """Let every screen that can be seen draw; what did not change is not written."""
        # While the console closes there is no screen left, and a feed may still report.
        # Screens fill the terminal: what lies beneath is drawn when it comes to the front.
        for screen in reversed(self.screen_stack):
            if isinstance(screen, ConsoleScreen):
                screen.redraw()
                return
            if isinstance(screen, Dialog) and screen is self.screen_stack[-1]:
                screen.redraw()

    def say(self, words: str) -> None:
        """Show a sentence in the footer until the next key."""
        if words != self.words:
            self.words = words
            self.redraw()

    # Screens -----------------------------------------------------------------

    def _screen(self, name: str) -> ConsoleScreen:
        if not self.is_screen_installed(name):
            made = screen_entry(name).load()()
            self._restore(made)
            self.install_screen(made, name)
            self._made[name] = made
        screen = self.get_screen(name)
        if not isinstance(screen, ConsoleScreen):
            raise TypeError(f"{name} is not a screen of the console")
        return screen

    def _restore(self, screen: ConsoleScreen) -> None:
        kept = self.preferences.screens.get(screen.NAME)
        if not kept:
            return
        try:
            screen.restore(kept)
        except (LookupError, TypeError, ValueError, re.error):
            # Said in its footer: the screen is not there yet.
            self.words = f"what was kept of {screen.TITLE} cannot be used: defaults"

    def open_screen(self, name: str) -> ConsoleScreen:
        """Show the screen called *name*; the first of the table stays underneath."""
        wanted = self._screen(name)
        first = self._screen(SCREENS[0].name)
        if wanted is self.screen:
            return wanted
        while self.screen is not first and len(self.screen_stack) > 1:
            self._leave()
        if wanted is not first:
            self.push_screen(wanted)
            wanted.entered()
        return wanted

    def show_above(self, screen: ConsoleScreen) -> None:
        """Show a screen that is not in the table on top of the present one."""
        self.push_screen(screen)
        screen.call_after_refresh(screen.entered)

    def _leave(self) -> None:
        leaving = self.screen
        if isinstance(leaving, ConsoleScreen):
            leaving.left()
        self.pop_screen()

    # What works anywhere -----------------------------------------------------

    def act(self, action_id: str) -> None:
        """Do an action of the registry on the screen in front."""
        current = self.screen
        if isinstance(current, ConsoleScreen):
            current.act(action_id, action(action_id).keys.split(",")[0])

    def do_back(self) -> None:
        """Go back towards the first screen, and there from the past to now."""
        if self.screen is not self._screen(SCREENS[0].name):
            self._leave()
        elif self.rewound:
            self.do_to_now()

    def do_quit(self) -> None:
        """Leave the console; a running operation goes on in its runner."""
        self.exit(return_code=0)

    def do_help(self) -> None:
        """Show every key of this screen."""
        from screens.dialogs.help import HelpDialog

        if isinstance(self.screen, ConsoleScreen):
            self.push_screen(HelpDialog(self.screen))

    def do_palette(self) -> None:
        """Offer every action by name."""
        from screens.dialogs.palette import PaletteDialog

        if isinstance(self.screen, ConsoleScreen):
            self.push_screen(PaletteDialog(self.screen), self._palette_chosen)

    def _palette_chosen(self, action_id: str | None) -> None:
        if action_id is not None:
            self.call_after_refresh(self.act, action_id)

    def do_elevate(self) -> None:
        """Take or end write access."""
        from screens.dialogs.elevate import ElevateDialog

        if not self.view.production:
            self.say(f"write access needs no elevation in {self.view.environment}")
            return
        self.push_screen(ElevateDialog(), self._elevated)

    def _elevated(self, answer: object) -> None:
        if isinstance(answer, RequestDone):
            self.say(answer.words)


def _seen(snapshot: Snapshot) -> Snapshot | None:
    """Return *snapshot* if it tells what runs."""
    return snapshot if snapshot.source_is_fresh("runtime") else None
