"""The Overview as lines, pure: what is wrong first, then everything else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from rich.text import Text

from console.domain.alerts import Alert, AlertState, silence_of
from console.domain.filtering import (
    SORTS,
    Filter,
    service_facts,
    sorted_replicas,
    sorted_services,
)
from console.domain.operations import Change
from console.domain.readings import SourceState
from console.domain.services import Health, Service
from console.domain.snapshot import Snapshot
from screens.autoscale_lines import decision_note
from screens.look import Look
from screens.overview_figures import figure_lines, queue_lines, training_lines
from screens.rendering import (
    age,
    alert_sign,
    beside,
    clean,
    clock_time,
    fill,
    heading,
    paragraph,
    plural,
    put,
    since,
    styled,
)
from screens.service_rows import (
    WIDE,
    Page,
    Row,
    Widths,
    add_replicas,
    column_line,
    service_line,
    service_notes,
    several_releases,
)
from screens.view import View
from screens.widgets.lines import Later

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


def overview_page(
    view: View, look: Look, now: datetime, width: int, height: int, choice: Choice
) -> Page:
    """
    Return the Overview.

    Args:
        view: What is known.
        look: Styles.
        now: For ages.
        width: Cells of the screen.
        height: Lines there are for it; where all replicas fit they are shown.
        choice: What of the services is shown, and how.
    """
    snapshot = view.snapshot
    if snapshot is None:
        return Page([*_nothing_yet(view, look, width)], [])
    if snapshot.unseen is not None:
        return Page([*unseen_lines(snapshot.unseen, look, width)], [])
    if not snapshot.running:
        return Page([*_stopped(snapshot, look, now, width)], [])
    w = Widths.of(width, several_releases=several_releases(snapshot.services))
    page = Page([*_attention(snapshot, look, now, width), column_line(look, w, width)], [])
    rest = _below(view, snapshot, look, now, width)
    services = [
        service
        for service in sorted_services(snapshot.services, choice.order, now)
        if choice.wanted.matches(service_facts(service, now))
    ]
    replicas = sum(len(s.replicas) for s in services if len(s.replicas) > 1)
    if height >= 36 and len(page.lines) + len(services) + replicas + len(rest) <= height:
        several = frozenset(s.name for s in services if len(s.replicas) > 1)
        choice = replace(choice, expanded=several)
    stale = view.stale(now) or bool(view.failure) or view.blind
    for service in services:
        _add_service(page, service, view, look, now, width, choice, w, stale)
        if any(r.key == choice.selected and r.service == service.name for r in page.rows):
            page.lines.extend(decision_note(snapshot, service.name, look, now, width))
    if not snapshot.services:
        page.lines.append(styled(" no services are defined", look.dim))
    left_out = _left_out(snapshot.services, services, look)
    for line in left_out:
        line.truncate(width, overflow="ellipsis")
    page.lines.extend([*left_out, *rest])
    return page


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


def alert_words(alert: Alert, now: datetime) -> str:
    """Return how bad an alert is and since when; one that does not fire yet is only watched."""
    lasts = since(alert.since, now)
    if alert.state is AlertState.PENDING:
        return f"pending {lasts}, {alert.severity.value} if it lasts"
    return f"{alert.severity.value}, firing {lasts}"


def _attention(snapshot: Snapshot, look: Look, now: datetime, width: int) -> list[Text]:
    lines = []
    for alert in snapshot.alerts:
        glyph, style = alert_sign(alert.severity, look, alert.state)
        silence = silence_of(alert, snapshot.silences, now)
        style = look.dim if silence is not None else style
        line = styled(f" {glyph} {clean(alert.name, 60)}", style)
        line.append(f" {alert_words(alert, now)}")
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
class Choice:
    """
    What of the services is shown, and how.

    Args:
        selected: Key of the selected row: a service's or a replica's name.
        expanded: Services whose replicas are shown.
        targets: Pending targets by service.
        wanted: Services that do not match are left out.
        order: One of :data:`console.domain.filtering.SORTS`.
    """

    selected: str | None = None
    expanded: frozenset[str] = frozenset()
    targets: Mapping[str, int] = field(default_factory=dict)
    wanted: Filter = field(default_factory=Filter)
    order: str = SORTS[0]


def _add_service(
    page: Page,
    service: Service,
    view: View,
    look: Look,
    now: datetime,
    width: int,
    choice: Choice,
    w: Widths,
    stale: bool,
) -> None:
    first = len(page.lines)
    here, opened = choice.selected == service.name, service.name in choice.expanded
    last_seen = _last_seen(view, service, now)
    notes = service_notes(service, look, last_seen)
    inline = notes[0] if notes and width >= WIDE and not last_seen else None

    def line() -> Text:
        drawn = service_line(
            view, service, look, now, width, w, here=here, opened=opened,
            target=choice.targets.get(service.name), stale=stale, note=inline,
        )  # fmt: skip
        return fill(drawn, width, look.selected if here else None)

    page.lines.append(Later(line))
    for words, style in notes if inline is None else notes[1:]:
        note = styled("    ↳ ", look.dim).append(words, look.dim if stale else style)
        note.truncate(width, overflow="ellipsis")
        page.lines.append(note)
    page.rows.append(Row(service.name, service.name, first, len(page.lines) - 1))
    if opened:
        order = choice.order if choice.order != SORTS[0] else "kept"
        replicas = sorted_replicas(service.replicas, order, now)
        add_replicas(page, service, replicas, choice.selected, look, now, width, w, stale=stale)


def _last_seen(view: View, service: Service, now: datetime) -> str:
    """Return how *service* was when that could be told, while it cannot; else ""."""
    before = view.seen.service(service.name) if view.blind and view.seen else None
    if before is None or view.seen is None:
        return ""
    ago = age((now - view.seen.taken_at).total_seconds())
    return f"last seen {ago} ago: {before.ready}/{before.desired} ready, {before.health.value}"


def _left_out(services: Sequence[Service], shown: Sequence[Service], look: Look) -> list[Text]:
    """Say what the filter hides: nobody should take what is left for everything."""
    hidden = [service for service in services if service not in shown]
    if not hidden:
        return []
    unwell = [service for service in hidden if service.health is not Health.HEALTHY]
    words = f" {plural(len(hidden), 'service')} not shown by the filter; esc shows all"
    line = styled(words, look.dim)
    if unwell:
        line.append(f" · {len(unwell)} of them not healthy: ", look.warn)
        line.append(", ".join(clean(s.name, 40) for s in unwell[:5]), look.warn)
    return [line]


# The lower half ------------------------------------------------------------------


def _below(view: View, snapshot: Snapshot, look: Look, now: datetime, width: int) -> list[Text]:
    if width < WIDE:
        return [
            Text(),
            *queue_lines(snapshot, look, width),
            Text(),
            *figure_lines(view, snapshot, look, width),
            *training_lines(snapshot, look, now, width),
            Text(),
            *_changes(snapshot, look, now, width, 5),
        ]
    left_width = max(_QUEUES_CELLS, width // 2 + 4)
    left = [
        *queue_lines(snapshot, look, left_width),
        Text(),
        *figure_lines(view, snapshot, look, left_width),
        *training_lines(snapshot, look, now, left_width),
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
