"""The procedure of one alert: its section of RUNBOOK.md, to be read and scrolled."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.binding import Binding

from console.domain.runbook import Section
from screens.alert_lines import section_lines
from screens.dialogs.base import Dialog
from screens.dialogs.confirm import error_lines
from screens.feeds import request
from screens.messages import ProcedureFound, RequestFailed
from screens.rendering import clean, paragraph, styled
from screens.widgets.footer import Hint


class ProcedureDialog(Dialog[None]):
    """
    A reader; it runs nothing.

    Args:
        alert: Name of the alert.
        anchor: Of its section; the alert's name is tried after it.
    """

    GUARD_SECONDS: ClassVar[float] = 0.0
    BINDINGS: ClassVar = [
        Binding("q", "cancel", show=False),
        Binding("k", "scroll_content(-1)", show=False),
        Binding("j", "scroll_content(1)", show=False),
        Binding("home,g", "scroll_content(-10000)", show=False),
        Binding("end,G", "scroll_content(10000)", show=False),
    ]

    def __init__(self, alert: str, anchor: str) -> None:
        super().__init__(f"Procedure for {clean(alert, 60)}")
        self._alert = alert
        self._anchor = anchor
        self._found: ProcedureFound | None = None
        self._failure: RequestFailed | None = None

    def on_mount(self) -> None:
        """Read it."""
        request(self, "procedure", lambda: ProcedureFound(self._section()))
        super().on_mount()

    def _section(self) -> Section | None:
        runbook = self.engine.runbook()
        return runbook.section(self._anchor) or runbook.section(self._alert)

    def on_procedure_found(self, message: ProcedureFound) -> None:
        """Show it."""
        self._found = message
        self.redraw()

    def on_request_failed(self, message: RequestFailed) -> None:
        """Say why it cannot be read."""
        self._failure = message
        self.redraw()

    def content(self, width: int) -> list[Text]:
        """Return the section."""
        if self._failure is not None:
            return error_lines(self._failure.error, width, self.look.bad, self.look.text)
        if self._found is None:
            return [styled(" Reading RUNBOOK.md…", self.look.dim)]
        section = self._found.section
        if section is None:
            words = (
                f"RUNBOOK.md has no section #{clean(self._anchor, 60)}. Look at Overview and Logs."
            )
            return paragraph([words], width, self.look.warn)
        title = styled(f" {clean(section.title, 200)}", self.look.strong)
        return [title, Text(), *section_lines(section, self.look, width)]

    def answers(self) -> tuple[Hint, ...]:
        """Return the way back."""
        return (Hint("esc", "back"), Hint("↑↓ PgUp PgDn", "scroll"))
