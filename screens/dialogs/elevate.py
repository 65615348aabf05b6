"""Take write access for a while, or end it."""

from __future__ import annotations

from collections.abc import Sequence

from textual.message import Message

from screens.dialogs.base import Field
from screens.dialogs.confirm import ConfirmDialog
from screens.messages import RequestDone

_MOST_MINUTES = 240


class ElevateDialog(ConfirmDialog):
    """Ask for how long and why; recorded, and ended by the engine."""

    def __init__(self) -> None:
        super().__init__(
            "Write access",
            (
                "Production is read-only until write access is taken. It ends by itself.",
                "Who took it, when, for how long and why is kept in the audit. 0 minutes ends it.",
            ),
            "take write access",
            self._elevate,
            reason_required=True,
        )
        self._minutes = 0

    def fields(self) -> Sequence[Field]:
        """Ask for the minutes before the reason."""
        minutes = str(self.engine.settings.policy.elevation_minutes)
        return (Field("minutes (0–240)", id="minutes", value=minutes), *super().fields())

    def on_mount(self) -> None:
        """Begin in the first field; nothing there says yes."""
        self.action_next_field()

    def missing(self) -> tuple[str, str] | None:
        """Ask for a sensible number of minutes first."""
        minutes = self.value("minutes")
        if not minutes.isascii() or not minutes.isdigit() or int(minutes) > _MOST_MINUTES:
            return "minutes", f"minutes are a whole number from 0 to {_MOST_MINUTES}"
        self._minutes = int(minutes)
        return super().missing()

    def _elevate(self, reason: str) -> Message:
        access = self.engine.elevate(self._minutes, reason)
        if not access.write:
            return RequestDone("write access ended: read-only again")
        return RequestDone(f"write access for {self._minutes} minutes, recorded")
