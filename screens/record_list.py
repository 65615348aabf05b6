"""A list of the journal's records: a selection by key, paged, filtered, older ones on demand."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

from rich.text import Text

from screens.dialogs.confirm import error_lines
from screens.filtered import FilteredScreen
from screens.messages import RequestFailed
from screens.record_feeds import RecordsFeed
from screens.rendering import clean, plural, styled
from screens.selecting import Selects
from screens.widgets.lines import Lines

#: Lines above the first record.
ABOVE = 1
#: Matching records kept ready beyond what is in sight.
_AHEAD = 60

#: Rows drawn beyond what is in sight, for who turns the wheel.
_MARGIN = 30
#: Stands for a row that cannot be seen.
_FAR = Text()

_T = TypeVar("_T")


class RecordList(Selects, FilteredScreen, Generic[_T]):
    """To be inherited from; the selection stays on its record while others come."""

    def __init__(self) -> None:
        super().__init__()
        self.records: tuple[_T, ...] | None = None
        self.whole = False
        self.selected: object = None
        self._failure: RequestFailed | None = None
        self._feed: RecordsFeed[_T, Any] | None = None
        self._shown: tuple[_T, ...] = ()

    # For the screen to fill in -----------------------------------------------

    @abstractmethod
    def feed(self) -> RecordsFeed[_T, Any]:
        """Return what reads the records, not yet started."""

    @abstractmethod
    def key_of(self, record: _T) -> object:
        """Return what tells a record from the others."""

    @abstractmethod
    def matches(self, record: _T) -> bool:
        """Whether the filter keeps it."""

    @abstractmethod
    def heading(self) -> Text:
        """Return the line above the first."""

    @abstractmethod
    def row(self, record: _T, width: int, *, here: bool) -> Text:
        """Return its line."""

    @abstractmethod
    def nothing(self) -> list[Text]:
        """Return what is said when there is no record."""

    def preferred(self, shown: Sequence[_T]) -> _T:
        """Return the record that is selected at first."""
        return shown[0]

    # -------------------------------------------------------------------------

    def entered(self) -> None:
        """Begin to read."""
        self._feed = self.feed()
        self._feed.start()

    def left(self) -> None:
        """Stop reading."""
        if self._feed is not None:
            self._feed.stop()

    def listed(self, records: tuple[_T, ...], *, whole: bool) -> None:
        """Take what was read and draw it."""
        self.records, self.whole, self._failure = records, whole, None
        self.filter_changed()
        self.redraw()

    def on_request_failed(self, message: RequestFailed) -> None:
        """Say that the journal does not answer; what is known stays."""
        self._failure = message
        self.redraw()

    def filter_changed(self) -> None:
        """Look through what is known, and for more where that is not enough."""
        records = self.records or ()
        self._shown = tuple(r for r in records if self.matches(r)) if self.filter else records
        if self._shown and self.in_view() is None:
            self.selected = self.key_of(self.preferred(self._shown))
        self._look_ahead()

    def _look_ahead(self) -> None:
        ahead = len(self._shown) - self._place()
        if self._feed is not None and not self.whole and self.records and ahead < _AHEAD:
            self._feed.more()

    def in_view(self) -> _T | None:
        """Return the selected record."""
        return next((r for r in self._shown if self.key_of(r) == self.selected), None)

    def _place(self) -> int:
        keys = (i for i, r in enumerate(self._shown) if self.key_of(r) == self.selected)
        return next(keys, 0)

    def draw(self) -> None:
        """Draw the list."""
        width, look = self.app.size.width, self.look
        lines: list[Text] = []
        if self._failure is not None:
            lines = [Text(), *error_lines(self._failure.error, width, look.bad, look.text)]
        if self.records is None:
            lines += [] if lines else [Text(), styled(" Reading the journal…", look.dim)]
        elif not self.records:
            lines += self.nothing()
        else:
            lines += [self.heading()]
            near = self._near()
            lines += [
                self.row(record, width, here=self.key_of(record) == self.selected)
                if place in near
                else _FAR
                for place, record in enumerate(self._shown)
            ]
            lines.append(self._ending())
        self.lines.show(lines)

    def _near(self) -> set[int]:
        """Return the places that can be in sight before the next draw: a journal is long."""
        top, height, here = self.lines.scroll_offset.y, self.lines.size.height, self._place()
        return {
            *range(top - _MARGIN, top + height + _MARGIN),
            *range(here - height - _MARGIN, here + height + _MARGIN),
        }

    def _ending(self) -> Text:
        if self.filter:
            words = f" {plural(len(self._shown), 'record')} match {clean(self.filter.text, 200)}"
            words += "" if self.whole else "; looking further back…"
            return styled(f"{words}; esc: all", self.look.accent)
        words = "the journal begins here" if self.whole else "reading older ones…"
        return styled(f" {words}", self.look.dim)

    # Keys --------------------------------------------------------------------

    def page_rows(self) -> int:
        """Return what is in sight."""
        return self.lines.size.height

    def move(self, by: int) -> None:
        """Select another record, and see to it that older ones are there in time."""
        if not self._shown:
            return
        last = len(self._shown) - 1
        place = max(0, min(last, self._place() + by))
        self.selected = self.key_of(self._shown[place])
        self.draw()
        self.lines.see(0 if place == 0 else place + ABOVE, place + ABOVE + (place == last))
        self._look_ahead()

    def on_lines_clicked(self, message: Lines.Clicked) -> None:
        """Select what was clicked."""
        place = message.y - ABOVE
        if 0 <= place < len(self._shown):
            self.selected = self.key_of(self._shown[place])
            self.redraw()
