"""Queues: will it drain, when?  And what each worker has in hand."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from console.domain.filtering import QUEUE_WORDS, queue_facts
from console.domain.queues import Queue
from console.domain.readings import SourceState
from console.domain.services import Service
from console.domain.snapshot import Snapshot
from screens.actions import Action, bindings_on
from screens.dialogs.scale import ScaleDialog
from screens.filtered import FilteredScreen
from screens.logs import LogsScreen
from screens.look import Look
from screens.overview_figures import queue_lines
from screens.overview_lines import unseen_lines
from screens.queue_lines import queue_section, services_of
from screens.rendering import clean, styled
from screens.view import View
from screens.widgets.lines import Later


class QueuesScreen(FilteredScreen):
    """Each queue with its verdict in words and its workers; the selection is a queue."""

    NAME = "queues"
    TITLE = "Queues"
    BINDINGS = bindings_on("queues")
    VOCABULARY = QUEUE_WORDS

    def __init__(self) -> None:
        super().__init__()
        self.selected: str | None = None
        self._sections: dict[str, tuple[int, int]] = {}

    # Drawing -----------------------------------------------------------------

    def draw(self) -> None:
        """Draw the queues."""
        width, look, view = self.app.size.width, self.look, self.view
        lines: Sequence[Text | Later] | None = _nothing(view, look, width)
        snapshot = view.snapshot
        if lines is None and snapshot is not None:
            lines = self._page(snapshot)
        for line in lines or []:
            if isinstance(line, Text):
                line.truncate(width, overflow="ellipsis")
        self.lines.show(lines or [])

    def _page(self, snapshot: Snapshot) -> list[Text | Later]:
        width, look = self.app.size.width, self.look
        queues = self._queues()
        if queues and self.selected not in {queue.name for queue in queues}:
            self.selected = queues[0].name
        lines: list[Text | Later] = [
            *_broken_source(snapshot, look),
            *queue_lines(snapshot, look, width),
        ]
        if self.filter:
            words = f"{len(queues)} of {len(snapshot.queues)} match {self.filter.text}; esc: all"
            lines += [Text(), styled(f" / {clean(words, 300)}", look.accent)]
        policy = self.engine.settings.policy
        self._sections = {}
        for queue in queues:
            here = queue.name == self.selected
            section = queue_section(queue, self.view, policy, look, self.now, width, here=here)
            lines.append(Text())
            self._sections[queue.name] = (len(lines), len(lines) + len(section) - 1)
            lines += section
        return lines

    def _queues(self) -> list[Queue]:
        snapshot = self.view.snapshot
        queues = snapshot.queues if snapshot is not None else ()
        return [queue for queue in queues if self.filter.matches(queue_facts(queue))]

    # Selection ---------------------------------------------------------------

    def _service(self) -> Service | None:
        """Return the service that works on the selected queue."""
        snapshot = self.view.snapshot
        queue = next((q for q in self._queues() if q.name == self.selected), None)
        found = services_of(queue, snapshot) if queue is not None and snapshot is not None else ()
        return found[0] if found else None

    def _move(self, by: int) -> None:
        names = [queue.name for queue in self._queues()]
        if not names:
            return
        here = names.index(self.selected) if self.selected in names else 0
        self.selected = names[max(0, min(len(names) - 1, here + by))]
        first, last = self._sections.get(self.selected, (0, 0))
        if self.selected == names[0]:
            self.lines.scroll_home(animate=False)
        else:
            # Its end as far as it fits, its beginning in any case.
            self.lines.see(last)
            self.lines.see(first)

    def do_up(self) -> None:
        """Select the queue above."""
        self._move(-1)

    def do_down(self) -> None:
        """Select the queue below."""
        self._move(1)

    def refuses(self, wanted: Action) -> str | None:
        """Say why the queue's service cannot be scaled, or has no logs to show."""
        if wanted.id not in {"scale", "service_logs"}:
            return None
        service = self._service()
        if service is None:
            return "no service is labelled as working on this queue"
        bounds = self.engine.settings.policy.bounds(service.name, service.role)
        if wanted.id == "scale" and bounds is None:
            return f"{service.name} is not scaled: it has no scale policy"
        return None

    # Doing -------------------------------------------------------------------

    def do_scale(self) -> None:
        """Open the scale wizard on the service of the queue."""
        service = self._service()
        if service is not None:
            app = self.console_app
            targets = {service.name: service.desired}
            app.propose(ScaleDialog(targets, reason_required=app.reason_required))

    def do_service_logs(self) -> None:
        """Show the logs of the workers of the queue."""
        service = self._service()
        logs = self.console_app.open_screen("logs")
        if service is not None and isinstance(logs, LogsScreen):
            logs.only(service.name)


def _nothing(view: View, look: Look, width: int) -> list[Text] | None:
    """Return what is shown where there is no queue to show, None where there is."""
    snapshot = view.snapshot
    if snapshot is None:
        words = "The stack cannot be read" if view.failure else "Reading the queues…"
        lines = [Text(), styled(f" {words}", look.bad if view.failure else look.dim)]
        return lines + [styled(f" {clean(line, 300)}", look.text) for line in view.failure]
    if snapshot.unseen is not None:
        return unseen_lines(snapshot.unseen, look, width)
    if not snapshot.running:
        start = styled(" start it: ", look.text).append("fragrance start", look.accent)
        return [Text(), styled(" Nothing runs here", look.strong), start]
    return None


def _broken_source(snapshot: Snapshot, look: Look) -> list[Text]:
    broken = [
        s for s in snapshot.sources if s.name == "broker" and s.state is not SourceState.FRESH
    ]
    return [
        styled(f" ✗ the broker is {s.state.value}: {clean(s.error or 'no answer', 200)}", look.bad)
        for s in broken
    ]
