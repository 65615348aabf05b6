"""Every key of a screen, by group, with why it cannot be used now."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.binding import Binding

from screens.actions import Tier, offered_on
from screens.dialogs.base import Dialog
from screens.rendering import beside, paragraph, put, styled
from screens.service_rows import WIDE
from screens.widgets.footer import Hint

if TYPE_CHECKING:
    from screens.screen import ConsoleScreen


class HelpDialog(Dialog[None]):
    """
    Help, made from the registry of actions.

    Args:
        screen: The screen whose keys are shown.
    """

    GUARD_SECONDS: ClassVar[float] = 0.0
    BINDINGS: ClassVar = [Binding("question_mark,q", "cancel", show=False)]

    def __init__(self, screen: ConsoleScreen) -> None:
        super().__init__(f"Keys on {screen.title or screen.TITLE}")
        self._screen = screen

    def content(self, width: int) -> list[Text]:
        """Return the groups, in two columns where there is room."""
        column = (width - 5) // 2 if width >= WIDE else width - 2
        blocks = self._blocks(column)
        first = []
        if self._read_only:
            words = f"▲ read-only: this is {self.view.environment}; w takes write access"
            first = [*paragraph([words], width, self.look.warn), Text()]
        if width < WIDE:
            return [*first, *(line for block in blocks for line in block)]
        half = sum(map(len, blocks)) / 2
        left: list[Text] = []
        right: list[Text] = []
        for block in blocks:
            (left if len(left) + len(block) / 2 <= half else right).extend(block)
        return [*first, *beside(left, right, column + 1)]

    @property
    def _read_only(self) -> bool:
        return self.view.access is not None and not self.view.may_write(self.now)

    def _blocks(self, width: int) -> list[list[Text]]:
        groups: dict[str, list[Text]] = {}
        for entry in offered_on(self._screen.NAME, self.view):
            reason = self._screen.why_not(entry)
            style = self.look.text if reason is None else self.look.dim
            why = (reason or "").partition(":")[0] if self._read_only else reason
            words = entry.label if reason is None else f"{entry.label} ({why})"
            mark = {Tier.CHANGING: " asks", Tier.SEVERE: " asks twice"}.get(entry.tier, "")
            line = put(
                styled(" "), entry.shown or ":", 7, self.look.strong if reason is None else style
            )
            put(line, words + ("" if reason else mark and f" ·{mark}"), width - 8, style)
            groups.setdefault(entry.group, []).append(line)
        # The screen's own keys first: they are what was asked for.
        last = ("Go to", "Console", "Move")
        own = sorted(groups, key=lambda group: last.index(group) if group in last else -1)
        blocks = [[styled(f" {g}", self.look.accent), *groups[g], Text()] for g in own]
        explained = self._screen.explained()
        if explained is not None:
            title, pairs = explained
            lines = [styled(f" {title}", self.look.accent)]
            for words, meaning in pairs:
                line = put(styled(" "), words, max(18, len(words) + 2), self.look.strong)
                line.append(meaning, self.look.text)
                line.truncate(width, overflow="ellipsis")
                lines.append(line)
            blocks.insert(1, [*lines, Text()])
        return blocks

    def answers(self) -> tuple[Hint, ...]:
        """Return the way back."""
        return (Hint("esc", "back"), Hint("↑↓", "scroll"), Hint("dim", "not now, and why", False))
