"""One service as lines, pure: why it is so, its replicas, what it is made of, what happened."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from rich.style import Style
from rich.text import Text

from console.domain.description import ReplicaDescription, ServiceDescription
from console.domain.figures import replica_request_figure, request_figure
from console.domain.filtering import Filter, replica_facts, sorted_replicas
from console.domain.happenings import Happening, Kind
from console.domain.load import uneven_load
from console.domain.services import Drift, Health, Limits, Replica, Role, Service
from console.domain.why import service_reasons
from console.errors import ConsoleError
from screens.look import Look
from screens.overview_lines import unseen_lines
from screens.rendering import (
    clean,
    clock_time,
    heading,
    health_sign,
    paragraph,
    plural,
    put,
    rate,
    since,
    size,
    styled,
    wrap,
)
from screens.service_rows import Page, Widths, add_replicas, column_line, replica_limit
from screens.view import View

#: Happenings told at most.
MOST_HAPPENED = 12
#: Reasons told at most; the rest is in the list of replicas.
MOST_REASONS = 6
_LABEL = 12


@dataclass(frozen=True, slots=True)
class Known:
    """
    What was asked about a service besides the picture.

    Args:
        name: Of the service.
        description: None while it is not known, or where the runtime describes nothing.
        happened: What happened to it lately, the newest first.
        at: When it was asked.
        failed: Why it could not be asked.
        then: Of which moment of the past it is; None for the present.
    """

    name: str = ""
    description: ServiceDescription | None = None
    happened: tuple[Happening, ...] = ()
    at: datetime | None = None
    failed: ConsoleError | None = None
    then: datetime | None = None


def service_page(
    view: View,
    service: Service | None,
    known: Known,
    look: Look,
    now: datetime,
    width: int,
    *,
    selected: str | None,
    target: int | None,
    wanted: Filter,
    order: str,
) -> Page:
    """
    Return the screen's lines.

    Args:
        service: None where there is none, or nothing is known.
        known: What was asked about it.
        selected: Name of the replica that is selected, or anything else.
        target: Pending target of scaling.
        wanted: Replicas that do not match are left out.
        order: One of :data:`console.domain.filtering.SORTS`.
    """
    snapshot = view.snapshot
    if snapshot is None:
        words = "The stack cannot be read" if view.failure else "Reading the stack…"
        lines = [Text(), styled(f" {words}", look.bad if view.failure else look.dim)]
        return Page([*lines, *paragraph((clean(x, 500) for x in view.failure), width)], [])
    if snapshot.unseen is not None:
        return Page([*unseen_lines(snapshot.unseen, look, width)], [])
    if service is None:
        start = styled(" start it: ", look.text).append("fragrance start", look.accent)
        if snapshot.running:
            return Page([Text(), styled(" No services are defined", look.dim)], [])
        return Page([Text(), styled(" Nothing runs here", look.strong), start], [])
    stale = view.stale(now) or bool(view.failure) or view.blind
    page = Page([_headline(service, target, look, width, stale=stale)], [])
    page.lines.extend(_trends(view, service, look, width))
    page.lines.extend(_shares(view, service, look, width))
    page.lines.extend(_why(service, known, look, now, width))
    page.lines.extend(_drift(service, known, look, width))
    page.lines.append(Text())
    shown = [
        replica
        for replica in sorted_replicas(service.replicas, order, now)
        if wanted.matches(replica_facts(replica, replica_limit(service, replica), now))
    ]
    _add_replicas(page, service, shown, look, now, width, selected, stale=stale)
    chosen = next((r for r in shown if r.name == selected), shown[0] if shown else None)
    page.lines.extend(_limits(service, look, width))
    page.lines.extend(_happened(known, look, now, width))
    if chosen is not None:
        of = known.description.replica(chosen.name) if known.description else None
        page.lines.extend(_replica(service, chosen, of, known, look, now, width))
    for line in page.lines:
        if isinstance(line, Text):
            line.truncate(width, overflow="ellipsis")
    return page


# Why -----------------------------------------------------------------------------


def _headline(service: Service, target: int | None, look: Look, width: int, *, stale: bool) -> Text:
    glyph, style = health_sign(service.health, look)
    style = look.dim if stale else style
    line = styled(f" {glyph} ", style)
    put(line, clean(service.name, 100), min(max(12, width - 50), len(service.name)), look.strong)
    line.append(f"  {service.role.value}", look.dim)
    line.append(f" · {service.ready_words} ready · ", look.text).append(service.health.value, style)
    if target is not None:
        line.append(f" {service.desired} → {target} ", look.accent + Style(reverse=True))
    if service.release:
        line.append(f" · {clean(service.release, 40)}", look.text)
    if stale:
        line.append(" · old", look.warn)
    line.truncate(width, overflow="ellipsis")
    return line


def _trends(view: View, service: Service, look: Look, width: int) -> list[Text]:
    """Return the last half hour of what can be told of the service, in bars."""
    cells = 12
    parts = [("cpu", view.trend(f"service.{service.name}.cpu_ratio", cells, 1.0))]
    limit = service.memory_limit_bytes
    top = float(limit) if limit else None
    parts.append(("memory", view.trend(f"service.{service.name}.memory_bytes", cells, top)))
    if service.role is Role.APP:
        parts.append(("requests", view.trend(request_figure(service.name), cells)))
    drawn = [(name, bars) for name, bars in parts if bars]
    if not drawn:
        return []
    line = styled("   30 min", look.dim)
    for name, bars in drawn:
        line.append(f"   {name} ", look.dim).append(bars, look.text)
    line.truncate(width, overflow="ellipsis")
    return [line]


def _shares(view: View, service: Service, look: Look, width: int) -> list[Text]:
    """Return the requests of each replica over the last half hour, on one scale."""
    figures = {r.name: replica_request_figure(r.name) for r in service.replicas}
    known = [v for name in figures.values() for v in view.trends.get(name, ()) if v is not None]
    line, shown = styled("   requests"), 0
    for replica in service.replicas:
        bars = view.trend(figures[replica.name], 12, max(known, default=0.0))
        told = f"   {clean(replica.name, 60)} "
        if bars and line.cell_len + len(told) + len(bars) <= width:
            line.append(told, look.dim).append(bars, look.text)
            shown += 1
    return [line] if shown > 1 else []


def _why(service: Service, known: Known, look: Look, now: datetime, width: int) -> list[Text]:
    limits = [replica_limit(service, replica) for replica in service.replicas]
    reasons = service_reasons(service, limits, known.description, now)
    _, style = health_sign(service.health, look)
    lines = []
    for name, why in reasons[:MOST_REASONS]:
        for number, text in enumerate(wrap(f"{clean(name, 60)}: {clean(why, 500)}", width - 7)):
            lead = styled("   ↳ " if not number else "     ", look.dim)
            lines.append(lead.append(text, style if service.health is not Health.HEALTHY else None))
    left = len(reasons) - MOST_REASONS
    if left > 0:
        lines.append(styled(f"     and {left} more, in the list below", look.dim))
    if not reasons:
        words = "every replica is well" if service.replicas else "it has no replica"
        lines.append(styled(f"   {words}", look.dim))
    if uneven := uneven_load(service.replicas):
        told = ", ".join(f"{clean(r.name, 60)} {rate(r.request_rate)}/s" for r in uneven[:4])
        lines.append(styled(f"   ▲ requests are shared unevenly: {told}", look.warn))
    if known.failed is not None:
        words = f"no more is known: {clean(known.failed.message, 300)}"
        lines += [styled(f"   ▲ {text}", look.warn) for text in wrap(words, width - 6)]
    return lines


def _drift(service: Service, known: Known, look: Look, width: int) -> list[Text]:
    found: Sequence[Drift] = known.description.drift if known.description else ()
    lines: list[Text] = []
    for drift in found or service.drift:
        for number, text in enumerate(wrap(clean(drift.what, 600), width - 7)):
            lines.append(styled("   ≠ " if not number else "     ", look.warn).append(text))
        lines += [
            styled("     mend: " if not number else "           ", look.dim).append(
                text, look.accent
            )
            for number, text in enumerate(wrap(clean(drift.mend, 1000), width - 12))
        ]
    notes = known.description.notes if known.description else ()
    for note in notes:
        lines += [styled(f"     {text}", look.dim) for text in wrap(clean(note, 400), width - 6)]
    return lines


# Replicas --------------------------------------------------------------------------


def _add_replicas(
    page: Page,
    service: Service,
    shown: Sequence[Replica],
    look: Look,
    now: datetime,
    width: int,
    selected: str | None,
    *,
    stale: bool,
) -> None:
    w = Widths.of(width)
    columns = column_line(look, w, width)
    columns.plain = columns.plain.replace("service", "replica", 1).replace("ready", "work ", 1)
    columns.plain = columns.plain.replace("30 min", "      ", 1)
    page.lines.append(columns)
    add_replicas(page, service, shown, selected, look, now, width, w, stale=stale)
    hidden = len(service.replicas) - len(shown)
    if hidden:
        words = f"    {plural(hidden, 'replica')} not shown by the filter; esc shows all"
        page.lines.append(styled(words, look.dim))


def _limits(service: Service, look: Look, width: int) -> list[Text]:
    given = service.limits or Limits()
    parts = [
        "no limit of cpu" if given.cpu_cores is None else f"{given.cpu_cores:g} cores",
        "no limit of memory"
        if given.memory_bytes is None
        else f"{size(given.memory_bytes)} of memory",
    ]
    kept = []
    if given.cpu_reserved_cores is not None:
        kept.append(f"{given.cpu_reserved_cores:g} cores")
    if given.memory_reserved_bytes is not None:
        kept.append(size(given.memory_reserved_bytes))
    if kept:
        parts.append(f"reserved {' and '.join(kept)}")
    if service.single:
        parts.append(f"only one: {clean(service.single, 200)}")
    line = put(styled(" "), "each has", _LABEL, look.dim).append(", ".join(parts), look.text)
    line.truncate(width, overflow="ellipsis")
    return [line]


def _replica(
    service: Service,
    replica: Replica,
    of: ReplicaDescription | None,
    known: Known,
    look: Look,
    now: datetime,
    width: int,
) -> list[Text]:
    """Return one replica in full."""
    rows: list[tuple[str, str, Style]] = []
    if replica.health_output:
        rows.append(("last probe", clean(replica.health_output, 600), look.text))
    for run in of.checks[:3] if of is not None else ():
        at = "" if run.at is None else f"{run.at:%H:%M:%S} "
        passed = "passed" if run.passed else "FAILED"
        words = f"{at}{passed}{': ' if run.output else ''}{clean(run.output, 400)}"
        rows.append(("check", words, look.text if run.passed else look.bad))
    if replica.limits is not None and service.limits != replica.limits:
        rows.append(("limits now", _limit_words(replica.limits), look.text))
    if replica.active_tasks is not None:
        held = f", holds {replica.reserved_tasks}" if replica.reserved_tasks else ""
        slots = f" of {replica.task_slots}" if replica.task_slots else ""
        rows.append(("tasks", f"runs {replica.active_tasks}{slots}{held}", look.text))
    for task in sorted(replica.tasks, key=lambda task: task.started_at)[:5]:
        words = (
            f"{clean(task.name, 100)} {clean(task.task_id, 60)} for {since(task.started_at, now)}"
        )
        rows.append(("tasks", words, look.text))
    if of is None:
        missing = "asking the runtime…" if known.at is None else "the runtime tells no more of it"
        if known.then is not None:
            missing = "what only the runtime can tell is of now, and not kept"
        lines = [Text(), heading(clean(replica.name, 100), look)]
        return lines + _rows([*rows, ("", missing, look.dim)], width, look)
    if of.image:
        rows.append(("image", f"{clean(of.image, 200)} ({of.image_id})", look.text))
    for label, found in (
        ("reached at", of.addresses), ("published", of.ports), ("mounts", of.mounts),
    ):  # fmt: skip
        rows += [(label, clean(text, 300), look.text) for text in found]
    rows.append(("runs", clean(of.command, 400), look.text))
    if of.user:
        rows.append(("as user", clean(of.user, 60), look.text))
    lines = [Text(), heading(clean(replica.name, 100), look), *_rows(rows, width, look)]
    if of.environment:
        lines += [Text(), heading(f"Environment of {clean(replica.name, 100)}", look)]
        for variable in of.environment:
            line = put(styled(" "), clean(variable.name, 100), 30, look.text).append(" ")
            if variable.value is None:
                line.append(f"(hidden: {clean(variable.hidden, 100)})", look.dim)
            else:
                line.append(clean(variable.value, 400), look.text)
            line.truncate(width, overflow="ellipsis")
            lines.append(line)
    return lines


def _rows(rows: Sequence[tuple[str, str, Style]], width: int, look: Look) -> list[Text]:
    lines, before = [], ""
    for label, words, style in rows:
        for number, text in enumerate(wrap(words, width - _LABEL - 2)):
            name = "" if number or label == before else label
            lines.append(put(styled(" "), name, _LABEL, look.dim).append(text, style))
        before = label
    return lines


def _limit_words(limits: Limits) -> str:
    cores = "cpu unlimited" if limits.cpu_cores is None else f"{limits.cpu_cores:g} cores"
    if limits.memory_bytes is None:
        return f"{cores}, memory unlimited"
    return f"{cores}, {size(limits.memory_bytes)} of memory"


# What happened -------------------------------------------------------------------


def _happened(known: Known, look: Look, now: datetime, width: int) -> list[Text]:
    events = known.description.events if known.description else ()
    told = [(e.at, f"{e.replica} {e.words}", e.grave, "") for e in events]
    told += [
        (one.at, one.words, one.grave, one.actor)
        for one in known.happened
        if one.kind is not Kind.DRIFT
    ]
    # What the runtime still remembers the agent has kept as well.
    told = sorted(dict.fromkeys(told), key=lambda each: each[0], reverse=True)
    lines = [Text(), heading("Last events", look, "UTC")]
    for at, words, grave, actor in told[:MOST_HAPPENED]:
        line = put(styled(" "), _moment(at, now), 10, look.dim)
        line.append("▲ " if grave else "  ", look.warn)
        line.append(clean(words, 300), look.text)
        if actor:
            line.append(f" · {clean(actor, 60)}", look.dim)
        line.truncate(width, overflow="ellipsis")
        lines.append(line)
    if not told:
        words = "none on record" if known.at is not None else "asking…"
        lines.append(styled(f" {words}", look.dim))
    return lines


def _moment(at: datetime, now: datetime) -> str:
    return f"{at:%H:%M:%S}" if at.date() == now.date() else clock_time(at, now)
