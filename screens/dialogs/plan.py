"""The plan of a change: what is, what will be, the exact commands, risk, undo; then ``y``."""

from __future__ import annotations

from rich.text import Text

from console.domain.plans import Json, Plan, Risk, Step
from console.domain.queues import Queue
from console.domain.services import Service
from console.errors import UsageError
from screens.actions import Tier
from screens.dialogs.confirm import ConfirmDialog
from screens.feeds import request
from screens.look import Look
from screens.messages import OperationSubmitted, PlanMade
from screens.rendering import (
    clean,
    fold,
    heading,
    number,
    paragraph,
    percent,
    put,
    rate,
    size,
    styled,
)
from screens.view import View
from screens.widgets.footer import Hint

_RISKS = (Risk.NONE, Risk.LOW, Risk.MEDIUM, Risk.HIGH)


class PlanDialog(ConfirmDialog):
    """
    Make a plan, show it, and submit it when told ``y``.

    Args:
        verb: Of the operations table.
        wish: Its arguments.
        typed_name: What must be typed when the change is severe; "" when it is not.
    """

    def __init__(
        self, verb: str, wish: dict[str, Json], *, reason_required: bool, typed_name: str = ""
    ) -> None:
        super().__init__(
            f"Plan: {verb}",
            (),
            "do it",
            self._submit,
            tier=Tier.SEVERE if typed_name else Tier.CHANGING,
            typed_name=typed_name,
            reason_required=reason_required,
        )
        self._verb = verb
        self._wish = wish
        self.plan: Plan | None = None
        self.waiting = "looking at the stack and making the plan; nothing is changed by that…"

    def on_mount(self) -> None:
        """Ask for the plan."""
        request(self, "plan", lambda: PlanMade(self.engine.plan(self._verb, self._wish)))

    def on_plan_made(self, message: PlanMade) -> None:
        """Show the plan; only now can ``y`` mean it."""
        self.plan = message.plan
        self.heading = f"Plan: {clean(message.plan.summary, 200)}"
        self.waiting = ""
        self.rearm()
        if self.reason_required:
            self.action_next_field()
        self.redraw()

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
        """Return the plan."""
        lines = plan_lines(self.plan, self.view, self.look, width) if self.plan else []
        return [*self.outcome(width), *([Text()] if self.outcome(width) else []), *lines]

    def _submit(self, reason: str) -> OperationSubmitted:
        if self.plan is None:
            raise UsageError("there is no plan to submit")
        return OperationSubmitted(self.engine.submit(self.plan, reason))


def plan_lines(plan: Plan, view: View, look: Look, width: int) -> list[Text]:
    """Return a plan as read before saying yes to it."""
    risk = max((s.risk for s in plan.steps), key=_RISKS.index, default=Risk.NONE)
    loud = {Risk.HIGH: look.bad, Risk.MEDIUM: look.warn}.get(risk, look.text)
    lines = _current(plan, view, look, width)
    lines += [
        line
        for warning in plan.warnings
        for line in paragraph([f"▲ {clean(warning, 500)}"], width, look.warn)
    ]
    if not plan.steps:
        return [*lines, styled(" nothing to do: it is so already", look.good)]
    lines += [styled(f" risk {risk.value}", loud), Text()]
    lines += [heading(f"{len(plan.steps)} steps", look, "exact commands, in order")]
    lines += _steps(plan.steps, look, width)
    undo = f"u takes it back in {len(plan.undo)} steps" if plan.undo else "cannot be undone"
    return [*lines, Text(), heading("Undo", look, undo), *_steps(plan.undo, look, width)]


def _steps(steps: tuple[Step, ...], look: Look, width: int) -> list[Text]:
    lines = []
    for place, step in enumerate(steps, 1):
        line = put(styled(" "), str(place), 2, look.dim, right=True)
        line.append(f" {clean(step.name, 60)}", look.text)
        line.append(f"  risk {step.risk.value}", look.dim)
        lines.append(line)
        lines += [
            styled(f"     {part}", look.accent)
            for part in fold(clean(step.command or step.kind, 1000), width - 6)
        ]
    return lines


def _current(plan: Plan, view: View, look: Look, width: int) -> list[Text]:
    targets = plan.wish.get("targets")
    if not isinstance(targets, dict) or view.snapshot is None:
        return []
    lines = []
    for name, target in sorted(targets.items()):
        service = view.snapshot.service(name)
        if service is None:
            continue
        line = styled(f" {clean(name, 60)}  ", look.strong)
        line.append(f"{service.desired} → {target}", look.accent)
        lines += [line, *paragraph([_now(service)], width, look.text)]
        queue_name = service.labels.get("console.queue")
        queues = [q for q in view.snapshot.queues if q.name == queue_name]
        lines += paragraph((_queue(q) for q in queues), width, look.text)
    host = view.snapshot.host
    if host is not None:
        capacity = (
            f"host: {host.cores} cores {percent(host.cpu_ratio)} used, "
            f"memory {percent(host.memory_ratio)} used, {size(host.memory_available_bytes)} free"
        )
        lines += paragraph([capacity], width, look.text)
    return lines


def _now(service: Service) -> str:
    return (
        f"now {service.ready} of {service.desired} ready, {service.health.value}, "
        f"cpu {percent(service.cpu_ratio)}, memory {size(service.memory_bytes)}"
    )


def _queue(queue: Queue) -> str:
    return (
        f"queue {clean(queue.name, 40)}: {number(queue.depth)} waiting, "
        f"{rate(queue.arrived_per_second)}/s in, {rate(queue.completed_per_second)}/s out"
    )
