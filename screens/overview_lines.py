"""The Overview as lines, pure: what is wrong first, then everything else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from rich.style import Style
from rich.text import Text

from console.domain.alerts import silence_of
from console.domain.operations import Change
from console.domain.readings import SourceState
from console.domain.services import Health, Replica, ReplicaState, Service
from console.domain.snapshot import Snapshot
from screens.autoscale_lines import decision_note
from screens.look import Look
from screens.overview_figures import figure_lines, queue_lines
from screens.rendering import (
    age,
    alert_sign,
    beside,
    clean,
    clock_time,
    fill,
    heading,
    health_sign,
    paragraph,
    percent,
    put,
    since,
    size,
    styled,
)
from screens.view import View

#: From here on reasons stand in the row and the lower half in two columns.
WIDE = 120

#: What the queues' columns need beside the changes.
_QUEUES_CELLS = 78

#: What is missing when a source fails; the rest goes on.
WITHOUT_SOURCE = {
    "runtime": "no replica states, cpu or memory; metrics and queues still work",
    "health": "no health words; states, cpu and memory still work",
    "metrics": "no request rates or latencies; health and queues still work",
    "prometheus": "no scrape targets; metrics come from the agent's history, alerts by policy",
    "broker": "no queue depths or worker tasks; health and metrics still work",
    "database": "no connection count; health and metrics still work",
    "host": "no host cpu, memory or disk; services still work",
    "journal": "no operations, incidents or changes; watching still works",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One line that can be selected: its key, its service, its first and last line."""

    key: str
    service: str
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Page:
    """The lines, and which of them are rows."""

    lines: list[Text]
    rows: list[Row]


def overview_page(
    view: View,
    look: Look,
    now: datetime,
    width: int,
    height: int,
    *,
    selected: str | None,
    expanded: frozenset[str],
    targets: Mapping[str, int],
) -> Page:
    """
    Return the Overview.

    Args:
        view: What is known.
        look: Styles.
        now: For ages.
        width: Cells of the screen.
        height: Lines there are for it; where all replicas fit they are shown.
        selected: Key of the selected row: a service's or a replica's name.
        expanded: Services whose replicas are shown.
        targets: Pending targets by service.
    """
    snapshot = view.snapshot
    if snapshot is None:
        return Page(_nothing_yet(view, look, width), [])
    if snapshot.unseen is not None:
        return Page(unseen_lines(snapshot.unseen, look, width), [])
    if not snapshot.running:
        return Page(_stopped(snapshot, look, now, width), [])
    lines = [*_attention(snapshot, look, now, width), _columns(look, width)]
    rest = _below(snapshot, look, now, width)
    services = sorted(snapshot.services, key=_badness)
    replicas = sum(len(s.replicas) for s in services if len(s.replicas) > 1)
    if height >= 36 and len(lines) + len(services) + replicas + len(rest) <= height:
        expanded = frozenset(s.name for s in services if len(s.replicas) > 1)
    page = Page(lines, [])
    stale = view.stale(now) or bool(view.failure) or view.blind
    for service in services:
        last = _last_seen(view, service, now)
        _add_service(page, service, look, now, width, selected, expanded, targets, stale, last)
        if any(row.key == selected and row.service == service.name for row in page.rows):
            lines += decision_note(snapshot, service.name, look, now, width)
    if not services:
        lines.append(styled(" no services are defined", look.dim))
    lines += rest
    return page


def _badness(service: Service) -> int:
    if service.health is Health.UNHEALTHY:
        return 0
    if service.ready < service.desired:
        return 1
    return 2 if service.health in {Health.UNKNOWN, Health.STARTING} else 3


# States without services ---------------------------------------------------------


def _nothing_yet(view: View, look: Look, width: int) -> list[Text]:
    if not view.failure:
        return [
            Text(),
            styled(" Reading the stack…", look.strong),
            *paragraph(["Services appear as soon as the first source answers."], width, look.dim),
        ]
    lines = [Text(), styled(" The stack cannot be read", look.bad)]
    lines += paragraph((clean(line, 1000) for line in view.failure), width, look.text)
    words = "Nothing was changed. It is tried again all the time; o and l may still work."
    return [*lines, *paragraph([words], width, look.dim)]


def unseen_lines(why: str, look: Look, width: int) -> list[Text]:
    """Return why it cannot be told what runs, whole: it is all there is to go by."""
    words = "What runs goes on running. Mended here it is seen again by itself."
    return [
        Text(),
        styled(" What runs cannot be seen", look.bad),
        *paragraph([clean(why, 600)], width, look.text),
        *paragraph([words], width, look.dim),
        styled(" find out why: ", look.text).append("fragrance doctor", look.accent),
    ]


def _stopped(snapshot: Snapshot, look: Look, now: datetime, width: int) -> list[Text]:
    lines = [
        Text(),
        styled(" Nothing runs here", look.strong),
        styled(" start it: ", look.text).append("fragrance start", look.accent),
        *paragraph(["Data is kept while it is stopped. Logs (l) can still be read."], width,
                   look.dim),
        Text(),
    ]  # fmt: skip
    return [*lines, *_changes(snapshot, look, now, width, 5)]


# What is wrong -------------------------------------------------------------------


def _attention(snapshot: Snapshot, look: Look, now: datetime, width: int) -> list[Text]:
    lines = []
    for alert in snapshot.alerts:
        glyph, style = alert_sign(alert.severity, look)
        silence = silence_of(alert, snapshot.silences, now)
        style = look.dim if silence is not None else style
        line = styled(f" {glyph} {clean(alert.name, 60)}", style)
        line.append(f" {alert.severity.value}, {alert.state.value} {since(alert.since, now)}")
        if silence is not None:
            line.append(f", silenced until {clock_time(silence.until, now)}", look.dim)
        lines.append(line.append(f": {clean(alert.summary, 300)}" if alert.summary else ""))
    for source in snapshot.sources:
        if not source.troubled:
            continue
        failed = source.state is SourceState.FAILED
        line = styled(f" {'✗' if failed else '▲'} source {clean(source.name, 40)}",
                    look.bad if failed else look.warn)  # fmt: skip
        line.append(f" {source.state.value}", look.text)
        last = "never answered" if source.age_seconds is None else f"{age(source.age_seconds)} old"
        line.append(f", {last}", look.text)
        if source.error:
            line.append(f": {clean(source.error, 200)}", look.text)
        lines.append(line)
        missing = WITHOUT_SOURCE.get(source.name) if failed else None
        if missing:
            lines.append(styled(f"     {missing}", look.dim))
    for line in lines:
        line.truncate(width, overflow="ellipsis")
    return [*lines, Text()] if lines else []


# Services ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Widths:
    name: int
    ready: int = 8
    health: int = 10
    cpu: int = 5
    memory: int = 11
    restarts: int = 9
    up: int = 7
    release: int = 8

    @staticmethod
    def of(width: int) -> _Widths:
        return _Widths(name=22, release=14) if width >= WIDE else _Widths(name=max(9, width - 65))


def _columns(look: Look, width: int) -> Text:
    w = _Widths.of(width)
    line = styled("    ")
    put(line, "service", w.name, look.dim)
    put(line, "ready", w.ready, look.dim)
    put(line, "health", w.health, look.dim)
    put(line, "cpu", w.cpu, look.dim, right=True)
    put(line, "memory", w.memory, look.dim, right=True)
    put(line, "restarts", w.restarts, look.dim, right=True)
    put(line, "up", w.up, look.dim, right=True)
    line.append("  ")
    put(line, "release", w.release, look.dim)
    if width >= WIDE:
        line.append("reason", look.dim)
    line.truncate(width)
    return line


def _add_service(
    page: Page,
    service: Service,
    look: Look,
    now: datetime,
    width: int,
    selected: str | None,
    expanded: frozenset[str],
    targets: Mapping[str, int],
    stale: bool,
    last_seen: str,
) -> None:
    first = len(page.lines)
    target = targets.get(service.name)
    here = selected == service.name
    line = _service_line(service, look, now, width, here, service.name in expanded, target, stale)
    page.lines.append(fill(line, width, look.selected if here else None))
    reason = last_seen or clean(service.reason, 500)
    if reason and (width < WIDE or last_seen) and service.health is not Health.HEALTHY:
        _, style = health_sign(service.health, look)
        note = styled("    ↳ ", look.dim).append(reason, look.dim if stale else style)
        note.truncate(width, overflow="ellipsis")
        page.lines.append(note)
    page.rows.append(Row(service.name, service.name, first, len(page.lines) - 1))
    if service.name not in expanded:
        return
    for replica in service.replicas:
        here = selected == replica.name
        line = _replica_line(replica, look, now, width, here, stale)
        page.lines.append(fill(line, width, look.selected if here else None))
        place = len(page.lines) - 1
        page.rows.append(Row(replica.name, service.name, place, place))


def _last_seen(view: View, service: Service, now: datetime) -> str:
    """Return how *service* was when that could be told, while it cannot; else ""."""
    before = view.seen.service(service.name) if view.blind and view.seen else None
    if before is None or view.seen is None:
        return ""
    ago = age((now - view.seen.taken_at).total_seconds())
    return f"last seen {ago} ago: {before.ready}/{before.desired} ready, {before.health.value}"


def _service_line(
    service: Service,
    look: Look,
    now: datetime,
    width: int,
    here: bool,
    opened: bool,
    target: int | None,
    stale: bool,
) -> Text:
    w = _Widths.of(width)
    glyph, style = health_sign(service.health, look)
    calm = look.dim if stale else look.text
    style = look.dim if stale else style
    line = styled("›" if here else " ", look.accent)
    line.append("▾" if opened else "▸" if len(service.replicas) > 1 else " ", look.dim)
    line.append(f"{glyph} ", style)
    put(line, clean(service.name, 100), w.name - 1, look.dim if stale else look.strong)
    line.append(" ")
    if target is not None:
        put(line, f"{service.desired} → {target}", w.ready, look.accent + Style(reverse=True))
    else:
        short = service.ready < service.desired
        put(line, service.ready_words, w.ready, style if short else calm)
    put(line, service.health.value, w.health, style)
    put(line, percent(service.cpu_ratio), w.cpu, calm, right=True)
    put(line, _memory(service.memory_bytes, service.memory_limit_bytes), w.memory, calm, right=True)
    put(
        line, str(service.restarts), w.restarts, look.warn if service.restarts else calm, right=True
    )
    put(line, since(_oldest_start(service), now), w.up, calm, right=True)
    line.append("  ")
    put(line, clean(service.release or "–", 60), w.release, calm)
    if width >= WIDE and service.health is not Health.HEALTHY:
        line.append(clean(service.reason, 500), style)
    line.truncate(width, overflow="ellipsis")
    return line


def _replica_line(
    replica: Replica, look: Look, now: datetime, width: int, here: bool, stale: bool
) -> Text:
    w = _Widths.of(width)
    glyph, style = health_sign(replica.health, look)
    style, calm = (look.dim, look.dim) if stale else (style, look.text)
    line = styled("›" if here else " ", look.accent)
    line.append(f"   {glyph} ", style)
    put(line, clean(replica.name, 100), w.name - 3, calm)
    line.append(" ")
    put(line, _tasks(replica), w.ready, calm)
    word = replica.health.value
    if replica.state not in {ReplicaState.RUNNING, ReplicaState.UNKNOWN}:
        word = replica.state.value
    put(line, word, w.health, style)
    put(line, percent(replica.cpu_ratio), w.cpu, calm, right=True)
    put(line, size(replica.memory_bytes), w.memory, calm, right=True)
    put(
        line, str(replica.restarts), w.restarts, look.warn if replica.restarts else calm, right=True
    )
    put(line, since(replica.started_at, now), w.up, calm, right=True)
    line.append("  ")
    healthy = replica.health is Health.HEALTHY
    reason = "" if healthy else clean(replica.reason, 300)
    if width >= WIDE:
        put(line, clean(replica.release or "–", 60), w.release, calm).append(reason, style)
    else:
        line.append(reason or clean(replica.release or "–", 60), calm if healthy else style)
    line.truncate(width, overflow="ellipsis")
    return line


def _tasks(replica: Replica) -> str:
    if replica.accepting is False:
        return "drains"
    return "" if replica.active_tasks is None else f"{replica.active_tasks} busy"


def _memory(used: int | None, limit: int | None) -> str:
    return f"{size(used)}/{size(limit)}" if limit else size(used)


def _oldest_start(service: Service) -> datetime | None:
    """Return the latest start: how long the service has been undisturbed."""
    return max((r.started_at for r in service.replicas if r.started_at), default=None)


# The lower half ------------------------------------------------------------------


def _below(snapshot: Snapshot, look: Look, now: datetime, width: int) -> list[Text]:
    if width < WIDE:
        return [
            Text(),
            *queue_lines(snapshot, look, width),
            Text(),
            *figure_lines(snapshot, look, width),
            Text(),
            *_changes(snapshot, look, now, width, 5),
        ]
    left_width = max(_QUEUES_CELLS, width // 2 + 4)
    left = [
        *queue_lines(snapshot, look, left_width),
        Text(),
        *figure_lines(snapshot, look, left_width),
    ]
    right = _changes(snapshot, look, now, width - left_width - 3, 10)
    return [Text(), *beside(left, right, left_width)]


def _changes(snapshot: Snapshot, look: Look, now: datetime, width: int, most: int) -> list[Text]:
    lines = [heading("Last changes", look, "UTC")]
    for change in snapshot.changes[:most]:
        lines.append(_change_line(change, look, now, width))
    if not snapshot.changes:
        lines.append(styled(" none on record", look.dim))
    return lines


def _change_line(change: Change, look: Look, now: datetime, width: int) -> Text:
    line = put(styled(" "), clock_time(change.at, now), 7, look.dim)
    line.append(clean(change.what, 200), look.text)
    good = change.outcome in {"done", "ok", ""}
    line.append(f" · {clean(change.outcome, 60)}", look.dim if good else look.warn)
    line.append(f" · {clean(change.actor, 60)}", look.dim)
    if change.reason:
        line.append(f" · {clean(change.reason, 200)}", look.dim)
    line.truncate(width, overflow="ellipsis")
    return line
