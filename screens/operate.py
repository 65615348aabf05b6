"""Begin operations: which dialog asks for which verb, and what follows a yes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, cast

from console.domain.plans import Json
from console.domain.services import Service
from screens.dialogs.autoscale import AutoscaleDialog
from screens.dialogs.maintenance import MaintenanceDialog
from screens.dialogs.plan import PlanDialog
from screens.dialogs.scale import ScaleDialog, emergency_targets
from screens.dialogs.settings import SettingsDialog
from screens.dialogs.wish import ResizeDialog
from screens.follow import FollowScreen
from screens.messages import OperationSubmitted, RequestDone

if TYPE_CHECKING:
    from screens.application import ConsoleApp


class Operates:
    """To be mixed into the app: the operations that are no one screen's business."""

    @property
    def _app(self) -> ConsoleApp:
        return cast("ConsoleApp", self)

    def do_test_alerts(self) -> None:
        """Send a test to every receiver of alerts."""
        from screens.dialogs.delivery import DeliveryDialog

        def answered(answer: object) -> None:
            if isinstance(answer, RequestDone):
                self._app.say(answer.words)

        self._app.push_screen(DeliveryDialog(), answered)

    def propose(self, dialog: PlanDialog, begun: Callable[[], None] = lambda: None) -> None:
        """
        Ask for a change with *dialog* and follow it live when it was confirmed.

        Args:
            dialog: Asks.
            begun: Called once it is submitted.
        """

        def answered(answer: object) -> None:
            if isinstance(answer, OperationSubmitted):
                begun()
                self._app.show_above(FollowScreen(answer.operation.id, answer.operation))
            elif isinstance(answer, RequestDone):
                self._app.say(answer.words)

        self._app.push_screen(dialog, answered)

    @property
    def reason_required(self) -> bool:
        """Whether a change here has to be given a reason."""
        return self._app.view.production

    def do_restart_all(self) -> None:
        """Plan a rolling restart of everything."""
        self._plan("restart", {"all": True})

    def do_restart_complete(self) -> None:
        """Plan to stop everything and start it again, database first."""
        self.propose(
            PlanDialog(
                "restart",
                {"complete": True},
                reason_required=self.reason_required,
                name=self._app.view.environment,
                severe=True,
            )
        )

    def do_cleanup(self) -> None:
        """Plan the removal of what no release needs; the plan names each size."""
        self._plan("cleanup", {})

    def do_settings(self) -> None:
        """Ask for a setting and its value, then plan it."""

        def asked(values: dict[str, str] | None) -> None:
            if values:
                self._plan("settings", {"values": values})

        self._app.push_screen(SettingsDialog(), asked)

    def resize(self, service: Service) -> None:
        """Ask for other limits of *service*, then plan them."""

        def asked(limits: dict[str, str] | None) -> None:
            if limits:
                self._plan("resize", {"service": service.name} | limits)

        self._app.push_screen(ResizeDialog(service), asked)

    def turn_autoscale(self, service: Service) -> None:
        """Ask whether the agent is to scale *service* by itself, or no longer."""

        def answered(answer: object) -> None:
            if isinstance(answer, RequestDone):
                self._app.say(answer.words)

        dialog = AutoscaleDialog(service, reason_required=self.reason_required)
        self._app.push_screen(dialog, answered)

    def _plan(self, verb: str, wish: Mapping[str, Json]) -> None:
        dialog = PlanDialog(
            verb, wish, reason_required=self.reason_required, name=self._app.view.environment
        )
        self.propose(dialog)

    def do_maintenance(self) -> None:
        """Plan to show users the maintenance page, or to take it away."""
        snapshot = self._app.view.snapshot
        self._propose_maintenance(on=snapshot is None or not snapshot.maintenance)

    def do_maintenance_off(self) -> None:
        """Plan to take it away, whatever can be seen of it."""
        self._propose_maintenance(on=False)

    def do_maintenance_emergency(self) -> None:
        """Plan to show it at once: no notice, no list, whatever runs is cancelled."""
        self._plan("maintenance", {"on": True, "emergency": True})

    def _propose_maintenance(self, *, on: bool) -> None:
        dialog = MaintenanceDialog(
            "maintenance",
            {"on": on},
            reason_required=self.reason_required,
            name=self._app.view.environment,
        )
        self.propose(dialog)

    def do_emergency(self) -> None:
        """Plan the emergency downscale."""
        snapshot, policy = self._app.view.snapshot, self._app.engine.settings.policy
        scalable = frozenset(
            s.name for s in (snapshot.services if snapshot else ()) if policy.bounds(s.name, s.role)
        )
        targets = emergency_targets(self._app.view, scalable)
        if not targets:
            self._app.say("!: no worker service has more than one replica")
            return
        self.propose(ScaleDialog(targets, reason_required=self.reason_required, emergency=True))
