"""The log's lines on the screen: only those in sight are ever drawn."""

from __future__ import annotations

from collections.abc import Callable

from rich.text import Text
from textual.events import Resize
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

#: How far long lines can be scrolled to the right.
_WIDEST = 4_100


class LogView(ScrollView):
    """
    A long list of lines, made into text one by one as they come into sight.

    Args:
        draw: Turns the entry at an index into its line.
    """

    can_focus = False

    def __init__(self, draw: Callable[[int], Text], *, id: str) -> None:
        super().__init__(id=id)
        self._draw_entry = draw
        self._count = 0
        self._offset = 0

    @property
    def at_end(self) -> bool:
        """Whether the newest line is in sight."""
        return self.scroll_offset.y >= self._count - self.size.height

    @property
    def first(self) -> int:
        """Index of the first line in sight."""
        return self.scroll_offset.y

    @property
    def plain(self) -> str:
        """What is in sight, as plain text."""
        last = min(self._count, self.first + self.size.height)
        return "\n".join(self._draw_entry(i).plain.rstrip() for i in range(self.first, last))

    def show_count(self, count: int, *, to_end: bool) -> None:
        """Draw anew with *count* lines; *to_end* brings the newest into sight."""
        self._count = count
        self.virtual_size = Size(self.size.width, count)
        if to_end:
            self.scroll_to(y=max(0, count - self.size.height), animate=False, force=True)
        self.refresh()

    def shift(self, cells: int) -> None:
        """Look further to the right or left of long lines."""
        self._offset = max(0, min(_WIDEST, self._offset + cells))
        self.refresh()

    def see(self, index: int) -> None:
        """Bring one line into sight, in the middle."""
        self.scroll_to(y=max(0, index - self.size.height // 2), animate=False, force=True)

    def render_line(self, y: int) -> Strip:
        """Return one line as Textual draws it."""
        index, width = y + self.scroll_offset.y, self.size.width
        if index >= self._count:
            return Strip.blank(width, self.rich_style)
        strip = Strip(self._draw_entry(index).render(self.app.console))
        strip = strip.crop_extend(self._offset, self._offset + width, self.rich_style)
        return strip.apply_style(self.rich_style)

    def on_resize(self, event: Resize) -> None:
        """Keep the scrolled width equal to the drawn one."""
        self.virtual_size = Size(event.size.width, self._count)
