"""What an operator does to the console itself: theme, mouse, copying, going to the shell."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from textual.app import App

from screens.clipboard import capped, osc52
from screens.feeds import request
from screens.look import THEMES, Look, look_of
from screens.messages import RequestDone
from screens.preferences import Preferences
from screens.terminal import Terminal
from screens.widgets.lines import Lines

if TYPE_CHECKING:
    #: Checked as part of the app it is mixed into.
    Base = App[None]
else:
    Base = object


class Comforts(Base):
    """To be mixed into the app: its own comforts, remembered for the user where they can be."""

    terminal: Terminal
    preferences: Preferences
    look_name: str
    look: Look

    if TYPE_CHECKING:

        def say(self, words: str) -> None:
            """See the app."""

    def do_next_theme(self) -> None:
        """Go on to the next theme."""
        following = THEMES[(THEMES.index(self.look_name) + 1) % len(THEMES)]
        if not self.terminal.colour:
            self.say("no colour: NO_COLOR is set")
            return
        self.look_name = following
        self.look = look_of(following)
        self.theme = following
        self.preferences.theme = following
        self._keep(f"theme {following}")

    def do_toggle_mouse(self) -> None:
        """Let the mouse select lines, or leave it to the terminal's own copying."""
        driver: Any = self._driver
        if not hasattr(driver, "_enable_mouse_support"):
            self.say("this terminal driver has no mouse")
            return
        # Textual has no public way to turn it on after the start.
        self.preferences.mouse = not self.preferences.mouse
        driver._mouse = True
        if self.preferences.mouse:
            driver._enable_mouse_support()
        else:
            driver._disable_mouse_support()
            driver._mouse = False  # else coming back from the shell would turn it on
        self._keep(f"mouse {'on' if self.preferences.mouse else 'off'}")

    def _keep(self, words: str) -> None:
        """Keep a choice, and say that it is made and whether it will be found again."""
        self.say(words)
        if self.preferences.path is None:
            return

        def keep() -> RequestDone:
            try:
                self.preferences.save()
            except OSError as error:
                return RequestDone(f"{words}; not kept: {error.strerror}")
            return RequestDone(f"{words}, kept for you")

        request(self, "preferences", keep)

    def do_links(self) -> None:
        """Show the stack's own pages; copy the one that is chosen."""
        from screens.dialogs.links import LinksDialog

        self.push_screen(LinksDialog(), lambda text: self.copy(text) if text else None)

    def do_copy(self) -> None:
        """Copy the lines of the screen in front."""
        self.copy("\n".join(lines.plain for lines in self.screen.query(Lines)))

    def copy(self, text: str) -> None:
        """Copy *text* by OSC 52 and save it whole, since no terminal says that it took it."""
        self.copy_to_clipboard(text)
        sent, words = capped(text), "copied"
        if len(sent) < len(text):
            words = f"copied {len(sent):,} of {len(text):,} characters (terminals take no more)"

        def save() -> RequestDone:
            try:
                path = self.preferences.write("copied.txt", text + "\n")
            except OSError as error:
                return RequestDone(f"{words}; not saved: {error.strerror}")
            return RequestDone(f"{words}; all of it in {path}")

        request(self, "copy", save)

    def copy_to_clipboard(self, text: str) -> None:
        """Send *text* to the operator's clipboard, through tmux or screen where one is."""
        self._clipboard = text
        if self._driver is not None:
            self._driver.write(osc52(text, self.terminal.multiplexer))

    def do_suspend(self) -> None:
        """Go to the shell that this was started from; ``fg`` comes back."""
        if os.getpgrp() == os.getsid(0):
            self.say("there is no shell to go to: the console is all there is in this session")
            return
        self.action_suspend_process()
