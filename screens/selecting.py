"""The keys that move a selection, for a screen that can say how its own moves."""

from __future__ import annotations

from abc import abstractmethod

from screens.screen import ConsoleScreen

#: More than any list has rows: as far as it goes.
_ALL = 1_000_000


class Selects(ConsoleScreen):
    """
    To be inherited from, where one of several things is always selected.

    Abstract to type checker and tests alone: Textual's metaclass leaves no room for abc's.
    """

    @abstractmethod
    def move(self, by: int) -> None:
        """Select what lies *by* further down (up when negative), at most the last or first."""

    def page_rows(self) -> int:
        """Return how far a page goes."""
        return 8

    def do_up(self) -> None:
        """Select the one above."""
        self.move(-1)

    def do_down(self) -> None:
        """Select the one below."""
        self.move(1)

    def do_page_up(self) -> None:
        """Select one a page higher."""
        self.move(-self.page_rows())

    def do_page_down(self) -> None:
        """Select one a page lower."""
        self.move(self.page_rows())

    def do_top(self) -> None:
        """Select the first."""
        self.move(-_ALL)

    def do_bottom(self) -> None:
        """Select the last."""
        self.move(_ALL)
