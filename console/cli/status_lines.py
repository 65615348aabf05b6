"""A snapshot as lines for people: the worst first, reasons in words."""

from __future__ import annotations

from console.cli.figures import UNKNOWN, clock_time, duration, number, percent, size, table
from console.domain.alerts import AlertState
from console.domain.drain import drain_of
from console.domain.links import links_of
from console.domain.policy import Policy
from console.domain.queues import Queue
from console.domain.readings import SourceState, SourceStatus
from console.domain.rollup import WORST_FIRST
from console.domain.services import Health, Service
from console.domain.snapshot import AgentState, Snapshot
from console.domain.text import plain_text
from console.domain.training import newest_words, running_trainings, training_parts

LAST_CHANGES = 3


def status_lines(snapshot: Snapshot) -> list[str]:
    """Return the whole picture."""
    lines = [_headline(snapshot), *_notices(snapshot)]
    if snapshot.running or snapshot.services:
        lines += ["", *_figures(snapshot)]
    if snapshot.changes:
        lines += ["", "Last changes", *_changes(snapshot)]
    return lines


def _figures(snapshot: Snapshot) -> list[str]:
    lines = _services(snapshot)
    if snapshot.queues:
        lines += ["", *queue_lines(snapshot)]
    lines += ["", *metric_lines(snapshot)]
    trainings = [
        f"{name} {', '.join(training_parts(training, snapshot.taken_at, duration))}"
        for name, _, training in running_trainings(snapshot)
    ]
    newest = newest_words(snapshot, snapshot.taken_at, duration)
    lines += [f"Training  {plain_text(x)}" for x in trainings or [newest] * bool(newest)]
    if links := links_of(snapshot)[1:]:
        lines.append("Links  " + ", ".join(f"{x.title} {plain_text(x.url)}" for x in links))
    if snapshot.alerts:
        lines += ["", *alert_lines(snapshot)]
    return lines


def queue_lines(snapshot: Snapshot) -> list[str]:
    """Return one line per queue: what waits, for how long, and whether it drains."""
    if not snapshot.queues:
        return [f"Queues: {_why_missing(snapshot, 'broker')}"]
    rows = [["Queue", "waiting", "in hand", "oldest", "in/s", "out/s", "workers", "empty in"]]
    rows += [
        [
            queue.name,
            number(queue.depth),
            number(queue.in_flight),
            # An empty queue has no oldest task; that is not the same as unknown.
            "-" if queue.depth == 0 else duration(queue.oldest_age_seconds),
            number(queue.arrived_per_second, digits=2),
            number(queue.completed_per_second, digits=2),
            number(queue.workers),
            _drains(queue),
        ]
        for queue in snapshot.queues
    ]
    return [*table(rows, indent=""), *_stale_note(snapshot, "broker")]


def metric_lines(snapshot: Snapshot) -> list[str]:
    """Return requests, database, broker and host."""
    m = snapshot.metrics
    quiet = m.request_rate == 0
    ratio, p50, p95, p99 = (
        ("-", "-", "-", "-")  # nothing was asked, so there is nothing to measure
        if quiet
        else (
            percent_fine(m.error_ratio),
            duration(m.p50_seconds),
            duration(m.p95_seconds),
            duration(m.p99_seconds),
        )
    )
    rows = [
        ["Requests", f"{number(m.request_rate, '/s', 2)}, 5xx {ratio}"],
        ["", f"p50 {p50}, p95 {p95}, p99 {p99}"],
        [
            "Database",
            f"{number(m.database_connections)} of {number(m.database_connections_max)} connections",
        ],
        [
            "Redis",
            f"{size(m.redis_memory_bytes)}, {number(snapshot.redis_clients)} clients",
        ],
        [
            "Host",
            f"cpu {percent(m.host_cpu_ratio)}, memory {percent(m.host_memory_ratio)}, "
            f"disk {percent(m.host_disk_ratio)}",
        ],
    ]
    if m.request_rate is None:
        rows[1][1] += f"  ({_why_missing(snapshot, 'metrics')})"
    return table(rows, indent="")


def alert_lines(snapshot: Snapshot) -> list[str]:
    """Return the alerts, firing and critical first, each with its procedure."""
    if not snapshot.alerts:
        return ["No alerts."]
    lines = []
    for alert in snapshot.alerts:
        since = duration((snapshot.taken_at - alert.since).total_seconds())
        words = f"firing {alert.severity.value} {alert.name} for {since}"
        if alert.state is AlertState.PENDING:
            words = f"pending {alert.name}, {alert.severity.value} if it lasts, seen for {since}"
        lines.append(f"{words}: {plain_text(alert.summary)}")
        lines.append(f"  procedure: RUNBOOK.md#{alert.runbook}")
    return lines


def percent_fine(ratio: float | None) -> str:
    """Return a ratio as percent where tenths matter."""
    return UNKNOWN if ratio is None else f"{100 * ratio:.1f} %"


def _headline(snapshot: Snapshot) -> str:
    release = f", release {snapshot.release}" if snapshot.release else ""
    state = "" if snapshot.running else ", not running"
    if snapshot.unseen is not None:
        state = ", what runs cannot be seen"
    api = snapshot.endpoints.get("api")
    return (
        f"{snapshot.overall.value.upper()}  {snapshot.environment} on {snapshot.runtime}{release}"
        f"{state}{f', {api}' if api else ''}  ({clock_time(snapshot.taken_at)})"
    )


def _notices(snapshot: Snapshot) -> list[str]:
    lines = []
    if snapshot.maintenance:
        since = snapshot.maintenance_since
        when = f" since {clock_time(since)}" if since is not None else ""
        lines.append(f"maintenance: on{when}; users get the page (fragrance maintenance off)")
    if snapshot.operation is not None:
        operation = snapshot.operation
        step = f" at {operation.step}" if operation.step else ""
        lines.append(
            f"operation: {operation.verb} {operation.state.value}{step}, by {operation.actor} "
            f"({operation.id})"
        )
        if operation.question is not None:
            words = "|".join(operation.question.choices)
            lines.append(
                f"question: {operation.question.text} "
                f"(fragrance operations answer {operation.id} {words})"
            )
    if snapshot.incident is not None:
        incident = snapshot.incident
        lines.append(f"incident: {incident.severity.value} {incident.title} ({incident.status})")
    if snapshot.agent is AgentState.ABSENT:
        lines.append("agent: absent; this picture was collected just now and has no rates yet")
    if not snapshot.running and snapshot.unseen is None:
        # What cannot be read then needs no line each: this one says why.
        lines.append("next: fragrance start")
    else:
        lines += [_source_line(s) for s in snapshot.sources if s.troubled]
    return [plain_text(line) for line in lines]


def _services(snapshot: Snapshot) -> list[str]:
    if not snapshot.services:
        return [f"Services: {_why_missing(snapshot, 'runtime')}"]
    rows = [["Service", "ready", "health", "cpu", "memory", "restarts", "release", ""]]
    for service in sorted(snapshot.services, key=lambda s: WORST_FIRST.index(s.health)):
        rows.append(
            [
                service.name,
                service.ready_words,
                service.health.value,
                percent(service.cpu_ratio),
                _memory(service),
                number(service.restarts),
                service.release or ("-" if not service.replicas else UNKNOWN),
                plain_text(service.reason, 160),
            ]
        )
    lines = table(rows, indent="")
    for service in snapshot.services:
        if service.health is Health.STOPPED:
            continue
        lines += [
            f"    {replica.name}: {replica.health.value}"
            + (f", {plain_text(replica.reason, 160)}" if replica.reason else "")
            for replica in service.replicas
            if replica.health is not Health.HEALTHY and len(service.replicas) > 1
        ]
    return lines


def _memory(service: Service) -> str:
    used = size(service.memory_bytes)
    limit = service.memory_limit_bytes
    return f"{used} of {size(limit)}" if limit is not None else used


def _drains(queue: Queue) -> str:
    if queue.depth == 0:
        return "-"
    drain = drain_of(queue, (), Policy())
    return duration(drain.seconds) if drain.known else UNKNOWN


def _changes(snapshot: Snapshot) -> list[str]:
    return [
        plain_text(
            f"{change.at:%Y-%m-%d %H:%M}Z {change.actor}: {change.what} ({change.outcome})"
            + (f", {change.reason}" if change.reason else "")
        ).join(("  ", ""))
        for change in snapshot.changes[:LAST_CHANGES]
    ]


def _source_line(source: SourceStatus) -> str:
    age = f", last answer {duration(source.age_seconds)} ago" if source.age_seconds else ""
    return f"source {source.name}: {source.state.value}, {source.error or 'no news'}{age}"


def _stale_note(snapshot: Snapshot, name: str) -> list[str]:
    return [
        f"  ({_source_line(source)})"
        for source in snapshot.sources
        if source.name == name and source.state is not SourceState.FRESH
    ]


def _why_missing(snapshot: Snapshot, name: str) -> str:
    source = next((s for s in snapshot.sources if s.name == name), None)
    if source is None:
        return "not observed here"
    if source.state is SourceState.FRESH:
        return "not enough seen yet" if name == "metrics" else "none yet"
    return source.error or source.state.value
