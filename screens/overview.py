"""Overview: what is wrong?  And, on the selected service, scaling by keyboard."""

from __future__ import annotations

from screens.actions import Action, bindings_on
from screens.dialogs.plan import PlanDialog
from screens.dialogs.scale import HIGHEST_TARGET, ScaleDialog
from screens.overview_lines import Page, Row, overview_page
from screens.screen import ConsoleScreen
from screens.widgets.footer import Hint
from screens.widgets.lines import Lines


class OverviewScreen(ConsoleScreen):
    """
    All services, worst first, and everything else that can be wrong.

    The selection is a name, not a place: rows may move, it stays on its service.
    """

    NAME = "overview"
    TITLE = "Overview"
    BINDINGS = bindings_on("overview")

    def __init__(self) -> None:
        super().__init__()
        self.selected: str | None = None
        self.expanded: set[str] = set()
        self.targets: dict[str, int] = {}
        self._page = Page([], [])

    # Drawing -----------------------------------------------------------------

    def draw(self) -> None:
        """Draw the page and keep the selection in sight."""
        self._forget_reached_targets()
        body = self.lines
        self._page = overview_page(
            self.view,
            self.look,
            self.now,
            self.app.size.width,
            body.size.height,
            selected=self.selected,
            expanded=frozenset(self.expanded),
            targets=self.targets,
        )
        if self.selected is None and self._page.rows:
            self.selected = self._page.rows[0].key
            self.draw()
            return
        body.show(self._page.lines)

    def hints(self) -> tuple[Hint, ...]:
        """Return the footer; while a target is pending it is all about that."""
        if not self.targets:
            return super().hints()
        wish = ", ".join(f"{name} {self._desired(name)} → {n}" for name, n in self.targets.items())
        return (
            Hint("?", "help"),
            Hint("q", "quit"),
            Hint("enter", f"plan {wish}"),
            Hint("esc", "drop"),
            Hint("+ - 0–9", "target"),
        )

    def refuses(self, wanted: Action) -> str | None:
        """Say why the selected service cannot be scaled, or has no logs to show."""
        if wanted.id in {"enter", "expand", "collapse", "service_logs", "restart", "resize"}:
            return None if self._service_name() else "no service is selected"
        if wanted.id not in {"scale", "autoscale"} and not wanted.id.startswith("scale_"):
            return None
        name = self._service_name()
        snapshot = self.view.snapshot
        service = snapshot.service(name) if name and snapshot else None
        if service is None:
            return "no service is selected"
        if self.engine.settings.policy.bounds(service.name, service.role) is None:
            return f"{name} is not scaled: it has no scale policy"
        if wanted.id == "autoscale" and service.single:
            return f"there can be only one {name}: {service.single}"
        return None

    # Selection ---------------------------------------------------------------

    def _row(self) -> Row | None:
        return next((row for row in self._page.rows if row.key == self.selected), None)

    def _service_name(self) -> str | None:
        row = self._row()
        return row.service if row else None

    def _desired(self, name: str) -> int:
        service = self.view.snapshot.service(name) if self.view.snapshot else None
        return service.desired if service else 0

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

    def on_lines_clicked(self, message: Lines.Clicked) -> None:
        """Select the row that was clicked."""
        for row in self._page.rows:
            if row.first <= message.y <= row.last:
                self.selected = row.key
        self.redraw()

    def do_expand(self) -> None:
        """Show the replicas of the selected service."""
        self.expanded |= {name for name in [self._service_name()] if name}

    def do_collapse(self) -> None:
        """Hide them again."""
        name = self._service_name()
        if name:
            self.expanded -= {name}
            self.selected = name

    # Scaling -----------------------------------------------------------------

    def _aim(self, target: int) -> None:
        name = self._service_name()
        if name is None:
            return
        target = max(0, min(HIGHEST_TARGET, target))
        if target == self._desired(name):
            self.targets.pop(name, None)
        else:
            self.targets[name] = target

    def _aimed(self) -> int:
        name = self._service_name() or ""
        return self.targets.get(name, self._desired(name))

    def do_scale_up(self) -> None:
        """Aim at one replica more."""
        self._aim(self._aimed() + 1)

    def do_scale_down(self) -> None:
        """Aim at one replica less."""
        self._aim(self._aimed() - 1)

    def do_scale_set(self) -> None:
        """Aim at the digit pressed."""
        self._aim(int(self.pressed_key))

    def do_back(self) -> None:
        """Drop the targets; there is nothing further back."""
        self.targets.clear()

    def _forget_reached_targets(self) -> None:
        snapshot = self.view.snapshot
        if snapshot is not None:
            self.targets = {
                name: target
                for name, target in self.targets.items()
                if (service := snapshot.service(name)) and service.desired != target
            }

    def do_enter(self) -> None:
        """Open the plan of the pending targets, else the replicas of the service."""
        if not self.targets:
            name = self._service_name()
            if name:
                self.expanded ^= {name}
                self.selected = name
            return
        self._propose_scale(self.targets)

    def do_scale(self) -> None:
        """Open the scale wizard on the selected service, at its target so far."""
        name = self._service_name()
        if name:
            self._propose_scale({name: self._aimed()})

    def _propose_scale(self, targets: dict[str, int]) -> None:
        app = self.console_app
        dialog = ScaleDialog(targets, reason_required=app.reason_required)
        app.propose(dialog, begun=self.targets.clear)

    def do_resize(self) -> None:
        """Ask for other limits of the selected service."""
        name, snapshot = self._service_name(), self.view.snapshot
        service = snapshot.service(name) if name and snapshot else None
        if service is not None:
            self.console_app.resize(service)

    def do_autoscale(self) -> None:
        """Ask whether the agent is to scale the selected service by itself."""
        name, snapshot = self._service_name(), self.view.snapshot
        service = snapshot.service(name) if name and snapshot else None
        if service is not None:
            self.console_app.turn_autoscale(service)

    # Restarting --------------------------------------------------------------

    def do_restart(self) -> None:
        """Plan a restart of the selected service, or of the one replica selected."""
        name = self._service_name()
        if name is None or self.selected is None:
            return
        app = self.console_app
        app.propose(
            PlanDialog(
                "restart",
                {"services": [self.selected]},
                reason_required=app.reason_required,
                name=name,
            )
        )

    def do_service_logs(self) -> None:
        """Show the logs of the selected service alone."""
        from screens.logs import LogsScreen

        name = self._service_name()
        logs = self.console_app.open_screen("logs")
        if name and isinstance(logs, LogsScreen):
            logs.only(name)
