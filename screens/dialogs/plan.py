"""
The plan of a change: what is, what will be, the exact commands, risk, undo; then ``y``.

Every verb is asked for with this one dialog; scaling alone has more to say
(:mod:`screens.dialogs.scale`).
"""

from __future__ import annotations

from collections.abc import Mapping

from rich.text import Text
from textual.message import Message

from console.domain.plans import Json, Plan, Risk
from console.errors import UsageError
from screens.actions import Tier
from screens.dialogs.base import Field
from screens.dialogs.confirm import ConfirmDialog
from screens.feeds import request
from screens.messages import OperationSubmitted, PlanMade, RequestDone, RequestFailed
from screens.plan_lines import plan_lines, plan_risk, present_lines, requests_words
from screens.rendering import clean, paragraph
from screens.widgets.footer import Hint


class PlanDialog(ConfirmDialog):
    """
    Make a plan, show it, and submit it when told ``y``.

    Args:
        verb: Of the operations table.
        wish: Its arguments.
        reason_required: Whether an empty reason is not taken.
        name: What is typed to confirm when it is severe: in production whenever
            everything can fail meanwhile.
        severe: Whether it is severe anywhere.
    """

    def __init__(
        self,
        verb: str,
        wish: Mapping[str, Json],
        *,
        reason_required: bool,
        name: str = "",
        severe: bool = False,
    ) -> None:
        super().__init__(f"Plan: {verb}", (), "do it", self._submit,
                         reason_required=reason_required)  # fmt: skip
        self.verb = verb
        self.wish: dict[str, Json] = dict(wish)
        self.severe = severe
        self.plan: Plan | None = None
        self._word = name
        self._asking = self._ask_again = False

    # Planning ----------------------------------------------------------------

    def on_mount(self) -> None:
        """Ask for the plan."""
        self.make_plan()

    def make_plan(self) -> None:
        """Ask for the plan of the present wish; nothing is changed by that."""
        self.plan, self.error = None, None
        self._ask_again = self._asking
        if self._asking:
            return
        self._asking = True
        self.waiting = "looking at the stack and making the plan…"
        verb, wish = self.verb, dict(self.wish)
        request(self, "plan", lambda: PlanMade(self.engine.plan(verb, wish)))

    def _answered(self) -> bool:
        """Note an answer; False when the wish has changed since it was asked for."""
        self._asking = False
        self.waiting = ""
        if self._ask_again:
            self.make_plan()
            return False
        return True

    async def on_plan_made(self, message: PlanMade) -> None:
        """Show the plan; only now can ``y`` mean it."""
        if not self._answered():
            return
        self.plan = message.plan
        self.heading = f"{self.verb.capitalize()}: {clean(message.plan.summary, 200)}"
        await self._ask_for_name()
        self.shown_plan()
        self.redraw()

    def shown_plan(self) -> None:
        """Take keys only from when the plan can have been read."""
        self.rearm()
        if self.reason_required:
            self.action_next_field()

    def on_request_failed(self, message: RequestFailed) -> None:
        """Forget why there is no plan for what is no longer wished; else it is shown."""
        if self._asking and not self._answered():
            message.stop()
            message.prevent_default()

    # Severity ----------------------------------------------------------------

    def name_to_type(self) -> str:
        """Return what has to be typed for this plan; "" when ``y`` is enough."""
        risk = plan_risk(self.plan) if self.plan else Risk.NONE
        if self.plan is not None and self.plan.typed:
            return self.plan.typed
        return self._word if self.severe or (self.view.production and risk is Risk.HIGH) else ""

    async def _ask_for_name(self) -> None:
        self.typed_name = self.name_to_type()
        self.tier = Tier.SEVERE if self.typed_name else Tier.CHANGING
        fields = [f for f in self.query(Field) if f.query("#typed")]
        if self.typed_name and fields:
            fields[0].rename(f"type {self.typed_name}")
        elif self.typed_name:
            field = Field(f"type {self.typed_name}", id="typed")
            await self.mount(field, before="#footer")
        elif fields:
            await fields[0].remove()

    # Answering ---------------------------------------------------------------

    @property
    def can_confirm(self) -> bool:
        """Whether there is a plan to say yes to."""
        return self.plan is not None and bool(self.plan.steps) and super().can_confirm

    def action_cancel(self) -> None:
        """Close; planning changes nothing, so it is not waited for."""
        if self.plan is None or not self.waiting:
            self.dismiss(None)

    def answers(self) -> tuple[Hint, ...]:
        """Return only the way back while there is no plan."""
        return super().answers() if self.plan is not None else (Hint("esc", "back"),)

    def content(self, width: int) -> list[Text]:
        """Return what is, what was refused or is missing, and the plan."""
        lines = plan_lines(self.plan, self.look, width) if self.plan else []
        return [*self.present(width), *lines]

    def present(self, width: int) -> list[Text]:
        """Return what is now, of what would change, and what stands in the way."""
        snapshot = self.view.snapshot
        if self.verb == "maintenance" and snapshot is not None:
            lines = paragraph([requests_words(snapshot)], width, self.look.text)
        else:
            names = sorted(self.plan.expects) if self.plan else ()
            lines = present_lines(names, snapshot, self.look, width)
        return [*lines, *self.outcome(width)]

    def outcome(self, width: int) -> list[Text]:
        """Return what stands in the way, apart from what stands above it."""
        return [line for line in super().outcome(width) if line]

    def _submit(self, reason: str) -> Message:
        plan = self.plan
        if plan is None:
            raise UsageError("there is no plan to submit")
        if plan.wish.get("emergency"):
            cancelled = self.engine.preempt()
            if cancelled is not None:  # what it had done is taken back: planned anew
                plan = self.engine.plan(plan.verb, plan.wish)
                if not plan.steps:
                    return RequestDone(f"{cancelled.plan.summary}: cancelled; nothing else to do")
        return OperationSubmitted(self.engine.submit(plan, reason))
