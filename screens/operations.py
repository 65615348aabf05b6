"""Operations: who did what, how did it end, and what still waits for somebody."""

from __future__ import annotations

from datetime import datetime

from rich.text import Text

from console.domain.operations import Operation, OperationState
from screens.actions import Action, bindings_on
from screens.dialogs.confirm import error_lines
from screens.feeds import OperationsFeed
from screens.follow import FollowScreen
from screens.look import Look
from screens.messages import OperationsListed, RequestFailed
from screens.operation_lines import why_not_now
from screens.rendering import clean, clock_time, cut, duration, fill, put, state_sign, styled
from screens.screen import ConsoleScreen
from screens.settle import SettlesOperations
from screens.widgets.lines import Lines

#: Lines above the first operation.
_ABOVE = 1

_LOUD = {OperationState.INTERRUPTED, OperationState.FROZEN}


class OperationsScreen(SettlesOperations, ConsoleScreen):
    """The journal's operations, newest first; ``enter`` opens one."""

    NAME = "operations"
    TITLE = "Operations"
    BINDINGS = bindings_on("operations")

    def __init__(self) -> None:
        super().__init__()
        self._operations: tuple[Operation, ...] | None = None
        self._failure: RequestFailed | None = None
        self._selected: str | None = None
        self._feed: OperationsFeed | None = None

    def entered(self) -> None:
        """Begin to read the list."""
        self._feed = OperationsFeed(self, self.engine)
        self._feed.start()

    def left(self) -> None:
        """Stop reading it."""
        if self._feed is not None:
            self._feed.stop()

    def on_operations_listed(self, message: OperationsListed) -> None:
        """Draw the list; the selection stays on its operation, else goes to what waits."""
        self._operations = message.operations
        self._failure = None
        if self.operation_in_view() is None and message.operations:
            waiting = [o for o in message.operations if not o.finished]
            self._selected = (waiting or message.operations)[0].id
        self.redraw()

    def on_request_failed(self, message: RequestFailed) -> None:
        """Say that the journal does not answer; what is known stays."""
        self._failure = message
        self.redraw()

    def operation_in_view(self) -> Operation | None:
        """Return the selected one."""
        return next((o for o in self._operations or () if o.id == self._selected), None)

    def refuses(self, wanted: Action) -> str | None:
        """Say which state an action is for."""
        if wanted.group in {"Operation", "Operations"}:
            return why_not_now(wanted.id, self.operation_in_view())
        return None

    def draw(self) -> None:
        """Draw the list."""
        width = self.app.size.width
        failure = self._failure
        if failure is not None:
            problem = error_lines(failure.error, width, self.look.bad, self.look.text)
            self.lines.show([Text(), *problem])
            return
        if self._operations is None:
            self.lines.show([Text(), styled(" Reading the journal…", self.look.dim)])
            return
        if not self._operations:
            self.lines.show(
                [
                    Text(),
                    styled(" No operation yet", self.look.strong),
                    styled(" On the Overview, + and - aim, enter plans.", self.look.dim),
                ]
            )
            return
        lines = [_columns(self.look)]
        lines += [
            _row(o, self.look, self.now, width, here=o.id == self._selected)
            for o in self._operations
        ]
        self.lines.show(lines)

    # Keys --------------------------------------------------------------------

    def _move(self, by: int) -> None:
        operations = self._operations or ()
        if not operations:
            return
        here = next((i for i, o in enumerate(operations) if o.id == self._selected), 0)
        place = max(0, min(len(operations) - 1, here + by))
        self._selected = operations[place].id
        self.lines.see(0 if place == 0 else place + _ABOVE, place + _ABOVE)

    def do_up(self) -> None:
        """Select the operation above."""
        self._move(-1)

    def do_down(self) -> None:
        """Select the operation below."""
        self._move(1)

    def do_page_up(self) -> None:
        """Select a page higher."""
        self._move(-self.lines.size.height)

    def do_page_down(self) -> None:
        """Select a page lower."""
        self._move(self.lines.size.height)

    def do_top(self) -> None:
        """Select the newest."""
        self._move(-len(self._operations or ()))

    def do_bottom(self) -> None:
        """Select the oldest."""
        self._move(len(self._operations or ()))

    def on_lines_clicked(self, message: Lines.Clicked) -> None:
        """Select what was clicked."""
        place = message.y - _ABOVE
        if self._operations and 0 <= place < len(self._operations):
            self._selected = self._operations[place].id
            self.redraw()

    def do_show_operation(self) -> None:
        """Open the selected operation."""
        operation = self.operation_in_view()
        if operation is not None:
            self.console_app.show_above(FollowScreen(operation.id, operation))


def _columns(look: Look) -> Text:
    line = put(styled("  "), "when", 7, look.dim)
    put(line, "state", 14, look.dim)
    put(line, "took", 8, look.dim, right=True)
    return line.append("  what · who · why", look.dim)


def _row(operation: Operation, look: Look, now: datetime, width: int, *, here: bool) -> Text:
    glyph, style = state_sign(operation.state, look)
    loud = operation.state in _LOUD
    line = styled("› " if here else "  ", look.accent)
    put(line, clock_time(operation.started_at or operation.submitted_at, now), 7, look.dim)
    put(line, f"{glyph} {operation.state.value}", 14, style)
    begin = operation.started_at or operation.submitted_at
    took = (operation.ended_at - begin).total_seconds() if operation.ended_at else None
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
