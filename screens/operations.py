"""Operations: who did what, how did it end, and what still waits for somebody."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from rich.text import Text

from console.domain.operations import Operation, OperationState
from console.domain.recorded import OPERATION_WORDS, begun_at, operation_facts, took_seconds
from screens.actions import Action, bindings_on
from screens.audit import AuditScreen
from screens.follow import FollowScreen
from screens.look import Look
from screens.messages import OperationsListed
from screens.operation_lines import why_not_now
from screens.record_feeds import OperationsFeed
from screens.record_list import RecordList
from screens.rendering import clean, clock_time, cut, duration, fill, put, state_sign, styled
from screens.settle import SettlesOperations

_LOUD = {OperationState.INTERRUPTED, OperationState.FROZEN}


class OperationsScreen(SettlesOperations, RecordList[Operation]):
    """The journal's operations, newest first; ``enter`` opens one, ``tab`` the audit."""

    NAME = "operations"
    TITLE = "Operations"
    BINDINGS = bindings_on("operations")
    VOCABULARY = OPERATION_WORDS

    def feed(self) -> OperationsFeed:
        """Return what reads the operations."""
        return OperationsFeed(self, self.engine)

    def on_operations_listed(self, message: OperationsListed) -> None:
        """Draw the list."""
        self.listed(message.operations, whole=message.whole)

    def key_of(self, record: Operation) -> object:
        """Return its id."""
        return record.id

    def matches(self, record: Operation) -> bool:
        """Whether the filter keeps it."""
        return self.filter.matches(operation_facts(record, self.now))

    def preferred(self, shown: Sequence[Operation]) -> Operation:
        """Return what waits for somebody, else the newest."""
        return next((o for o in shown if not o.finished), shown[0])

    def operation_in_view(self) -> Operation | None:
        """Return the selected one."""
        return self.in_view()

    def refuses(self, wanted: Action) -> str | None:
        """Say which state an action is for."""
        if wanted.group in {"Operation", "Operations"} and wanted.id != "audit":
            return why_not_now(wanted.id, self.operation_in_view())
        return None

    def heading(self) -> Text:
        """Return the columns."""
        return _columns(self.look)

    def row(self, record: Operation, width: int, *, here: bool) -> Text:
        """Return its line."""
        return _row(record, self.look, self.now, width, here=here)

    def nothing(self) -> list[Text]:
        """Say how to make one."""
        return [
            Text(),
            styled(" No operation yet", self.look.strong),
            styled(" On the Overview, + and - aim, enter plans.", self.look.dim),
        ]

    def do_show_operation(self) -> None:
        """Open the selected operation."""
        operation = self.operation_in_view()
        if operation is not None:
            self.console_app.show_above(FollowScreen(operation.id, operation))

    def do_audit(self) -> None:
        """Show the audit: every change by anybody, and whether it was tampered with."""
        self.console_app.show_above(AuditScreen())


def _columns(look: Look) -> Text:
    line = put(styled("  "), "when", 7, look.dim)
    put(line, "state", 14, look.dim)
    put(line, "took", 8, look.dim, right=True)
    return line.append("  what · who · why", look.dim)


def _row(operation: Operation, look: Look, now: datetime, width: int, *, here: bool) -> Text:
    glyph, style = state_sign(operation.state, look)
    loud = operation.state in _LOUD
    line = styled("› " if here else "  ", look.accent)
    put(line, clock_time(begun_at(operation), now), 7, look.dim)
    put(line, f"{glyph} {operation.state.value}", 14, style)
    took = took_seconds(operation)
    put(line, duration(took) if took is not None else "", 8, look.dim, right=True)
    line.append(f"  {clean(operation.verb, 20)} ", look.dim)
    line.append(cut(clean(operation.plan.summary, 200), 60), look.strong if loud else look.text)
    if loud:
        line.append(" · press r, u or A", look.bad)
    if operation.question is not None:
        line.append(" · asks: press y", look.warn)
    line.append(f" · {clean(str(operation.actor), 40)}", look.dim)
    if operation.reason:
        line.append(f" · {clean(operation.reason, 200)}", look.dim)
    line.truncate(width, overflow="ellipsis")
    return fill(line, width, look.selected) if here else line
