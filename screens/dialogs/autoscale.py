"""Turn autoscaling of one service on or off: what it does then, its last decision, and why."""

from __future__ import annotations

from datetime import datetime

from rich.text import Text
from textual.message import Message

from console.domain.services import Service
from console.domain.snapshot import AgentState
from screens.autoscale_lines import decision_words
from screens.dialogs.confirm import ConfirmDialog
from screens.feeds import request
from screens.messages import AutoscaleSeen, RequestDone
from screens.plan_lines import present_lines
from screens.rendering import clean, paragraph, plural
from screens.widgets.footer import Hint


class AutoscaleDialog(ConfirmDialog):
    """
    Ask whether the agent is to scale one service by itself, or no longer.

    Args:
        service: As it is now.
        reason_required: Whether an empty reason is not taken.
    """

    def __init__(self, service: Service, *, reason_required: bool) -> None:
        super().__init__(f"Autoscale: {clean(service.name, 60)}", (), "turn it on", self._turn,
                         reason_required=reason_required)  # fmt: skip
        self._service = service
        self._seen: AutoscaleSeen | None = None

    def on_mount(self) -> None:
        """Ask the journal whether it is on."""
        self.waiting = "looking whether it is on…"
        request(self, "autoscale", lambda: AutoscaleSeen(self.engine.autoscaled()))

    def on_autoscale_seen(self, message: AutoscaleSeen) -> None:
        """Now it is known what yes means."""
        self.waiting, self._seen = "", message
        self.yes = "turn it off" if self._is_on else "turn it on"
        self.rearm()
        if self.reason_required:
            self.action_next_field()
        self.redraw()

    @property
    def _is_on(self) -> bool:
        return self._seen is not None and self._service.name in self._seen.switches

    @property
    def can_confirm(self) -> bool:
        """Whether it is known what there is to turn."""
        return self._seen is not None and super().can_confirm

    def action_cancel(self) -> None:
        """Close; a look into the journal changes nothing, so it is not waited for."""
        if self._seen is None:
            self.dismiss(None)
        else:
            super().action_cancel()

    def answers(self) -> tuple[Hint, ...]:
        """Return only the way back while it is not known."""
        return super().answers() if self._seen is not None else (Hint("esc", "back"),)

    def content(self, width: int) -> list[Text]:
        """Return what is now, what it decided last and what yes does."""
        snapshot, name = self.view.snapshot, self._service.name
        lines = present_lines((name,), snapshot, self.look, width)
        if self._seen is not None:
            lines += paragraph(self._words(name), width, self.look.text)
        if snapshot is not None and snapshot.agent is AgentState.ABSENT:
            words = "▲ no agent is running: nothing is decided until one does (fragrance start)"
            lines += paragraph([words], width, self.look.warn)
        return [*lines, *self.outcome(width)]

    def _words(self, name: str) -> list[str]:
        assert self._seen is not None  # noqa: S101 -- see content
        switch = self._seen.switches.get(name)
        policy = self.engine.settings.policy
        bounds = policy.bounds(name, self._service.role)
        if switch is None:
            limits = f"{max(1, bounds.minimum)}–{bounds.maximum}" if bounds else "the policy's"
            patience = policy.autoscale
            return [
                "Autoscale is off: only people scale it.",
                f"On, the agent keeps it within {limits} replicas: up once its triggers fired for "
                f"{patience.up_after_seconds:g} s, down one at a time once one less was enough for "
                f"{patience.down_after_seconds:g} s. Each change is an operation of its own, "
                "by autoscaler, with undo.",
            ]
        decisions = self.view.snapshot.autoscale if self.view.snapshot else ()
        words = [decision_words(d, self.now) for d in decisions if d.service == name]
        why = f": {clean(switch.reason, 300)}" if switch.reason else ""
        return [
            f"Autoscale is on since {datetime.fromisoformat(switch.since):%Y-%m-%d %H:%M} UTC "
            f"by {clean(switch.actor, 60)}{why}",
            f"last decision: {words[0]}" if words else "nothing was decided yet",
            f"Off, it stays at {plural(self._service.desired, 'replica')}, until people scale it.",
        ]

    def _turn(self, reason: str) -> Message:
        on = not self._is_on
        self.engine.autoscale(self._service.name, reason, on=on)
        return RequestDone(f"autoscale of {self._service.name}: {'on' if on else 'off'}")
