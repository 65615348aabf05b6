"""Silence an alert for a while, or be told of it again; both recorded."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from textual.message import Message

from console.domain.alerts import Silence
from console.domain.duration import parse_duration
from console.domain.silences import LONGEST_SECONDS
from screens.dialogs.base import Field
from screens.dialogs.confirm import ConfirmDialog
from screens.messages import RequestDone
from screens.rendering import clean

_USUAL = "1h"


class SilenceDialog(ConfirmDialog):
    """
    Ask for how long and why.

    Args:
        alert: Name of the alert.
    """

    def __init__(self, alert: str) -> None:
        super().__init__(
            f"Silence {clean(alert, 60)}",
            (
                "Nobody is sent a message of it for that time. It is still shown here and "
                "still counts: a silence mends nothing.",
                "Who silenced it, until when and why is kept in the audit. It ends by itself.",
            ),
            "silence",
            self._silence,
            reason_required=True,
        )
        self._alert = alert
        self._for = timedelta(hours=1)

    def fields(self) -> Sequence[Field]:
        """Ask for the time before the reason."""
        return (Field("for (15m, 1h, 1d)", id="for", value=_USUAL), *super().fields())

    def on_mount(self) -> None:
        """Begin in the first field; nothing there says yes."""
        self.action_next_field()

    def missing(self) -> tuple[str, str] | None:
        """Ask for a sensible time first."""
        try:
            self._for = parse_duration(self.value("for"))
        except ValueError as error:
            return "for", str(error)
        if self._for.total_seconds() > LONGEST_SECONDS:
            return "for", "7 days at most"
        return super().missing()

    def _silence(self, reason: str) -> Message:
        made = self.engine.silence(self._alert, self._for.total_seconds(), reason)
        told = " in the Alertmanager too" if made.id else ""
        return RequestDone(
            f"{self._alert} is silenced until {made.until:%H:%M} UTC{told}, recorded"
        )


class UnsilenceDialog(ConfirmDialog):
    """
    Ask before a silence is ended.

    Args:
        alert: Name of the alert.
        silence: The one there is.
    """

    def __init__(self, alert: str, silence: Silence) -> None:
        words = f"{clean(silence.actor, 60)} silenced it until {silence.until:%H:%M} UTC: "
        super().__init__(
            f"Be told of {clean(alert, 60)} again",
            (words + clean(silence.reason, 300),),
            "end the silence",
            self._unsilence,
        )
        self._alert = alert

    def _unsilence(self, reason: str) -> Message:
        self.engine.unsilence(self._alert, reason)
        return RequestDone(f"{self._alert} is no longer silenced, recorded")
