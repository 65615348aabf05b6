"""The log's lines on the screen: only those in sight are ever drawn."""

from __future__ import annotations

from collections.abc import Callable

from rich.text import Text
from textual.events import MouseScrollDown, MouseScrollUp, Resize
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from screens.rendering import fold_text

#: How far long lines can be looked at to the right.
_WIDEST = 4_100


class LogView(Widget):
    """
    A long list of entries, made into text one by one as they come into sight.

    What is in sight is told by the entry at the top and the row of it (a wrapped entry has
    several); at the end the newest entry is at the bottom and stays there.

    Args:
        draw: Turns the entry at an index into its line, with the cells of its columns.
    """

    can_focus = False

    def __init__(self, draw: Callable[[int], tuple[Text, int]], *, id: str) -> None:
        super().__init__(id=id)
        self._draw_entry = draw
        self._count = 0
        self._offset = 0
        self._top = (0, 0)
        self._rows: list[tuple[int, Text]] = []
        self.wrap = False
        self.at_end = True

    @property
    def first(self) -> int:
        """Index of the first entry in sight."""
        return self._rows[0][0] if self._rows else 0

    @property
    def last(self) -> int:
        """Index of the last entry in sight."""
        return self._rows[-1][0] if self._rows else 0

    @property
    def plain(self) -> str:
        """What is in sight, as plain text."""
        return "\n".join(row.plain.rstrip() for _, row in self._rows)

    def know_count(self, count: int, *, to_end: bool, fallen: int = 0) -> None:
        """
        Know how many entries there are; :meth:`layout_rows` draws them.

        Args:
            count: How many there are now.
            to_end: Bring the newest into sight and keep it there.
            fallen: Entries gone at the top since; what is in sight stays where it is.
        """
        self._count = count
        index, row = self._top
        self._top = (index - fallen, row) if index >= fallen else (0, 0)
        self.at_end = self.at_end if not to_end else True

    def hold(self) -> None:
        """Keep what is in sight in place though newer entries come."""
        self.at_end = False

    def move(self, rows: int) -> None:
        """Go on by some rows, back if negative; at the last one it stays with the newest."""
        index, row = self._top
        row += rows
        while row < 0 and index > 0:
            index -= 1
            row += len(self._entry(index))
        while index < self._count - 1 and row >= (height := len(self._entry(index))):
            index, row = index + 1, row - height
        self._top, self.at_end = (index, max(0, row)), False
        self.layout_rows()

    def see(self, index: int, *, at_top: bool = False) -> None:
        """Bring one entry into sight, in the middle or as the first."""
        self._top, self.at_end = (index, 0), False
        if at_top:
            self.layout_rows()
        else:
            self.move(-(self.size.height // 2))

    def shift(self, cells: int) -> None:
        """Look further to the right or left of long lines."""
        self._offset = max(0, min(_WIDEST, self._offset + cells))
        self.refresh()

    def toggle_wrap(self) -> None:
        """Break long lines, or look at them sideways."""
        self.wrap, self._offset = not self.wrap, 0
        self._top = (self._top[0], 0)
        self.layout_rows()

    # Drawing -----------------------------------------------------------------

    def _entry(self, index: int) -> list[Text]:
        line, columns = self._draw_entry(index)
        if not self.wrap:
            return [line]
        return fold_text(line, self.size.width, min(columns, self.size.width // 2))

    def layout_rows(self) -> None:
        """Find out what is in sight, and repaint the rows that are not as they were."""
        height = self.size.height
        rows: list[tuple[int, Text]] = []
        if not self.at_end:
            index, skip = self._top
            while index < self._count and len(rows) < height:
                rows += [(index, row) for row in self._entry(index)[skip:]]
                index, skip = index + 1, 0
            self.at_end = len(rows) < height or (index >= self._count and len(rows) == height)
        if self.at_end:
            rows, index = [], self._count - 1
            while index >= 0 and len(rows) < height:
                rows = [(index, row) for row in self._entry(index)] + rows
                index -= 1
            cut = max(0, len(rows) - height)
            top = rows[cut][0] if rows else 0
            above = sum(found == top for found, _ in rows[:cut])
            self._top = (top, above)
            rows = rows[cut:]
        rows = rows[:height]
        changed = [
            y
            for y in range(max(len(rows), len(self._rows)))
            if y >= len(rows) or y >= len(self._rows) or not _same(rows[y][1], self._rows[y][1])
        ]
        self._rows = rows
        if changed:
            width = self.size.width
            self.refresh(*(Region(0, y, width, 1) for y in changed))

    def render_line(self, y: int) -> Strip:
        """Return one row as Textual draws it."""
        width = self.size.width
        if y >= len(self._rows):
            return Strip.blank(width, self.rich_style)
        strip = Strip(self._rows[y][1].render(self.app.console))
        strip = strip.crop_extend(self._offset, self._offset + width, self.rich_style)
        return strip.apply_style(self.rich_style)

    def on_resize(self, event: Resize) -> None:
        """Draw for the new size."""
        del event
        self.layout_rows()
        self.refresh()

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        """Go back by a few rows."""
        event.stop()
        self.move(-3)

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        """Go on by a few rows."""
        event.stop()
        self.move(3)


def _same(old: Text, new: Text) -> bool:
    return old.plain == new.plain and old.spans == new.spans and old.style == new.style
