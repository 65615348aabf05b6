"""Settle an operation: the confirmations of resume, undo, accept, cancel, and its answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from console.domain.operations import Operation
from screens.dialogs.answer import AnswerDialog
from screens.dialogs.confirm import ConfirmDialog
from screens.insight import Insight
from screens.messages import RequestDone
from screens.rendering import clean

if TYPE_CHECKING:
    from console.engine import Engine


def settle_dialog(verb: str, operation: Operation, engine: Engine) -> ConfirmDialog:
    """
    Return the dialog that asks before *verb* is done to *operation*.

    Args:
        verb: ``resume``, ``undo``, ``accept`` or ``cancel``.
        operation: What it is done to.
        engine: Does it, in the dialog's thread.
    """
    summary = clean(operation.plan.summary, 200)
    commands = [f"  {clean(step.command or step.name, 500)}" for step in operation.plan.undo]
    work: dict[str, tuple[tuple[str, ...], str, Callable[[str], None], str]] = {
        "resume": (
            (
                "The same plan runs again; each step that is already true is skipped.",
                "It runs in its own process and goes on if this console is closed.",
            ),
            "resume it",
            lambda reason: engine.resume(operation.id, reason),
            "resumed",
        ),
        "undo": (
            ("What was done is taken back by the plan stored with it:", *commands),
            "undo it",
            lambda reason: engine.undo(operation.id, reason),
            "undo begun",
        ),
        "accept": (
            (
                "The present state is declared right, as it stands. Nothing is run.",
                "After that new operations are possible again.",
            ),
            "accept it",
            lambda reason: engine.accept(operation.id, reason),
            "accepted",
        ),
        "cancel": (
            (
                "The step under way is finished; then what was done is taken back.",
                "Nothing is killed in the middle.",
            ),
            "cancel the operation",
            lambda _: engine.cancel(operation.id),
            "asked to stop at the next step",
        ),
    }
    explanation, yes, do, done = work[verb]

    def settle(reason: str) -> RequestDone:
        do(reason)
        return RequestDone(f"{summary}: {done}")

    return ConfirmDialog(
        f"{verb.capitalize()}: {summary}",
        explanation,
        yes,
        settle,
        asks_reason=verb != "cancel",
        reason_required=verb == "accept" or engine.settings.production,
    )


class SettlesOperations(Insight):
    """The actions on an operation, for any screen that has one in view."""

    def operation_in_view(self) -> Operation | None:
        """Return what the actions are done to; None when there is none."""
        return None

    def _settle(self, verb: str) -> None:
        operation = self.operation_in_view()
        if operation is not None:
            dialog = settle_dialog(verb, operation, self.engine)
            self.console_app.push_screen(dialog, self._settled)

    def _settled(self, answer: object) -> None:
        if isinstance(answer, RequestDone):
            self.console_app.say(answer.words)

    def do_resume(self) -> None:
        """Ask to run it again."""
        self._settle("resume")

    def do_undo(self) -> None:
        """Ask to take it back."""
        self._settle("undo")

    def do_accept(self) -> None:
        """Ask to declare the present state right."""
        self._settle("accept")

    def do_answer(self) -> None:
        """Ask which answer is given to its question."""
        operation = self.operation_in_view()
        if operation is not None and operation.question is not None:
            dialog = AnswerDialog(operation, operation.question)
            self.console_app.push_screen(dialog, self._settled)

    def do_cancel(self) -> None:
        """Ask to stop it at its next step."""
        self._settle("cancel")
