"""What every dialog has: the header above it, Cancel as the default, a guarded start."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, TypeVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from screens.insight import Insight
from screens.rendering import cut, fill, styled
from screens.widgets.footer import Footer, Hint
from screens.widgets.header import Header
from screens.widgets.lines import Lines

if TYPE_CHECKING:
    pass

Answer = TypeVar("Answer")


class Field(Horizontal):
    """
    A labelled line to type into.

    Args:
        label: What is asked for.
        value: What stands there at first.
        id: Name of the input within the dialog.
    """

    def __init__(self, label: str, *, id: str, value: str = "") -> None:
        super().__init__(classes="field")
        self._label = label
        self._input = Input(value=value, id=id)
        self._input.cursor_blink = False

    def compose(self) -> ComposeResult:
        """Put the label before the input."""
        yield Static(styled(cut(self._label, 24)), classes="label")
        yield self._input

    def rename(self, label: str) -> None:
        """Ask for something else."""
        self.query_one(Static).update(styled(cut(label, 24)))


class Dialog(Insight, ModalScreen[Answer]):
    """
    A question in front of a screen.

    Nothing has the focus, or an input field has; with nothing focused ``enter``
    and ``esc`` both mean Cancel.  Keys pressed before the operator can have read
    what opened (:attr:`GUARD_SECONDS`) are swallowed by the app.
    """

    #: Keys within this time of opening were typed for the screen before.
    GUARD_SECONDS: ClassVar[float] = 0.4

    #: From this many rows on the title has room around it.
    ROOMY: ClassVar[int] = 30

    AUTO_FOCUS = ""
    BINDINGS: ClassVar = [
        Binding("escape", "cancel", show=False),
        Binding("enter", "enter", show=False),
        Binding("tab", "next_field", show=False, priority=True),
        Binding("up", "scroll_content(-1)", show=False),
        Binding("down", "scroll_content(1)", show=False),
        Binding("pageup", "scroll_content(-10)", show=False),
        Binding("pagedown", "scroll_content(10)", show=False),
        Binding("ctrl+c", "cancel", show=False),
    ]

    def __init__(self, title: str) -> None:
        super().__init__()
        self.heading = title
        self._armed_at = time.monotonic() + self.GUARD_SECONDS

    def compose(self) -> ComposeResult:
        """Stack header, content, fields and the line of answers."""
        yield Header(id="header")
        yield Lines(id="body")
        yield from self.fields()
        yield Footer(id="footer")

    # For the dialogs to fill in ----------------------------------------------

    def fields(self) -> Sequence[Field]:
        """Return the fields to type into, in order."""
        return ()

    def content(self, width: int) -> list[Text]:  # noqa: ARG002 - for subclasses
        """Return the lines of the dialog."""
        return []

    def answers(self) -> tuple[Hint, ...]:
        """Return the keys that answer."""
        return (Hint("esc", "back"),)

    # For the dialogs to use --------------------------------------------------

    @property
    def armed(self) -> bool:
        """Whether keys count already."""
        return time.monotonic() >= self._armed_at

    def rearm(self) -> None:
        """Swallow keys again for a moment, because what is shown has just changed."""
        self._armed_at = time.monotonic() + self.GUARD_SECONDS
        self.set_timer(self.GUARD_SECONDS, self.redraw)

    def value(self, field: str) -> str:
        """Return what was typed into *field*."""
        return self.query_one(f"#{field}", Input).value.strip()

    def redraw(self) -> None:
        """Draw everything; what did not change is not written."""
        if not self.is_mounted or not self.query("#footer"):
            return
        width = self.app.size.width
        body = self.query_one("#body", Lines)
        title = fill(styled(f" {self.heading}", self.look.strong), width)
        body.show([*self._margin, title, *self._margin, *self.content(width)])
        more = "▾ more below" if body.more_below else ""
        self.query_one(Header).show_view(self.view, self.look, self.engine.clock.now(), more)
        self.query_one(Footer).show_hints(self.answers(), self.look)

    @property
    def above(self) -> int:
        """How many lines stand above the content."""
        return 1 + 2 * len(self._margin)

    @property
    def _margin(self) -> list[Text]:
        return [Text()] if self.app.size.height >= self.ROOMY else []

    # Textual -----------------------------------------------------------------

    def on_mount(self) -> None:
        """Draw, and begin to listen a moment later."""
        if self.GUARD_SECONDS:
            self.rearm()
        self.redraw()

    def on_resize(self) -> None:
        """Draw for the new size."""
        self.call_after_refresh(self.redraw)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Go on to the next field; ``enter`` never says yes."""
        event.stop()
        self.action_next_field()

    def action_next_field(self) -> None:
        """Move the focus to the next field, and after the last one to Cancel."""
        inputs = list(self.query(Input))
        here = inputs.index(self.focused) if isinstance(self.focused, Input) else -1
        self.set_focus(inputs[here + 1] if here + 1 < len(inputs) else None)
        self.redraw()

    def action_scroll_content(self, lines: int) -> None:
        """Scroll what does not fit."""
        self.query_one("#body", Lines).scroll_relative(y=lines, animate=False)
        self.redraw()

    def action_enter(self) -> None:
        """Take the default answer, which is Cancel."""
        self.action_cancel()

    def action_cancel(self) -> None:
        """Close without doing anything."""
        self.dismiss(None)
