"""One operation, live: each step as it happens, the result, and what to press."""

from __future__ import annotations

from rich.text import Text

from console.domain.operations import Operation, StepEvent, StepPhase
from console.domain.settling import Settling
from screens.actions import Action, action, bindings_on
from screens.dialogs.confirm import error_lines
from screens.effect import Effect, effect_lines, figures_for
from screens.feeds import EffectFeed, OperationFeed
from screens.messages import EffectSeen, OperationAdvanced, RequestFailed
from screens.operation_lines import operation_lines, why_not_now
from screens.rendering import clean, styled
from screens.screen import ConsoleScreen
from screens.settle import SettlesOperations
from screens.widgets.footer import Hint


class FollowScreen(SettlesOperations, ConsoleScreen):
    """
    Follow one operation; leaving does not touch it.

    Args:
        operation_id: Which one.
        operation: As far as it is known already, to draw at once.
    """

    NAME = "operation"
    TITLE = "Operation"
    BINDINGS = bindings_on("operation")

    def __init__(self, operation_id: str, operation: Operation | None = None) -> None:
        super().__init__()
        self._operation_id = operation_id
        self.operation = operation
        self._events: list[StepEvent] = []
        self._failure: RequestFailed | None = None
        self._feed: OperationFeed | None = None
        self._effect_feed: EffectFeed | None = None
        self._effects: tuple[Effect, ...] = ()
        self._settling: Settling | None = None
        self._in_sight = ""

    def entered(self) -> None:
        """Begin to follow."""
        self._feed = OperationFeed(self, self.engine, self._operation_id)
        self._feed.start()
        self._effect_feed = EffectFeed(self, self.engine)
        self._look_for_effects()
        self._effect_feed.start()

    def left(self) -> None:
        """Stop following; the operation goes on."""
        for feed in (self._feed, self._effect_feed):
            if feed is not None:
                feed.stop()

    def on_operation_advanced(self, message: OperationAdvanced) -> None:
        """Draw the step that came."""
        self.operation = message.operation
        self._events += message.events
        self._failure = None
        self._look_for_effects()
        if message.operation.finished:
            self.console_app.operation_ended(message.operation)
        self.redraw()

    def _look_for_effects(self) -> None:
        feed, snapshot = self._effect_feed, self.view.snapshot
        if feed is None or self.operation is None or snapshot is None:
            return
        feed.figures = feed.figures or figures_for(self.operation, snapshot)
        feed.operation = self.operation

    def on_effect_seen(self, message: EffectSeen) -> None:
        """Draw what it did to the figures."""
        self._effects, self._settling = message.effects, message.settling
        self.redraw()

    def on_request_failed(self, message: RequestFailed) -> None:
        """Say that the journal does not answer; what is known stays."""
        self._failure = message
        self.redraw()

    def hints(self) -> tuple[Hint, ...]:
        """Return the keys of the footer; the one that answers while it asks."""
        known = super().hints()
        if self.operation is None or self.operation.question is None:
            return known
        others = [hint for hint in known if hint.key not in {"r", "u", "A"}]
        return (
            *others[:2],
            Hint("y", "answer", self.why_not(action("answer")) is None),
            *others[2:],
        )

    def refuses(self, wanted: Action) -> str | None:
        """Say which state an action is for."""
        return why_not_now(wanted.id, self.operation) if wanted.group == "Operation" else None

    def draw(self) -> None:
        """Draw the operation."""
        width = self.app.size.width
        lines = []
        if self._failure is not None:
            lines = error_lines(self._failure.error, width, self.look.bad, self.look.text)
        if self.operation is None:
            words = f" Reading operation {clean(self._operation_id, 40)}…"
            lines += [] if self._failure else [Text(), styled(words, self.look.dim)]
        else:
            effect = effect_lines(
                self.operation, self._effects, self._settling, self.look, self.now, width
            )
            lines += operation_lines(
                self.operation, self._events, self.look, self.now, width, effect
            )
        self.lines.show(lines)
        self._keep_in_sight(lines)

    def _keep_in_sight(self, lines: list[Text]) -> None:
        """Scroll to the step at work when another one is, and to the result at the end."""
        operation = self.operation
        steps = operation.steps if operation is not None else ()
        at_work = next((s.name for s in reversed(steps) if s.phase is StepPhase.INTENT), "")
        if operation is None or operation.finished:
            at_work = ""
        if at_work == self._in_sight:
            return
        self._in_sight = at_work
        if not at_work:
            self.lines.scroll_home(animate=False)
            return
        place = next((i for i, line in enumerate(lines) if f" ▶ {at_work} " in line.plain), 0)
        self.lines.see(place, min(place + 1, len(lines) - 1))

    def operation_in_view(self) -> Operation | None:
        """Return the one that is followed."""
        return self.operation
