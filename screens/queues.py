"""Queues: will it drain, when?  And what each worker has in hand."""

from __future__ import annotations

from datetime import datetime

from rich.style import Style
from rich.text import Text

from console.domain.queues import Queue
from console.domain.readings import SourceState
from console.domain.services import Health, Replica, ReplicaState, Service
from console.domain.snapshot import Snapshot
from screens.actions import bindings_on
from screens.look import Look
from screens.overview_figures import drain_words, queue_lines, wait_words
from screens.overview_lines import unseen_lines
from screens.rendering import clean, health_sign, plural, put, rate, since, styled
from screens.screen import ConsoleScreen
from screens.view import View


class QueuesScreen(ConsoleScreen):
    """Each queue with its verdict in words and its workers."""

    NAME = "queues"
    TITLE = "Queues"
    BINDINGS = bindings_on("queues")

    def draw(self) -> None:
        """Draw the queues."""
        self.lines.show(queues_page(self.view, self.look, self.now, self.app.size.width))


def queues_page(view: View, look: Look, now: datetime, width: int) -> list[Text]:
    """Return the screen's lines."""
    snapshot = view.snapshot
    if snapshot is None:
        words = "The stack cannot be read" if view.failure else "Reading the queues…"
        lines = [Text(), styled(f" {words}", look.bad if view.failure else look.dim)]
        lines += [styled(f" {clean(line, 300)}", look.text) for line in view.failure]
        return lines
    if snapshot.unseen is not None:
        return unseen_lines(snapshot.unseen, look, width)
    if not snapshot.running:
        start = styled(" start it: ", look.text).append("fragrance start", look.accent)
        return [Text(), styled(" Nothing runs here", look.strong), start]
    lines = [*_broken_source(snapshot, look), *queue_lines(snapshot, look, width)]
    for queue in snapshot.queues:
        lines += [Text(), *_queue(queue, snapshot, look, now)]
    for line in lines:
        line.truncate(width, overflow="ellipsis")
    return lines


def _broken_source(snapshot: Snapshot, look: Look) -> list[Text]:
    broken = [
        s for s in snapshot.sources if s.name == "broker" and s.state is not SourceState.FRESH
    ]
    return [
        styled(f" ✗ the broker is {s.state.value}: {clean(s.error or 'no answer', 200)}", look.bad)
        for s in broken
    ]


def _queue(queue: Queue, snapshot: Snapshot, look: Look, now: datetime) -> list[Text]:
    lines = [styled(f" {clean(queue.name, 60)}", look.strong)]
    lines += [styled(f"   {words}", style) for words, style in _verdict(queue, look)]
    services = [s for s in snapshot.services if s.labels.get("console.queue") == queue.name]
    for service in services:
        lines += _workers(service, look, now)
    if not services:
        lines.append(styled("   no service is labelled as working on this queue", look.dim))
    return lines


def _verdict(queue: Queue, look: Look) -> list[tuple[str, Style]]:
    drains, bad = drain_words(queue)
    flow = (
        f"{rate(queue.arrived_per_second)}/s arrive, {rate(queue.completed_per_second)}/s complete"
    )
    if queue.depth is None:
        return [("the depth is unknown", look.warn), (flow, look.dim)]
    waiting = plural(queue.depth, "task")
    if queue.depth == 0:
        return [("✓ nothing waits", look.good), (flow, look.dim)]
    if queue.workers == 0:
        verdict = (f"✗ {waiting} wait and no worker takes them", look.bad)
    elif bad:
        verdict = (f"▲ {waiting} wait and do not drain ({drains})", look.warn)
    elif queue.arrived_per_second is None or queue.completed_per_second is None:
        verdict = (f"{waiting} wait; how fast they drain is not known yet", look.text)
    else:
        verdict = (f"● {waiting} wait, drained in about {drains}", look.good)
    return [verdict, (f"{wait_words(queue)}; {flow}", look.text)]


def _workers(service: Service, look: Look, now: datetime) -> list[Text]:
    words = f"   {clean(service.name, 60)}: {service.ready} of {service.desired} workers ready"
    lines = [styled(words, look.dim)]
    return lines + [_worker(replica, look, now) for replica in service.replicas]


def _worker(replica: Replica, look: Look, now: datetime) -> Text:
    glyph, style = health_sign(replica.health, look)
    line = styled(f"     {glyph} ", style)
    put(line, clean(replica.name, 60), 20, look.text)
    line.append(" ")
    if replica.active_tasks is None:
        put(line, "no heartbeat", 22, look.warn)
    else:
        put(line, _hands(replica), 22, look.text)
    taking = {True: "takes work", False: "drains", None: "–"}[replica.accepting]
    put(line, taking, 12, look.warn if replica.accepting is False else look.text)
    if replica.health is Health.HEALTHY:
        line.append(f"up {since(replica.started_at, now)}", look.dim)
    else:
        state = replica.state if replica.state is not ReplicaState.RUNNING else replica.health
        line.append(clean(replica.reason or state.value, 200), style)
    return line


def _hands(replica: Replica) -> str:
    """Say what a worker has in hand."""
    active, reserved = replica.active_tasks or 0, replica.reserved_tasks or 0
    busy = f"runs {plural(active, 'task')}" if active else "idle"
    return f"{busy}, holds {reserved}" if reserved else busy
