"""Send a test to every receiver of alerts, and say what became of it."""

from __future__ import annotations

from textual.message import Message

from screens.dialogs.confirm import ConfirmDialog
from screens.messages import RequestDone
from screens.rendering import clean


class DeliveryDialog(ConfirmDialog):
    """Ask before somebody's telephone rings."""

    def __init__(self) -> None:
        super().__init__(
            "Send a test to every receiver of alerts",
            (
                "The Alertmanager is given an alert that says it is only a test; a receiver that "
                "wakes somebody will. It takes up to half a minute to know who took it.",
                "Who sent it, why, and what became of it is kept in the audit.",
            ),
            "send it",
            self._send,
        )

    def _send(self, reason: str) -> Message:
        found = self.engine.test_alerts(reason)
        told = "; ".join(f"{clean(d.receiver, 40)} {d.words}" for d in found)
        missed = any(not delivery.taken for delivery in found)
        return RequestDone(told + (" · L on alertmanager for its log" if missed else ""))
