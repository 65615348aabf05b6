"""Lines of text that reach the terminal only where they changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import zip_longest

from rich.style import Style
from rich.text import Text
from textual.events import Click, Resize
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from console.domain.sparks import LEVELS
from screens.terminal import Terminal

_NO_SPARKS = str.maketrans(dict.fromkeys(LEVELS, " "))


class Later:
    """
    A line that is made when it comes in sight, and once.

    Args:
        make: Returns it; called at most once.
    """

    __slots__ = ("_made", "_make")

    def __init__(self, make: Callable[[], Text]) -> None:
        self._make = make
        self._made: Text | None = None

    def made(self) -> Text:
        """Return the line."""
        if self._made is None:
            self._made = self._make()
        return self._made


def made(line: Text | Later) -> Text:
    """Return *line*, made now if it was not before."""
    return line.made() if isinstance(line, Later) else line


class Lines(ScrollView):
    """
    A block of prepared lines.

    :meth:`show` compares with what is drawn and repaints only the columns that
    differ; showing the same lines again costs nothing and writes nothing.
    Keys are the screen's; this only scrolls as it is told.
    """

    can_focus = False

    class Clicked(Message):
        """A line was clicked; ``y`` counts from the first line."""

        def __init__(self, y: int) -> None:
            super().__init__()
            self.y = y

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._lines: list[Text | Later] = []

    @property
    def allow_vertical_scroll(self) -> bool:
        """Scroll though no bar is drawn: Textual takes the bar for the permission."""
        return True

    @property
    def plain(self) -> str:
        """What is shown, as plain text, for tests and for copying."""
        return "\n".join(self._drawn(line).plain.rstrip() for line in self._lines)

    @property
    def more_below(self) -> bool:
        """Whether there are lines below what can be seen."""
        return 0 < self.size.height < len(self._lines) - self.scroll_offset.y

    def show(self, lines: Sequence[Text | Later]) -> None:
        """Show *lines*, repainting what differs from what is shown now, where it can be seen."""
        top = self.scroll_offset.y
        seen = slice(top, top + self.size.height)
        changed = [
            region
            for row, (old, new) in enumerate(zip_longest(self._lines[seen], lines[seen]))
            if (region := self._difference(row, old, new)) is not None
        ]
        self._lines = list(lines)
        wanted = Size(self.size.width, len(self._lines))
        if self.virtual_size.height != wanted.height:
            self.virtual_size = wanted
            self.refresh()
        elif changed:
            self.refresh(*changed)

    def _drawn(self, line: Text | Later) -> Text:
        """Return *line* as it is drawn here: where every byte counts without sparklines."""
        text = made(line)
        terminal = getattr(self.app, "terminal", None)
        if isinstance(terminal, Terminal) and terminal.low_bandwidth:
            text.plain = text.plain.translate(_NO_SPARKS)
        return text

    def _difference(
        self, row: int, old: Text | Later | None, new: Text | Later | None
    ) -> Region | None:
        before = None if old is None else self._drawn(old)
        after = None if new is None else self._drawn(new)
        if before is not None and after is not None and _same(before, after):
            return None
        first, last = _changed_span(before, after)
        last = self.size.width if last is None else last
        return Region(first, row, max(1, last - first), 1)

    def see(self, first: int, last: int | None = None) -> None:
        """Scroll as little as needed to see the lines from *first* to *last*."""
        last = first if last is None else last
        top, height = self.scroll_offset.y, self.size.height
        if first < top:
            self.scroll_to(y=first, animate=False)
        elif last >= top + height:
            self.scroll_to(y=min(first, last - height + 1), animate=False)

    def render_line(self, y: int) -> Strip:
        """Return one line as Textual draws it."""
        index = y + self.scroll_offset.y
        width = self.size.width
        if index >= len(self._lines):
            return Strip.blank(width, self.rich_style)
        strip = Strip(self._drawn(self._lines[index]).render(self.app.console))
        return strip.adjust_cell_length(width).apply_style(self.rich_style)

    def on_resize(self, event: Resize) -> None:
        """Keep the scrolled width equal to the drawn one."""
        self.virtual_size = Size(event.size.width, len(self._lines))

    def on_click(self, event: Click) -> None:
        """Tell which line was clicked."""
        self.post_message(self.Clicked(event.y + self.scroll_offset.y))


def _same(old: Text, new: Text) -> bool:
    return old == new and old.style == new.style


def _signs(line: Text) -> list[tuple[str, tuple[Style | str, ...]]]:
    styles: list[tuple[Style | str, ...]] = [()] * len(line)
    for start, end, style in line.spans:
        for index in range(start, min(end, len(styles))):
            styles[index] = (*styles[index], style)
    return list(zip(line.plain, styles, strict=True))


def _changed_span(old: Text | None, new: Text | None) -> tuple[int, int | None]:
    """
    Return the first and last changed cell of a line; None means up to the end.

    Only a line of one-cell signs whose length stayed is narrowed down; any
    other is repainted whole.
    """
    if old is None or new is None or old.style != new.style:
        return 0, None
    before, after = _signs(old), _signs(new)
    if any(line.cell_len != len(line) for line in (old, new)):
        return 0, None
    blank: tuple[str, tuple[Style | str, ...]] = (" ", ())
    differs = [
        index for index, (a, b) in enumerate(zip_longest(before, after, fillvalue=blank)) if a != b
    ]
    if not differs:
        return 0, None
    return differs[0], differs[-1] + 1
