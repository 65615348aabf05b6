"""Service: why?  One service with its replicas, what it is made of, and what happened to it."""

from __future__ import annotations

from console.domain.description import ServiceDescription
from console.domain.filtering import REPLICA_WORDS
from console.domain.services import Service
from console.errors import ConsoleError, NotSupported
from screens.acting import ActsOnServices
from screens.actions import bindings_on
from screens.feeds import request
from screens.messages import RequestFailed, ServiceDescribed
from screens.service_lines import Known, service_page
from screens.service_rows import Row

#: How far back what happened is told.
HAPPENED_SECONDS = 24 * 3600.0
#: A service that changes all the time is asked about no more often than this, seconds.
ASK_AGAIN_SECONDS = 2.0


class ServiceScreen(ActsOnServices):
    """
    Why one service is as it is.

    The picture tells how it is all the time; what the runtime knows beyond that is asked
    for when the screen opens and when something of the service changed.
    """

    NAME = "service"
    TITLE = "Service"
    BINDINGS = bindings_on("service")
    VOCABULARY = REPLICA_WORDS

    def __init__(self) -> None:
        super().__init__()
        self._shown: str | None = None
        self._known = Known()
        self._asked_for: object = None
        self._waiting = False

    # The service at hand -----------------------------------------------------

    def service_name(self) -> str | None:
        """Return the service chosen last, that of the replica chosen last, else the worst."""
        snapshot, chosen = self.view.snapshot, self.console_app.chosen
        if snapshot is None or not snapshot.services:
            return None
        for service in snapshot.services:
            if chosen == service.name:
                return chosen
        for service in snapshot.services:
            if any(replica.name == chosen for replica in service.replicas):
                return service.name
        return self._shown or snapshot.services[0].name

    def chosen_name(self) -> str | None:
        """Return the replica that is selected, else the service."""
        return self.console_app.chosen or self.service_name()

    def entered(self) -> None:
        """Ask about the service."""
        self._ask()

    def left(self) -> None:
        """Ask anew the next time."""
        self._shown, self._asked_for, self._waiting = None, None, False

    # Asking ------------------------------------------------------------------

    def _ask(self) -> None:
        """Ask for what only the runtime knows, when something of the service is otherwise."""
        service = self.service()
        if service is None:
            return
        state = self.then, _asked_about(service)
        if state == self._asked_for or self._waiting:
            return
        self._asked_for = state
        self._waiting = True
        name, engine, then = service.name, self.engine, self.then

        def work() -> ServiceDescribed:
            if then is not None:  # what the runtime could tell is of now
                happened = engine.happened(HAPPENED_SECONDS, name, then)
                return ServiceDescribed(name, None, happened, then=then)
            described: ServiceDescription | None = None
            failed: ConsoleError | None = None
            try:
                described = engine.describe(name)
            except NotSupported:
                described = None
            except ConsoleError as error:
                failed = error
            happened = engine.happened(HAPPENED_SECONDS, name)
            return ServiceDescribed(name, described, happened, failed)

        request(self, "describe", work)
        self.set_timer(ASK_AGAIN_SECONDS, self._may_ask)

    def moved(self) -> None:
        """Ask what had happened by that moment."""
        self._asked_for, self._waiting = None, False

    def _may_ask(self) -> None:
        self._waiting = False
        self.redraw()

    def on_service_described(self, message: ServiceDescribed) -> None:
        """Draw what the runtime knows."""
        message.stop()
        self._known = Known(
            message.name,
            message.description,
            message.happened,
            self.now,
            message.failed,
            message.then,
        )
        self.redraw()

    def on_request_failed(self, message: RequestFailed) -> None:
        """Say why nothing more is known."""
        message.stop()
        name = self.service_name() or ""
        self._known = Known(name, None, (), self.now, message.error, self.then)
        self.redraw()

    # Drawing -----------------------------------------------------------------

    def draw(self) -> None:
        """Draw the service at hand."""
        self.forget_reached_targets()
        name = self.service_name()
        if self._shown is not None and name != self._shown:
            self._asked_for, self._waiting = None, False
            self.lines.scroll_home(animate=False)
        self._shown = name
        if self.in_front:
            self._ask()
        known = self._known
        if (known.name, known.then) != (name, self.then):
            known = Known(name or "", then=self.then)
        self._page = service_page(
            self.view,
            self.service(),
            known,
            self.look,
            self.now,
            self.app.size.width,
            selected=self.console_app.chosen,
            target=self.targets.get(name or ""),
            wanted=self.filter,
            order=self.order,
        )
        self.lines.show(self._page.lines)

    # Moving ------------------------------------------------------------------

    def _move(self, by: int) -> None:
        rows = self._page.rows
        if not rows:
            return
        keys = [row.key for row in rows]
        chosen = self.console_app.chosen or ""
        here = keys.index(chosen) if chosen in keys else -1 if by > 0 else 0
        row: Row = rows[max(0, min(len(rows) - 1, here + by))]
        if here + by >= len(rows):
            self.lines.scroll_down(animate=False)  # below the replicas there is only to read
        elif here + by < 0:
            self.lines.scroll_up(animate=False)
        else:
            self.console_app.chosen = row.key
            self.lines.see(row.first, row.last)

    def do_up(self) -> None:
        """Select the replica above, else scroll."""
        top = self.lines.scroll_offset.y
        row = next((r for r in self._page.rows if r.key == self.console_app.chosen), None)
        if row is not None and row.first < top:
            self.lines.scroll_up(animate=False)
        else:
            self._move(-1)

    def do_down(self) -> None:
        """Select the replica below, else scroll."""
        self._move(1)

    def do_next_service(self) -> None:
        """Go to the next service."""
        self._turn(1)

    def do_previous_service(self) -> None:
        """Go to the service before."""
        self._turn(-1)

    def _turn(self, by: int) -> None:
        snapshot, name = self.view.snapshot, self.service_name()
        names = [service.name for service in snapshot.services] if snapshot else []
        if name in names:
            self.console_app.chosen = names[(names.index(name) + by) % len(names)]

    # Doing -------------------------------------------------------------------

    def do_ask_again(self) -> None:
        """Plan the pending target, else ask the runtime again."""
        if self.targets:
            self.propose_scale(self.targets)
        else:
            self._asked_for, self._waiting = None, False
            self._ask()
            self.console_app.say("asked again")


def _asked_about(service: Service) -> object:
    """Return what of a service is worth asking the runtime again when it is otherwise."""
    return (
        service.name,
        service.desired,
        service.drift,
        service.limits,
        tuple(
            (r.id, r.pid, r.state, r.health, r.restarts, r.limits, r.started_at)
            for r in service.replicas
        ),
    )
