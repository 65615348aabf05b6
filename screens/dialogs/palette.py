"""Everything a screen can do, found by typing part of its name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.widgets import Input

from screens.actions import Action, actions_on
from screens.dialogs.base import Dialog, Field
from screens.rendering import fill, paragraph, put, styled
from screens.widgets.footer import Hint
from screens.widgets.lines import Lines

if TYPE_CHECKING:
    from screens.screen import ConsoleScreen


class PaletteDialog(Dialog[str]):
    """
    The command palette.  ``enter`` does what is marked; changes still ask.

    Args:
        screen: The screen whose actions are offered.
    """

    GUARD_SECONDS: ClassVar[float] = 0.0

    def __init__(self, screen: ConsoleScreen) -> None:
        super().__init__("Everything by name")
        self._screen = screen
        self._chosen = 0

    def fields(self) -> Sequence[Field]:
        """Ask for part of a name."""
        return (Field("find", id="find"),)

    def on_mount(self) -> None:
        """Type at once."""
        self.action_next_field()

    def matches(self) -> list[Action]:
        """Return the actions whose words all occur, in the registry's order."""
        words = self.value("find").lower().split()
        return [
            entry
            for entry in actions_on(self._screen.NAME)
            if entry.by_name
            and all(word in f"{entry.group} {entry.label}".lower() for word in words)
        ]

    def content(self, width: int) -> list[Text]:
        """Return the matches."""
        lines = []
        for place, entry in enumerate(self.matches()):
            reason = self._screen.why_not(entry)
            style = self.look.text if reason is None else self.look.dim
            line = styled("› " if place == self._chosen else "  ")
            put(line, entry.shown or ":", 6, self.look.strong)
            put(line, entry.label, 46, style).append("  ")
            line.append(reason or entry.group, self.look.dim)
            line.truncate(width, overflow="ellipsis")
            if place != self._chosen:
                lines.append(line)
                continue
            lines.append(fill(line, width, self.look.selected))
            if reason is not None:
                lines += paragraph([f"  ↳ {reason}"], width, self.look.warn)
        return lines or [styled(" nothing of that name", self.look.dim)]

    def answers(self) -> tuple[Hint, ...]:
        """Return what the keys do."""
        return (Hint("enter", "do it (changes still ask)"), Hint("↑↓", "choose"),
                Hint("esc", "back"))  # fmt: skip

    def on_input_changed(self, event: Input.Changed) -> None:
        """Begin again at the first match."""
        event.stop()
        self._chosen = 0
        self.redraw()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Do what is marked."""
        event.stop()
        event.prevent_default()
        matches = self.matches()
        self.dismiss(matches[self._chosen].id if matches else None)

    def action_scroll_content(self, lines: int) -> None:
        """Mark another match."""
        self._chosen = max(0, min(len(self.matches()) - 1, self._chosen + lines))
        self.redraw()
        self.query_one("#body", Lines).see(self._chosen + self.above)
