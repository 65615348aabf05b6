"""Queues and figures as lines, pure; shared by Overview and Queues."""

from __future__ import annotations

import math
from datetime import datetime

from rich.style import Style
from rich.text import Text

from console.domain.queues import Queue, estimate_wait_seconds
from console.domain.snapshot import Snapshot
from console.domain.training import newest_words, running_trainings, training_parts
from screens.look import Look
from screens.rendering import (
    UNKNOWN,
    age,
    clean,
    duration,
    latency,
    number,
    percent,
    plural,
    put,
    rate,
    size,
    styled,
)
from screens.view import View

#: Above these a figure is drawn as a warning; the alerts decide, this only draws.
_TIGHT_RATIO = 0.9
_SLOW_SECONDS = 1.0
_MANY_ERRORS_RATIO = 0.05
#: Searches that have a line of their own.
_MOST_TRAININGS = 3
#: Cells of a trend beside its figure, and from which width on there is room for two a line.
_BARS = 8
_ROOMY = 84


def drain_words(queue: Queue) -> tuple[str, bool]:
    """
    Say in how long the queue is empty if nothing changes, and whether that is bad.

    Work gets done at the completion rate while more arrives, so the backlog
    shrinks by the difference.
    """
    if queue.depth is None:
        return UNKNOWN, False
    if queue.depth == 0:
        return "empty", False
    arrived, completed = queue.arrived_per_second, queue.completed_per_second
    if arrived is None or completed is None:
        return UNKNOWN, False
    if completed == 0:
        return "never: stuck", True
    if completed <= arrived:
        grows = (arrived - completed) * 60
        return (f"never: +{grows:.0f}/min" if grows >= 0.5 else "never: steady"), True
    return duration(_coarse(estimate_wait_seconds(queue.depth, completed - arrived))), False


def wait_words(queue: Queue) -> str:
    """Say how long a task sent now waits before it starts."""
    if queue.depth is None or queue.completed_per_second is None:
        return "how long a new task waits is unknown"
    seconds = estimate_wait_seconds(queue.depth, queue.completed_per_second)
    if math.isinf(seconds):
        return "a task sent now waits until something completes"
    if seconds < 1:
        return "a task sent now starts at once"
    return f"a task sent now waits about {duration(_coarse(seconds))}"


def _coarse(seconds: float) -> float:
    """Round an estimate to what it is worth: 5 s, above 10 minutes a minute."""
    if math.isinf(seconds):
        return seconds
    step = 5 if seconds < 600 else 60
    return max(step, round(seconds / step) * step) if seconds >= 1 else seconds


def queue_lines(snapshot: Snapshot, look: Look, width: int) -> list[Text]:
    """Return the queues, one line each."""
    name = max(10, min(20, width - 68))
    line = put(styled(" "), "Queues", name, look.strong)
    for word, cells in (("waiting", 8), ("running", 8), ("oldest", 9), ("in/s", 7), ("out/s", 7),
                        ("workers", 8)):  # fmt: skip
        put(line, word, cells, look.dim, right=True)
    lines = [line.append("  drains in", look.dim)]
    lines += [_queue_line(queue, look, name) for queue in snapshot.queues]
    if not snapshot.queues:
        lines.append(styled(" no queue is known", look.dim))
    for line in lines:
        line.truncate(width, overflow="ellipsis")
    return lines


def _queue_line(queue: Queue, look: Look, name: int) -> Text:
    drains, bad = drain_words(queue)
    text, loud = look.text, look.warn
    line = put(styled(" "), clean(queue.name, 60), name, text)
    put(line, number(queue.depth), 8, loud if bad else text, right=True)
    put(line, number(queue.in_flight), 8, text, right=True)
    put(line, _oldest(queue), 9, text, right=True)
    put(line, rate(queue.arrived_per_second), 7, text, right=True)
    put(line, rate(queue.completed_per_second), 7, text, right=True)
    nobody = queue.workers == 0
    put(line, number(queue.workers), 8, look.bad if nobody else text, right=True)
    return line.append(f"  {drains}", loud if bad else text)


def _oldest(queue: Queue) -> str:
    if queue.oldest_age_seconds is None:
        return "" if queue.depth == 0 else UNKNOWN
    seconds = queue.oldest_age_seconds
    return duration(seconds if seconds < 60 else seconds - seconds % 10)


def figure_lines(view: View, snapshot: Snapshot, look: Look, width: int) -> list[Text]:
    """Return request, database, Redis, host and GPU figures, a line each, with their trends."""

    def bars(name: str, top: float | None = None) -> str:
        drawn = view.trend(name, _BARS, top)
        return f" {drawn}" if drawn else ""

    m = snapshot.metrics
    slow = m.p95_seconds is not None and m.p95_seconds > _SLOW_SECONDS
    wrong = m.error_ratio is not None and m.error_ratio > _MANY_ERRORS_RATIO
    requests = [
        (f"{rate(m.request_rate)}/s{bars('request_rate')}", False),
        (f"5xx {percent(m.error_ratio, 1)}", wrong),
        (f"p50 {latency(m.p50_seconds)}", False),
        (f"p95 {latency(m.p95_seconds)}{bars('p95_seconds') if width >= _ROOMY else ''}", slow),
        (f"p99 {latency(m.p99_seconds)}", False),
    ]
    used, most = m.database_connections, m.database_connections_max
    clients = snapshot.redis_clients
    stores = [
        (f"database {number(used)}/{number(most)} connections{bars('database_connections')}",
         _tight(used / most if used is not None and most else None)),
        (f"redis {size(m.redis_memory_bytes)}", False),
        (UNKNOWN + " clients" if clients is None else plural(clients, "client"), False),
    ]  # fmt: skip
    host = [
        (f"cpu {percent(m.host_cpu_ratio)}{bars('host_cpu_ratio', 1.0)}",
         _tight(m.host_cpu_ratio)),
        (f"memory {percent(m.host_memory_ratio)}{bars('host_memory_ratio', 1.0)}",
         _tight(m.host_memory_ratio)),
        (f"disk {percent(m.host_disk_ratio)}", _tight(m.host_disk_ratio)),
    ]  # fmt: skip
    return [
        _figures("Requests", requests, look, width),
        _figures("Stores", stores, look, width),
        _figures("Host", host, look, width),
        *_gpus(snapshot, look, width),
    ]


def _gpus(snapshot: Snapshot, look: Look, width: int) -> list[Text]:
    """Return a line for each graphics processor; none where there is none."""
    lines = []
    for gpu in snapshot.host.gpus if snapshot.host is not None else ():
        used, most = gpu.memory_used_bytes, gpu.memory_bytes
        full = _tight(used / most if used is not None and most else None)
        figures = [
            (clean(gpu.name, 40), False),
            (percent(gpu.used_ratio), False),
            (f"memory {size(used)}/{size(most)}", full),
        ]
        lines.append(_figures("GPU", figures, look, width))
    return lines


def training_lines(snapshot: Snapshot, look: Look, now: datetime, width: int) -> list[Text]:
    """Return a line for each running search, else how old the newest checkpoint is."""
    running = running_trainings(snapshot)
    lines = [
        _figures(
            "" if place else "Training",
            [(part, False) for part in training_parts(training, now, age)],
            look,
            width,
        )
        for place, (_, _, training) in enumerate(running[:_MOST_TRAININGS])
    ]
    if len(running) > _MOST_TRAININGS:
        more = f"and {len(running) - _MOST_TRAININGS} more searches: t"
        lines.append(_figures("", [(more, False)], look, width))
    if not running and (words := newest_words(snapshot, now, age)):
        lines.append(_figures("Training", [("none runs", False), (words, False)], look, width))
    return lines


def _tight(ratio: float | None) -> bool:
    return ratio is not None and ratio > _TIGHT_RATIO


def _figures(title: str, figures: list[tuple[str, bool]], look: Look, width: int) -> Text:
    line = put(styled(" "), title, 10, look.strong)
    for words, bad in figures:
        style: Style = look.warn if bad else look.text
        line.append(f"{'▲ ' if bad else ''}{words}", style).append("   ")
    line.truncate(width, overflow="ellipsis")
    return line
