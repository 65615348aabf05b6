"""The footer: what the keys do here, or what the console just said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text

from screens.look import Look
from screens.rendering import between, clean, fill, styled
from screens.widgets.lines import Lines


@dataclass(frozen=True, slots=True)
class Hint:
    """One key of the footer; drawn dim when it cannot be used now."""

    key: str
    label: str
    enabled: bool = True


class Footer(Lines):
    """One line."""

    def show_hints(self, hints: Sequence[Hint], look: Look) -> None:
        """Draw the keys."""
        self.show([hint_line(hints, look, self.app.size.width)])

    def show_words(self, words: str, look: Look) -> None:
        """Draw a sentence until the next key."""
        width = self.app.size.width
        line = between(styled(f" {clean(words, 400)}", look.warn), Text(), width)
        self.show([fill(line, width, look.bar)])


def hint_line(hints: Sequence[Hint], look: Look, width: int) -> Text:
    """Return as many *hints* as fit *width*, in their order."""
    line = styled(" ")
    for hint in hints:
        label = clean(hint.label, 200)  # it may name what is selected
        if line.cell_len + len(hint.key) + len(label) + 3 > width:
            break
        line.append(hint.key, look.strong if hint.enabled else look.dim)
        line.append(f" {label}  ", look.text if hint.enabled else look.dim)
    return fill(line, width, look.bar)
