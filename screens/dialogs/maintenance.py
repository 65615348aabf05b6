"""The plan of maintenance, with the list of what is to be seen to before it."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding

from console.domain.maintenance import with_answers
from console.domain.plans import ListItem
from screens.dialogs.plan import PlanDialog
from screens.widgets.footer import Hint


class MaintenanceDialog(PlanDialog):
    """A digit answers for an item of the list, or takes that back; kept with the operation."""

    BINDINGS: ClassVar = [Binding(digit, f"item({digit})", show=False) for digit in "123456789"]

    _answered_for: frozenset[str] = frozenset()
    _items: tuple[ListItem, ...] = ()

    def shown_plan(self) -> None:
        """Begin with an unanswered list."""
        if self.plan is not None:
            self._items, self._answered_for = self.plan.checklist, frozenset()
        super().shown_plan()

    def action_item(self, place: int) -> None:
        """Answer for the item at *place*, from 1, or no more."""
        if self.plan is None or self.waiting or place > len(self._items):
            return
        self._answered_for ^= {self._items[place - 1].id}
        self.plan = with_answers(self.plan, self._items, self._answered_for)
        self.redraw()

    def answers(self) -> tuple[Hint, ...]:
        """Return the keys of the list too."""
        known = super().answers()
        if self.plan is None or not self._items or self.error is not None:
            return known
        return (*known[:2], Hint(f"1–{len(self._items)}", "answer for"), *known[2:])
