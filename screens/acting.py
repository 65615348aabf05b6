"""A list of services or replicas, and what can be done to the one at hand: Overview, Service."""

from __future__ import annotations

from console.domain.filtering import SORTS
from console.domain.services import Service
from screens.actions import Action
from screens.dialogs.plan import PlanDialog
from screens.dialogs.scale import HIGHEST_TARGET, ScaleDialog
from screens.filtered import FilteredScreen
from screens.service_rows import Page
from screens.widgets.footer import Hint
from screens.widgets.lines import Lines

#: Actions that need nothing but a service.
_NEED_SERVICE = frozenset(
    {"enter", "ask_again", "expand", "collapse", "service_logs", "restart", "resize"}
)


class ActsOnServices(FilteredScreen):
    """
    A screen with a service at hand, and maybe one of its replicas.

    Targets of scaling are kept by service until they are planned, dropped or reached.
    """

    def __init__(self) -> None:
        super().__init__()
        self.targets: dict[str, int] = {}
        self.order = SORTS[0]
        self._page = Page([], [])

    # For the screens to fill in ----------------------------------------------

    def service_name(self) -> str | None:
        """Return the service at hand."""
        return None

    def chosen_name(self) -> str | None:
        """Return the replica that is chosen, else the service."""
        return self.service_name()

    # -------------------------------------------------------------------------

    def service(self) -> Service | None:
        """Return the service at hand as it is now."""
        name, snapshot = self.service_name(), self.view.snapshot
        return snapshot.service(name) if name and snapshot else None

    def hints(self) -> tuple[Hint, ...]:
        """Return the footer; while a target is pending it is all about that."""
        if not self.targets or self._typing:
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
        """Say why the service at hand cannot be scaled, or that there is none."""
        if wanted.id == "ask_again" and self.then is not None:
            return "what the runtime tells is of now: . goes back to now"
        if wanted.id in _NEED_SERVICE and not self.targets:
            return None if self.service_name() else "no service is selected"
        if wanted.id not in {"scale", "autoscale"} and not wanted.id.startswith("scale_"):
            return None
        service = self.service()
        if service is None:
            return "no service is selected"
        if self.engine.settings.policy.bounds(service.name, service.role) is None:
            return f"{service.name} is not scaled: it has no scale policy"
        if wanted.id == "autoscale" and service.single:
            return f"there can be only one {service.name}: {service.single}"
        return None

    # The list ----------------------------------------------------------------

    def titled(self) -> str:
        """Return the title with filter and order, where they are not the usual ones."""
        parts = [self.TITLE]
        if self.filter:
            parts.append(f"filter {self.filter.text}")
        if self.order != SORTS[0]:
            parts.append(f"by {self.order}")
        return " · ".join(parts)

    def do_sort(self) -> None:
        """Sort by the next figure."""
        self.order = SORTS[(SORTS.index(self.order) + 1) % len(SORTS)]

    def on_lines_clicked(self, message: Lines.Clicked) -> None:
        """Select the row that was clicked."""
        for row in self._page.rows:
            if row.first <= message.y <= row.last:
                self.console_app.chosen = row.key
        self.redraw()

    # Scaling -----------------------------------------------------------------

    def _desired(self, name: str) -> int:
        service = self.view.snapshot.service(name) if self.view.snapshot else None
        return service.desired if service else 0

    def _aim(self, target: int) -> None:
        name = self.service_name()
        if name is None:
            return
        target = max(0, min(HIGHEST_TARGET, target))
        if target == self._desired(name):
            self.targets.pop(name, None)
        else:
            self.targets[name] = target

    def _aimed(self) -> int:
        name = self.service_name() or ""
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

    def do_scale(self) -> None:
        """Open the scale wizard on the service at hand, at its target so far."""
        name = self.service_name()
        if name:
            self.propose_scale({name: self._aimed()})

    def propose_scale(self, targets: dict[str, int]) -> None:
        """Open the scale wizard."""
        app = self.console_app
        dialog = ScaleDialog(targets, reason_required=app.reason_required)
        app.propose(dialog, begun=self.targets.clear)

    def forget_reached_targets(self) -> None:
        """Drop the targets that the services have by now."""
        snapshot = self.view.snapshot
        if self.view.rewound is not None:
            self.targets = {}  # what is wished for is of now
        elif snapshot is not None:
            self.targets = {
                name: target
                for name, target in self.targets.items()
                if (service := snapshot.service(name)) and service.desired != target
            }

    def do_back(self) -> None:
        """Leave the prompt, else drop the targets, then the filter, then the screen."""
        if self.targets and not self._typing:
            self.targets.clear()
        else:
            super().do_back()

    # Others ------------------------------------------------------------------

    def do_resize(self) -> None:
        """Ask for other limits of the service at hand."""
        service = self.service()
        if service is not None:
            self.console_app.resize(service)

    def do_autoscale(self) -> None:
        """Ask whether the agent is to scale the service at hand by itself."""
        service = self.service()
        if service is not None:
            self.console_app.turn_autoscale(service)

    def do_restart(self) -> None:
        """Plan a restart of the service at hand, or of the one replica chosen."""
        name, chosen = self.service_name(), self.chosen_name()
        if name is None or chosen is None:
            return
        app = self.console_app
        wish = {"services": [chosen]}
        app.propose(PlanDialog("restart", wish, reason_required=app.reason_required, name=name))

    def do_service_logs(self) -> None:
        """Show the logs of the service at hand alone."""
        from screens.logs import LogsScreen

        name = self.service_name()
        logs = self.console_app.open_screen("logs")
        if name and isinstance(logs, LogsScreen):
            logs.only(name)
