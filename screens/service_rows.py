"""Services and replicas as rows of a page, pure; Overview and Service are made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from rich.style import Style
from rich.text import Text

from console.domain.load import uneven_load
from console.domain.services import Health, Replica, ReplicaState, Service
from screens.look import Look
from screens.rendering import clean, fill, health_sign, percent, put, rate, since, size, styled
from screens.view import View
from screens.widgets.lines import Later

#: From here on reasons stand in the row and the lower half in two columns.
WIDE = 120
#: More than that is said on the service's own screen.
_REASON = 300
#: A reason in fewer cells says nothing; that of the worst replica is the service's.
_LEAST_REASON = 12


@dataclass(frozen=True, slots=True)
class Row:
    """One line that can be selected: its key, its service, its first and last line."""

    key: str
    service: str
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Page:
    """The lines, made when they come in sight, and which of them are rows."""

    lines: list[Text | Later]
    rows: list[Row]


@dataclass(frozen=True, slots=True)
class Widths:
    """Cells of the columns; there is no room for both release and trend at 80."""

    name: int
    ready: int = 8
    health: int = 10
    cpu: int = 5
    trend: int = 9
    memory: int = 11
    restarts: int = 9
    up: int = 7
    release: int = 0

    @staticmethod
    def of(width: int, *, several_releases: bool = False) -> Widths:
        """Return the columns of a screen of *width* cells."""
        if width >= WIDE:
            return Widths(name=22, release=10)
        if several_releases:
            return Widths(name=max(9, width - 65), trend=0, release=8)
        return Widths(name=max(9, width - 65))


def several_releases(services: tuple[Service, ...]) -> bool:
    """Whether the release has to be told service by service: the header has the one of all."""
    return len({service.release for service in services if service.release}) > 1


def column_line(look: Look, w: Widths, width: int) -> Text:
    """Return the names of the columns."""
    line = styled("    ")
    put(line, "service", w.name, look.dim)
    put(line, "ready", w.ready, look.dim)
    put(line, "health", w.health, look.dim)
    put(line, "cpu", w.cpu, look.dim, right=True)
    if w.trend:
        put(line, " 30 min", w.trend, look.dim)
    put(line, "memory", w.memory, look.dim, right=True)
    put(line, "restarts", w.restarts, look.dim, right=True)
    put(line, "up", w.up, look.dim, right=True)
    line.append("  ")
    if w.release:
        put(line, "release", w.release, look.dim)
    if width >= WIDE:
        line.append("reason", look.dim)
    line.truncate(width)
    return line


def service_line(
    view: View,
    service: Service,
    look: Look,
    now: datetime,
    width: int,
    w: Widths,
    *,
    here: bool,
    opened: bool,
    target: int | None,
    stale: bool,
    note: tuple[str, Style] | None,
) -> Text:
    """Return one service; *note* is what is said at its end where there is room."""
    glyph, style = health_sign(service.health, look)
    calm = look.dim if stale else look.text
    style = look.dim if stale else style
    line = styled("›" if here else " ", look.accent)
    line.append("▾" if opened else "▸" if len(service.replicas) > 1 else " ", look.dim)
    line.append(f"{glyph} ", style)
    put(line, clean(service.name, 100), w.name - 2, look.dim if stale else look.strong)
    line.append("≠ " if service.drift else "  ", calm if stale else look.warn)
    if target is not None:
        put(line, f"{service.desired} → {target}", w.ready, look.accent + Style(reverse=True))
    else:
        short = service.ready < service.desired
        put(line, service.ready_words, w.ready, style if short else calm)
    put(line, service.health.value, w.health, style)
    put(line, percent(service.cpu_ratio), w.cpu, calm, right=True)
    if w.trend:
        bars = view.trend(f"service.{service.name}.cpu_ratio", w.trend - 1, 1.0)
        put(line.append(" "), bars, w.trend - 1, look.dim)
    put(line, memory_words(service.memory_bytes, service.memory_limit_bytes), w.memory, calm,
        right=True)  # fmt: skip
    loud = look.warn if service.restarts and not stale else calm
    put(line, str(service.restarts), w.restarts, loud, right=True)
    put(line, since(_latest_start(service), now), w.up, calm, right=True)
    line.append("  ")
    if w.release:
        put(line, clean(service.release or "–", 60), w.release - 1, calm).append(" ")
    if note is not None and width >= WIDE:
        line.append(note[0], note[1])
    line.truncate(width, overflow="ellipsis")
    return line


def replica_line(
    replica: Replica,
    limit_bytes: int | None,
    look: Look,
    now: datetime,
    width: int,
    w: Widths,
    *,
    here: bool,
    stale: bool,
    uneven: bool,
) -> Text:
    """Return one replica beneath its service."""
    glyph, style = health_sign(replica.health, look)
    style, calm = (look.dim, look.dim) if stale else (style, look.text)
    line = styled("›" if here else " ", look.accent)
    line.append(f"   {glyph} ", style)
    put(line, clean(replica.name, 100), w.name - 3, calm)
    line.append(" ")
    put(line, work_words(replica), w.ready, look.warn if uneven and not stale else calm)
    word = replica.health.value
    if replica.state not in {ReplicaState.RUNNING, ReplicaState.UNKNOWN}:
        word = replica.state.value
    put(line, word, w.health, style)
    put(line, percent(replica.cpu_ratio), w.cpu, calm, right=True)
    line.append(" " * w.trend)
    put(line, memory_words(replica.memory_bytes, limit_bytes), w.memory, calm, right=True)
    loud = look.warn if replica.restarts and not stale else calm
    put(line, str(replica.restarts), w.restarts, loud, right=True)
    put(line, since(replica.started_at, now), w.up, calm, right=True)
    line.append("  ")
    if w.release:
        put(line, clean(replica.release or "–", 60), w.release - 1, calm).append(" ")
    if replica.health is not Health.HEALTHY and width - line.cell_len >= _LEAST_REASON:
        line.append(clean(replica.reason, _REASON), style)
    line.truncate(width, overflow="ellipsis")
    return line


def add_replicas(
    page: Page,
    service: Service,
    replicas: Sequence[Replica],
    selected: str | None,
    look: Look,
    now: datetime,
    width: int,
    w: Widths,
    *,
    stale: bool,
) -> None:
    """
    Add a row for each of *replicas* to *page*.

    Args:
        service: Whose they are; its limit counts where a replica has none of its own.
        replicas: Those to show, in their order.
        selected: Name of the selected row.
        stale: Whether all of it is drawn as old.
    """
    uneven = {replica.name for replica in uneven_load(service.replicas)}
    for replica in replicas:
        here = replica.name == selected
        limit = replica_limit(service, replica)

        def line(replica: Replica = replica, here: bool = here, limit: int | None = limit) -> Text:
            drawn = replica_line(
                replica, limit, look, now, width, w,
                here=here, stale=stale, uneven=replica.name in uneven,
            )  # fmt: skip
            return fill(drawn, width, look.selected if here else None)

        place = len(page.lines)
        page.lines.append(Later(line))
        page.rows.append(Row(replica.name, service.name, place, place))


def service_notes(service: Service, look: Look, last_seen: str) -> list[tuple[str, Style]]:
    """
    Return what has to be said of a service, the weightiest first.

    Args:
        last_seen: How it was when that could be told, while it cannot.
    """
    notes: list[tuple[str, Style]] = []
    if last_seen:
        return [(last_seen, look.dim)]
    if service.health is not Health.HEALTHY and service.reason:
        notes.append((clean(service.reason, _REASON), health_sign(service.health, look)[1]))
    notes += [(f"≠ {clean(drift.what, _REASON)}", look.warn) for drift in service.drift]
    if uneven := uneven_load(service.replicas):
        told = ", ".join(f"{clean(r.name, 60)} {rate(r.request_rate)}/s" for r in uneven[:3])
        notes.append((f"▲ requests are shared unevenly: {told}", look.warn))
    return notes


def work_words(replica: Replica) -> str:
    """Return what a replica has to do: tasks in hand, or requests a second."""
    if replica.accepting is False:
        return "drains"
    if replica.active_tasks is not None:
        return f"{replica.active_tasks} busy"
    return "" if replica.request_rate is None else f"{rate(replica.request_rate)}/s"


def memory_words(used: int | None, limit: int | None) -> str:
    """Return ``1.2G/2.0G``, or what is used where nothing limits it."""
    return f"{size(used)}/{size(limit)}" if limit else size(used)


def replica_limit(service: Service, replica: Replica) -> int | None:
    """Return how much memory a replica may use; None where nothing limits it."""
    given = replica.limits or service.limits
    return given.memory_bytes if given is not None else service.replica_memory_limit_bytes


def _latest_start(service: Service) -> datetime | None:
    """Return for how long the service has been undisturbed: since its latest start."""
    return max((r.started_at for r in service.replicas if r.started_at), default=None)
