"""Answer what an operation asks: a key for each answer, and none of them by default."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.binding import Binding
from textual.message import Message
from textual.widgets import Input

from console.domain.operations import OpenQuestion, Operation
from console.domain.questions import NO, WAIT, YES
from screens.dialogs.confirm import ConfirmDialog
from screens.messages import RequestDone
from screens.rendering import age, clean, paragraph, styled
from screens.widgets.footer import Hint

#: Keys by the word that they answer, with their short labels.
_KEYS = {YES: ("y", "go on"), NO: ("n", "go back"), WAIT: ("w", "wait on")}


class AnswerDialog(ConfirmDialog):
    """
    Show the question and what each answer does; ``enter`` and ``esc`` give none.

    Unanswered it ends as the question says, which is the safe choice.

    Args:
        operation: Asks.
        question: What it asks.
    """

    BINDINGS: ClassVar = [
        Binding("n", f"answer('{NO}')", show=False),
        Binding("w", f"answer('{WAIT}')", show=False),
    ]

    def __init__(self, operation: Operation, question: OpenQuestion) -> None:
        super().__init__(f"{operation.verb.capitalize()} asks", (), "go on", self._give)
        self._operation = operation
        self._question = question
        self._word = YES

    def on_mount(self) -> None:
        """Production asks for a reason."""
        self.reason_required = self.engine.settings.production

    def content(self, width: int) -> list[Text]:
        """Return the question, what was seen, what each answer does, and until when."""
        question = self._question
        left = (question.until - self.now).total_seconds()
        lines = [
            *paragraph([clean(question.text, 500)], width, self.look.strong),
            *paragraph([clean(question.seen, 500)], width, self.look.text),
            Text(),
        ]
        for word, means in question.choices.items():
            key = _KEYS[word][0] if word in _KEYS else " "
            lines.append(styled(f"   {key}  ", self.look.accent).append(clean(means, 200)))
        silence = question.choices.get(question.without_answer, question.without_answer)
        when = f"in {age(left)}" if left > 0 else "now"
        lines += [
            Text(),
            *paragraph(
                [f"Without an answer, {when}: {clean(silence, 200)}."], width, self.look.dim
            ),
        ]
        return [*lines, *self.outcome(width)]

    def answers(self) -> tuple[Hint, ...]:
        """Return no answer, marked as the default, and a key for each."""
        if self.error is not None:
            return (Hint("esc", "back"),)
        typing = isinstance(self.focused, Input)
        open_ = self.armed and self.can_confirm and not typing
        first = Hint("esc", "no answer") if typing else Hint("[enter]", "no answer (default)")
        keys = [_KEYS[word] for word in self._question.choices if word in _KEYS]
        return (first, *(Hint(key, label, open_) for key, label in keys), Hint("tab", "reason"))

    def action_yes(self) -> None:
        """Go on."""
        self.action_answer(YES)

    def action_answer(self, word: str) -> None:
        """Give the answer *word*, where it is one."""
        if word in self._question.choices:
            self._word = word
            super().action_yes()

    def _give(self, reason: str) -> Message:
        operation, word = self._operation, self._word
        self.engine.answer(operation.id, word, reason, self._question.step)
        return RequestDone(
            f"{clean(operation.plan.summary, 200)}: {clean(self._question.choices[word], 200)}"
        )
