"""One queue in words, pure: will it drain, when, and what do its workers have in hand?"""

from __future__ import annotations

from datetime import datetime

from rich.text import Text

from console.domain.drain import Drain, drain_of
from console.domain.policy import Policy
from console.domain.queues import Queue
from console.domain.services import Health, Replica, ReplicaState, Service
from console.domain.snapshot import Snapshot
from console.domain.training import newest_words, training_parts
from screens.look import Look
from screens.overview_figures import wait_words
from screens.rendering import (
    UNKNOWN,
    age,
    clean,
    health_sign,
    number,
    percent,
    plural,
    put,
    rate,
    since,
    styled,
)
from screens.view import View
from screens.widgets.lines import Later

#: Tasks named for each worker.
_MOST_TASKS = 4


def services_of(queue: Queue, snapshot: Snapshot) -> tuple[Service, ...]:
    """Return the services labelled as working on *queue*."""
    return tuple(s for s in snapshot.services if s.labels.get("console.queue") == queue.name)


def queue_section(
    queue: Queue,
    view: View,
    policy: Policy,
    look: Look,
    now: datetime,
    width: int,
    *,
    here: bool,
) -> list[Text | Later]:
    """
    Return everything about one queue.

    Args:
        queue: The queue.
        view: With the picture it is of.
        policy: How many workers there may be.
        look: Styles.
        now: The time.
        width: Cells that a line has.
        here: Whether it is the selected one.
    """
    snapshot = view.snapshot
    services = services_of(queue, snapshot) if snapshot is not None else ()
    drain = drain_of(queue, services, policy)
    title = styled("› " if here else "  ", look.accent)
    lines: list[Text | Later] = [
        title.append(clean(queue.name, 60), look.strong),
        _verdict(queue, drain, look),
    ]
    if drain.help:
        lines.append(styled(f"     {drain.help}", look.text))
    if queue.depth:
        lines.append(styled(f"     {wait_words(queue)}", look.text))
    lines.append(styled(f"     {_flow(queue)}", look.text if queue.depth else look.dim))
    lines += _trends(queue, view, look)
    for service in services:
        lines += _workers(service, look, now, width)
    if snapshot is not None and any(
        replica.newest_checkpoint_at for service in services for replica in service.replicas
    ):
        lines.append(styled(f"     {newest_words(snapshot, now, age)}", look.dim))
    if not services:
        lines.append(styled("     no service is labelled as working on this queue", look.dim))
    return lines


def _verdict(queue: Queue, drain: Drain, look: Look) -> Text:
    if not drain.known and queue.depth is None:
        return styled(f"   ? {drain.words}", look.warn)
    if queue.depth == 0:
        return styled(f"   ✓ {drain.words}", look.good)
    waiting = f"{plural(queue.depth or 0, 'task')} wait"
    if not drain.known:
        return styled(f"   ? {waiting}; {drain.words}", look.warn)
    if queue.workers == 0:
        return styled(f"   ✗ {waiting}, drained {drain.words}", look.bad)
    if drain.stuck:
        return styled(f"   ▲ {waiting}; {drain.words}", look.warn)
    return styled(f"   ● {waiting}, {drain.words}", look.good)


def _flow(queue: Queue) -> str:
    parts = [
        f"{rate(queue.arrived_per_second)}/s arrive",
        f"{rate(queue.completed_per_second)}/s complete",
    ]
    if queue.failed_per_second and queue.completed_per_second:
        share = queue.failed_per_second / queue.completed_per_second
        parts.append(f"{percent(share)} of them fail")
    return ", ".join(parts)


def _trends(queue: Queue, view: View, look: Look) -> list[Text]:
    """Return how it went lately, nothing where nothing is known of that."""
    line = Text("     ")
    for label, name in (
        ("waiting", "depth"),
        ("in", "arrived_per_second"),
        ("out", "completed_per_second"),
    ):
        if bars := view.trend(f"queue.{queue.name}.{name}"):
            line.append(f"{label} ", look.dim).append(bars, look.accent).append("  ")
    return [line.append("last 30 min", look.dim)] if line.plain.strip() else []


def _workers(service: Service, look: Look, now: datetime, width: int) -> list[Text | Later]:
    words = f"     {clean(service.name, 60)}: {service.ready_words} workers ready"
    lines: list[Text | Later] = [styled(words, look.dim)]
    for replica in service.replicas:

        def line(replica: Replica = replica) -> Text:
            drawn = _worker(replica, look, now)
            drawn.truncate(width, overflow="ellipsis")
            return drawn

        lines.append(Later(line))
        lines += _tasks(replica, look, now)
    return lines


def _worker(replica: Replica, look: Look, now: datetime) -> Text:
    glyph, style = health_sign(replica.health, look)
    line = styled(f"     {glyph} ", style)
    put(line, clean(replica.name, 220), 16, look.text)
    line.append(" ")
    if replica.active_tasks is None:
        put(line, "no heartbeat", 24, look.warn)
    else:
        put(line, _hands(replica), 24, look.text)
    taking = {True: "takes work", False: "drains", None: UNKNOWN}[replica.accepting]
    put(line, taking, 11, look.warn if replica.accepting is False else look.text)
    if replica.heartbeat_at is not None:
        beat = age((now - replica.heartbeat_at).total_seconds())
        put(line, f"beat {beat}", 10, look.dim)
    if replica.health is Health.HEALTHY:
        line.append(f"up {since(replica.started_at, now)}", look.dim)
    else:
        state = replica.state if replica.state is not ReplicaState.RUNNING else replica.health
        line.append(clean(replica.reason or state.value, 200), style)
    return line


def _hands(replica: Replica) -> str:
    """Say what a worker has in hand, of how many it could run at once."""
    active, reserved = replica.active_tasks or 0, replica.reserved_tasks or 0
    slots = f" of {number(replica.task_slots)}" if replica.task_slots else ""
    busy = f"runs {active}{slots}" if slots else f"runs {plural(active, 'task')}"
    if not active:
        busy = f"idle, {plural(replica.task_slots, 'place')}" if replica.task_slots else "idle"
    return f"{busy}, holds {reserved}" if reserved else busy


def _tasks(replica: Replica, look: Look, now: datetime) -> list[Text]:
    """Return what a worker runs, the longest first."""
    longest = sorted(replica.tasks, key=lambda task: task.started_at)
    lines = []
    for task in longest[:_MOST_TASKS]:
        line = styled("         ↳ ", look.dim)
        put(line, age((now - task.started_at).total_seconds()), 8, look.text)
        line.append(clean(task.name.rpartition(".")[2] or UNKNOWN, 200), look.text)
        lines.append(line.append(f"  {clean(task.task_id, 36)}", look.dim))
        if task.training is not None:
            told = ", ".join(training_parts(task.training, now, age))
            lines.append(styled(f"           {told}", look.text))
    if len(longest) > _MOST_TASKS:
        lines.append(styled(f"         ↳ and {len(longest) - _MOST_TASKS} more", look.dim))
    return lines
