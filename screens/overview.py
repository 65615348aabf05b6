"""Overview: what is wrong?  And, on the selected service, what can be done about it."""

from __future__ import annotations

from console.domain.filtering import SERVICE_WORDS, SORTS
from screens.acting import ActsOnServices
from screens.actions import bindings_on
from screens.overview_lines import Choice, overview_page
from screens.preferences import Kept
from screens.service_rows import Row


class OverviewScreen(ActsOnServices):
    """
    All services, worst first, and everything else that can be wrong.

    The selection is a name, not a place: rows may move, it stays on its service.
    """

    NAME = "overview"
    TITLE = "Overview"
    BINDINGS = bindings_on("overview")
    VOCABULARY = SERVICE_WORDS

    def __init__(self) -> None:
        super().__init__()
        self.expanded: set[str] = set()

    @property
    def selected(self) -> str | None:
        """The row that is selected: a service's or a replica's name, known to all screens."""
        return self.console_app.chosen

    @selected.setter
    def selected(self, name: str) -> None:
        self.console_app.chosen = name

    # Drawing -----------------------------------------------------------------

    def draw(self) -> None:
        """Draw the page and keep the selection in sight."""
        self.forget_reached_targets()
        body = self.lines
        choice = Choice(
            self.selected, frozenset(self.expanded), self.targets, self.filter, self.order
        )
        self._page = overview_page(
            self.view, self.look, self.now, self.app.size.width, body.size.height, choice
        )
        # Beneath another screen the selection is that screen's.
        if self.in_front and self._page.rows and self._row() is None:
            self.selected = self._nearest()
            self.draw()
            return
        body.show(self._page.lines)

    # Filter and order --------------------------------------------------------

    def kept(self) -> Kept:
        """Keep the order; a filter would hide the next time what is wrong then."""
        return {"order": self.order}

    def restore(self, kept: Kept) -> None:
        """Take up the order."""
        if kept["order"] not in SORTS:
            raise ValueError(kept["order"])
        self.order = kept["order"]

    # Selection ---------------------------------------------------------------

    def _nearest(self) -> str:
        """Return the row of the service whose replica is hidden now, else the first one."""
        snapshot = self.view.snapshot
        owners = {r.name: s.name for s in snapshot.services for r in s.replicas} if snapshot else {}
        keys = [row.key for row in self._page.rows]
        owner = owners.get(self.selected or "")
        return owner if owner in keys else keys[0]

    def _row(self) -> Row | None:
        return next((row for row in self._page.rows if row.key == self.selected), None)

    def service_name(self) -> str | None:
        """Return the service of the selected row."""
        row = self._row()
        return row.service if row else None

    def chosen_name(self) -> str | None:
        """Return the selected row: a service's or a replica's name."""
        return self.selected

    def _move(self, by: int) -> None:
        rows = self._page.rows
        row = self._row()
        if not rows:
            return
        here = rows.index(row) if row else 0
        chosen = rows[max(0, min(len(rows) - 1, here + by))]
        self.selected = chosen.key
        # The first row shows what stands above it too, the last what lies beneath.
        first = 0 if chosen is rows[0] else chosen.first
        last = len(self._page.lines) - 1 if chosen is rows[-1] else chosen.last
        self.lines.see(first, chosen.last)
        if last - first < self.lines.size.height:
            self.lines.see(first, last)

    def do_up(self) -> None:
        """Select the row above."""
        self._move(-1)

    def do_down(self) -> None:
        """Select the row below."""
        self._move(1)

    def do_top(self) -> None:
        """Select the first row."""
        self._move(-len(self._page.rows))
        self.lines.scroll_home(animate=False)

    def do_bottom(self) -> None:
        """Select the last row and show the end."""
        self._move(len(self._page.rows))
        self.lines.scroll_end(animate=False)

    def do_expand(self) -> None:
        """Show the replicas of the selected service."""
        self.expanded |= {name for name in [self.service_name()] if name}

    def do_collapse(self) -> None:
        """Hide them again."""
        name = self.service_name()
        if name:
            self.expanded -= {name}
            self.selected = name

    def do_enter(self) -> None:
        """Plan the pending targets, else say why the service is as it is."""
        if self.targets:
            self.propose_scale(self.targets)
        else:
            self.console_app.open_screen("service")
