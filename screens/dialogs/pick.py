"""Pick some of a list of names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual.binding import Binding

from screens.dialogs.base import Dialog
from screens.rendering import clean, cut, fill, styled
from screens.widgets.footer import Hint
from screens.widgets.lines import Lines


class PickDialog(Dialog[tuple[str, ...]]):
    """
    Let names be ticked; picking is harmless, so ``enter`` takes what is ticked.

    Args:
        title: What they are for.
        names: All there are.
        picked: Ticked at first.
    """

    GUARD_SECONDS: ClassVar[float] = 0.0
    BINDINGS: ClassVar = [
        Binding("space", "tick", show=False),
        Binding("a", "all", show=False),
        Binding("k", "scroll_content(-1)", show=False),
        Binding("j", "scroll_content(1)", show=False),
    ]

    def __init__(self, title: str, names: Sequence[str], picked: Sequence[str]) -> None:
        super().__init__(title)
        self._names = tuple(names)
        self._picked = set(picked) & set(names)
        self._here = 0

    def content(self, width: int) -> list[Text]:
        """Return the names with their ticks."""
        lines = []
        for place, name in enumerate(self._names):
            tick = "■" if name in self._picked else "□"
            mark = "›" if place == self._here else " "
            line = styled(cut(f"{mark} {tick} {clean(name, 200)}", width), self.look.text)
            lines.append(fill(line, width, self.look.selected) if place == self._here else line)
        note = "nothing ticked means all" if not self._picked else f"{len(self._picked)} ticked"
        return [*lines, Text(), styled(f"   {note}", self.look.dim)]

    def answers(self) -> tuple[Hint, ...]:
        """Return what the keys do."""
        return (Hint("space", "tick"), Hint("a", "all"), Hint("enter", "take"),
                Hint("esc", "back"))  # fmt: skip

    def action_scroll_content(self, lines: int) -> None:
        """Move to another name."""
        self._here = max(0, min(len(self._names) - 1, self._here + lines))
        self.redraw()
        self.query_one("#body", Lines).see(self._here + self.above)

    def action_tick(self) -> None:
        """Tick or untick the name."""
        if self._names:
            self._picked ^= {self._names[self._here]}
            self.redraw()

    def action_all(self) -> None:
        """Untick everything, which means all."""
        self._picked.clear()
        self.redraw()

    def action_enter(self) -> None:
        """Take what is ticked."""
        self.dismiss(tuple(name for name in self._names if name in self._picked))
