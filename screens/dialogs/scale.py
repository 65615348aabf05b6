"""
The scale wizard: what is, what will be, whether that is a good idea now, and then ``y``.

Figures and advice are live; the plan is made anew whenever the target or the way
is changed, and ``y`` only ever means the plan that is shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from rich.text import Text
from textual.binding import Binding

from console.domain.advice import Advice, advise
from console.domain.services import Role
from console.operations.capacity import capacity_lines
from console.operations.request import PlanRequest
from screens.advice_lines import advice_lines
from screens.dialogs.plan import PlanDialog
from screens.plan_lines import host_lines, present_lines
from screens.rendering import clean, paragraph, styled
from screens.view import View
from screens.widgets.footer import Hint

#: Highest target a key can set; what is too many is for policy to say.
HIGHEST_TARGET = 99


def emergency_targets(view: View, scalable: frozenset[str]) -> dict[str, int]:
    """Return the emergency downscale: every worker service with more than one to one."""
    services = view.snapshot.services if view.snapshot else ()
    return {
        s.name: 1
        for s in services
        if s.role is Role.WORKER and s.name in scalable and s.desired > 1
    }


class ScaleDialog(PlanDialog):
    """
    Scale one service, or several aimed at before.

    Args:
        targets: Replicas wanted, by service; where there is one service, keys change it.
        emergency: Whether to stop without draining, first of all a running operation.
    """

    BINDINGS: ClassVar = [
        Binding("plus,equals_sign", "aim(1)", show=False),
        Binding("minus", "aim(-1)", show=False),
        *(Binding(digit, f"aim_at({digit})", show=False) for digit in "0123456789"),
        Binding("a", "take_advice", show=False),
        Binding("g", "gradual", show=False),
        Binding("exclamation_mark", "emergency", show=False),
    ]

    def __init__(
        self, targets: Mapping[str, int], *, reason_required: bool, emergency: bool = False
    ) -> None:
        super().__init__("scale", {}, reason_required=reason_required)
        self.targets = dict(targets)
        self.emergency = emergency
        self.gradual = False
        self._first = True

    # The wish ----------------------------------------------------------------

    def make_plan(self) -> None:
        """Ask for the plan of what is aimed at now."""
        self.wish = {"targets": dict(self.targets)}
        if self.gradual:
            self.wish["gradual"] = True
        if self.emergency:
            self.wish["emergency"] = True
        self.heading = f"Scale: {', '.join(map(self._words, self.targets))}"
        self.missing_words = ""
        super().make_plan()

    def _words(self, name: str) -> str:
        desired, target = self._desired(name), self.targets[name]
        words = f"{clean(name, 60)} {desired}"
        return words if desired == target else f"{words} → {target}"

    def _desired(self, name: str) -> int:
        service = self.view.snapshot.service(name) if self.view.snapshot else None
        return service.desired if service else 0

    def shown_plan(self) -> None:
        """
        Take keys after the first plan as after any; later ones guard ``y`` alone.

        Who aimed before has decided and is asked why; who has not goes on aiming.
        """
        if self._first:
            self._first = False
            self.rearm()
            if self.reason_required and self.plan and self.plan.steps:
                self.action_next_field()
        else:
            self.guard_yes()

    def name_to_type(self) -> str:
        """Ask for the name before nothing is left of a service in production."""
        nothing_left = [name for name, target in self.targets.items() if target == 0]
        return nothing_left[0] if nothing_left and self.view.production else ""

    def action_aim(self, by: int) -> None:
        """Aim at more or fewer."""
        for name in self._only_service():
            self.action_aim_at(self.targets[name] + by)

    def action_aim_at(self, target: int) -> None:
        """Aim at a number."""
        for name in self._only_service():
            self.targets[name] = max(0, min(HIGHEST_TARGET, target))
            self._wish_changed()

    def action_take_advice(self) -> None:
        """Aim at what is advised."""
        advised = {a.service: a.recommended for a in self._advices() if a.recommended is not None}
        if self._submitting or self.view.stale(self.now) or not advised:
            return
        self.targets |= advised
        self._wish_changed()

    def action_gradual(self) -> None:
        """Watch between two removals, or not."""
        self.gradual = not self.gradual
        self._wish_changed()

    def action_emergency(self) -> None:
        """Stop without draining, or drain after all."""
        self.emergency = not self.emergency
        self._wish_changed()

    def _wish_changed(self) -> None:
        self.make_plan()
        self.redraw()

    def _only_service(self) -> list[str]:
        if len(self.targets) == 1 and not self._submitting:
            return list(self.targets)
        return []

    @property
    def _submitting(self) -> bool:
        return bool(self.waiting) and not self._asking

    # Drawing -----------------------------------------------------------------

    def answers(self) -> tuple[Hint, ...]:
        """Return how to answer and how to change the wish."""
        back = tuple(hint for hint in super().answers() if hint.key != "↑↓")
        aim = (Hint("+ - 0–9", "target"),) if self._only_service() and self.focused is None else ()
        return (*back, *aim, Hint("↑↓", "scroll"))

    def present(self, width: int) -> list[Text]:
        """Return what is, whether the change is a good idea now, and what the host has left."""
        snapshot = self.view.snapshot
        return [
            *present_lines(self.targets, snapshot, self.look, width, self.targets),
            *self.outcome(width),
            *self._advice(width),
            *self._capacity(width),
            self._ways(),
        ]

    def _advices(self) -> list[Advice]:
        """Return the advice on each service, from the present picture."""
        snapshot, policy = self.view.snapshot, self.engine.settings.policy
        return [advise(name, snapshot, policy) for name in self.targets] if snapshot else []

    def _advice(self, width: int) -> list[Text]:
        if self.view.stale(self.now) or self.view.failure:
            return paragraph(["? no advice: the picture is old"], width, self.look.warn)
        lines = self._autoscaler(width)
        brief = len(self.targets) > 1
        for advice in self._advices():
            target = self.targets[advice.service]
            lines += advice_lines(advice, target, self.look, width, brief=brief)
        return lines

    def _autoscaler(self, width: int) -> list[Text]:
        """Return what the autoscaler decided last, where it is on: it may scale back."""
        decisions = self.view.snapshot.autoscale if self.view.snapshot else ()
        words = (
            f"▲ autoscale is on for {clean(d.service, 40)}: {d.action.value}, "
            f"{clean(d.reason, 300)}"
            for d in decisions
            if d.service in self.targets
        )
        return paragraph(words, width, self.look.warn)

    def _capacity(self, width: int) -> list[Text]:
        """Return what one more of a single service needs, and what the host has left."""
        snapshot = self.view.snapshot
        service = snapshot.service(next(iter(self.targets))) if snapshot else None
        if snapshot is None or service is None or len(self.targets) > 1:
            return host_lines(snapshot, self.look, width)
        request = PlanRequest(snapshot, self.engine.settings.policy, self.engine.runtime)
        words = "; ".join(clean(line, 300) for line in capacity_lines(request, service))
        return paragraph([f"capacity: {words}"], width, self.look.text)

    def _ways(self) -> Text:
        line = styled(" ways: ", self.look.dim)
        for key, words, chosen in (
            ("g", "gradual, 5 min watch between removals", self.gradual),
            ("!", "emergency, no drain", self.emergency),
        ):
            line.append("■ " if chosen else "□ ", self.look.accent)
            line.append(key, self.look.strong)
            line.append(f" {words}   ", self.look.strong if chosen else self.look.dim)
        return line
