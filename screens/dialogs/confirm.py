"""Confirm a change: what will be done, why, and only ``y`` says yes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import ClassVar

from rich.style import Style
from rich.text import Text
from textual.binding import Binding
from textual.message import Message
from textual.widgets import Input

from console.errors import ConsoleError
from screens.actions import Tier
from screens.dialogs.base import Dialog, Field
from screens.feeds import request
from screens.messages import OperationSubmitted, RequestDone, RequestFailed
from screens.rendering import clean, paragraph, styled
from screens.widgets.footer import Hint


class ConfirmDialog(Dialog[Message]):
    """
    Ask before a change, do it when told ``y``, and show a refusal in full.

    Args:
        title: What is asked.
        explanation: Lines that say what will happen.
        yes: What ``y`` does, in few words.
        work: Does it in a thread, given the reason; returns the answering message,
            with which the dialog closes.
        tier: Severe asks for *typed_name* too.
        typed_name: What has to be typed exactly when severe.
        reason_required: Whether an empty reason is not taken.
        asks_reason: Whether there is a reason to give at all.
    """

    BINDINGS: ClassVar = [Binding("y", "yes", show=False)]

    def __init__(
        self,
        title: str,
        explanation: Sequence[str | Text],
        yes: str,
        work: Callable[[str], Message],
        *,
        tier: Tier = Tier.CHANGING,
        typed_name: str = "",
        reason_required: bool = False,
        asks_reason: bool = True,
    ) -> None:
        super().__init__(title)
        self.explanation = list(explanation)
        self.yes = yes
        self.work = work
        self.tier = tier
        self.typed_name = typed_name
        self.reason_required = reason_required
        self.asks_reason = asks_reason
        self.waiting = ""
        self.missing_words = ""
        self.error: ConsoleError | None = None
        self._yes_from = 0.0

    def fields(self) -> Sequence[Field]:
        """Ask why and, when severe, for the name."""
        asked = []
        if self.asks_reason:
            word = "required" if self.reason_required else "optional"
            asked.append(Field(f"reason ({word})", id="reason"))
        if self.tier is Tier.SEVERE:
            asked.append(Field(f"type {self.typed_name}", id="typed"))
        return asked

    def content(self, width: int) -> list[Text]:
        """Return the explanation, and beneath it what is missing or went wrong."""
        lines = [
            line
            for part in self.explanation
            for line in ([part] if isinstance(part, Text) else paragraph([part], width))
        ]
        return [*lines, *self.outcome(width)]

    def outcome(self, width: int) -> list[Text]:
        """Return what was refused, is missing or is under way."""
        if self.error is not None:
            return [Text(), *error_lines(self.error, width, self.look.bad, self.look.text)]
        if self.waiting:
            return [Text(), styled(f" {self.waiting}", self.look.accent)]
        if self.missing_words:
            return [Text(), styled(f" ▲ {self.missing_words}", self.look.warn)]
        return []

    @property
    def can_confirm(self) -> bool:
        """Whether ``y`` means something now."""
        return not self.waiting and self.error is None and time.monotonic() >= self._yes_from

    def guard_yes(self) -> None:
        """Let ``y`` mean nothing for a moment, because what it says yes to has changed."""
        self._yes_from = time.monotonic() + self.GUARD_SECONDS
        self.set_timer(self.GUARD_SECONDS, self.redraw)

    def answers(self) -> tuple[Hint, ...]:
        """Return Cancel, marked as the default, and ``y``."""
        if self.error is not None:
            return (Hint("esc", "back"),)
        typing = isinstance(self.focused, Input)
        cancel = Hint("esc", "Cancel") if typing else Hint("[enter]", "Cancel (default)")
        more = (Hint("tab", "reason"),) if self.asks_reason and not typing else ()
        go_on = (Hint("enter", "next"),) if typing else ()
        return (
            cancel,
            *go_on,
            Hint("y", self.yes, self.armed and self.can_confirm and not typing),
            *more,
            Hint("↑↓", "scroll"),
        )

    def missing(self) -> tuple[str, str] | None:
        """Return what is still to be typed: (field, words), or None."""
        if self.asks_reason and self.reason_required and not self.value("reason"):
            return "reason", "a reason is required; it is kept in the audit"
        if self.tier is Tier.SEVERE and self.value("typed") != self.typed_name:
            return "typed", f"type {self.typed_name} to confirm"
        return None

    def action_yes(self) -> None:
        """Do it, if nothing is missing."""
        if not self.can_confirm:
            return
        lacking = self.missing()
        if lacking is not None:
            field, self.missing_words = lacking
            self.set_focus(self.query_one(f"#{field}", Input))
            self.redraw()
            return
        reason = self.value("reason") if self.asks_reason else ""
        self.waiting, self.missing_words = "asking the engine…", ""
        self.redraw()
        request(self, "confirm", lambda: self.work(reason))

    def action_cancel(self) -> None:
        """Close; what was already asked of the engine is waited for."""
        if not self.waiting:
            self.dismiss(None)

    def on_descendant_focus(self) -> None:
        """Draw which answer is the default now."""
        self.redraw()

    def on_operation_submitted(self, message: OperationSubmitted) -> None:
        """Close with the operation."""
        self.waiting = ""
        self.dismiss(message)

    def on_request_done(self, message: RequestDone) -> None:
        """Close with what was done."""
        message.stop()
        self.waiting = ""
        self.dismiss(message)

    def on_request_failed(self, message: RequestFailed) -> None:
        """Show why not: what happened, what is unchanged, what to do."""
        message.stop()
        self.waiting = ""
        self.error = message.error
        self.set_focus(None)
        self.rearm()
        self.redraw()


def error_lines(error: ConsoleError, width: int, loud: Style, calm: Style) -> list[Text]:
    """Return an error as the operator reads it: what, what is unchanged, what next."""
    happened, *others = [clean(line, 2000) for line in error.lines()]
    return [*paragraph([f"✗ {happened}"], width, loud), *paragraph(others, width, calm)]
