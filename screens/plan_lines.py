"""A plan as lines, pure: what is, what will be, warnings, exact commands, the way back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rich.style import Style
from rich.text import Text

from console.domain.maintenance import CONFIRMED
from console.domain.plans import Plan, Risk, Step
from console.domain.queues import Queue
from console.domain.services import Service
from console.domain.snapshot import Snapshot
from screens.look import Look
from screens.rendering import (
    clean,
    duration,
    fold,
    heading,
    latency,
    number,
    paragraph,
    percent,
    plural,
    put,
    rate,
    size,
    styled,
)

_RISKS = (Risk.NONE, Risk.LOW, Risk.MEDIUM, Risk.HIGH)

#: With more services than this each gets one line.
_FEW = 2


def plan_risk(plan: Plan) -> Risk:
    """Return the highest risk among the steps."""
    return max((step.risk for step in plan.steps), key=_RISKS.index, default=Risk.NONE)


def plan_lines(plan: Plan, look: Look, width: int) -> list[Text]:
    """Return a plan as read before saying yes to it."""
    risk = plan_risk(plan)
    loud = {Risk.HIGH: look.bad, Risk.MEDIUM: look.warn}.get(risk, look.text)
    lines = [
        line
        for warning in plan.warnings
        for line in paragraph([f"▲ {clean(warning, 500)}"], width, look.warn)
    ]
    if not plan.steps:
        return [*lines, styled(" nothing to do: it is so already", look.good)]
    lines += _checklist(plan, look, width)
    title = heading(plural(len(plan.steps), "step"), look, "exact commands, in order  ")
    lines += [title.append(f"risk {risk.value}", loud)]
    lines += _steps(plan.steps, look, width)
    undo = (
        f"u takes it back in {plural(len(plan.undo), 'step')}" if plan.undo else "cannot be undone"
    )
    return [*lines, Text(), heading("Undo", look, undo), *_steps(plan.undo, look, width)]


def _checklist(plan: Plan, look: Look, width: int) -> list[Text]:
    """Return what is to be seen to before; numbers are the keys that answer for it."""
    if not plan.checklist:
        return []
    lines = [heading("Before it", look, f"1–{len(plan.checklist)} answer for what is so")]
    for place, item in enumerate(plan.checklist, 1):
        done = item.state == CONFIRMED
        line = put(styled(" "), str(place), 2, look.dim, right=True)
        line.append(f" {'✓' if done else '○'} ", look.good if done else look.warn)
        line.append(clean(item.text, 100), look.text)
        line.append("  you answer for it" if done else f"  {clean(item.detail or 'open', 200)}",
                    look.dim)  # fmt: skip
        line.truncate(width, overflow="ellipsis")
        lines.append(line)
    return [*lines, Text()]


def _steps(steps: tuple[Step, ...], look: Look, width: int) -> list[Text]:
    lines = []
    for place, step in enumerate(steps, 1):
        line = put(styled(" "), str(place), 2, look.dim, right=True)
        line.append(f" {clean(step.name, 60)}", look.text)
        line.append(f"  risk {step.risk.value}", look.dim)
        lines.append(line)
        lines += [
            styled(f"     {part}", look.accent)
            for part in fold(clean(step.command or step.kind, 1000), width - 6)
        ]
    return lines


# What is ---------------------------------------------------------------------------


def present_lines(
    names: Iterable[str],
    snapshot: Snapshot | None,
    look: Look,
    width: int,
    targets: Mapping[str, int] | None = None,
) -> list[Text]:
    """
    Return what is now, live, of the services that would change.

    Args:
        names: Those services.
        snapshot: The present picture.
        look: Styles.
        width: Cells of a line.
        targets: Replicas wanted, by service, where that is what would change.
    """
    if snapshot is None:
        return []
    services = [s for name in names if (s := snapshot.service(name)) is not None]
    if len(services) > _FEW:
        return [_one_line(service, targets or {}, look, width) for service in services]
    lines = []
    for service in services:
        line = _title(service, targets or {}, look)
        line.append(f"  {_now(service)}", look.text)
        line.truncate(width, overflow="ellipsis")
        lines.append(line)
        queue_name = service.labels.get("console.queue")
        queues = [q for q in snapshot.queues if queue_name and q.name == queue_name]
        lines += paragraph((_queue(q) for q in queues), width, look.text)
        if service.role == "app":
            lines += paragraph([requests_words(snapshot)], width, look.text)
    return lines


def host_lines(snapshot: Snapshot | None, look: Look, width: int) -> list[Text]:
    """Return what the host has left."""
    host = snapshot.host if snapshot is not None else None
    if host is None:
        return paragraph(["host: what it has left is unknown"], width, look.warn)
    words = (
        f"host: {host.cores} cores {percent(host.cpu_ratio)} used, "
        f"memory {percent(host.memory_ratio)} used, {size(host.memory_available_bytes)} free"
    )
    return paragraph([words], width, look.text)


def _title(service: Service, targets: Mapping[str, int], look: Look) -> Text:
    line = styled(f" {clean(service.name, 60)}", look.strong)
    target = targets.get(service.name)
    if target is None:
        return line
    if target == service.desired:
        return line.append(f"  stays {target}", look.dim)
    return line.append("  ").append(
        f" {service.desired} → {target} ", look.accent + Style(reverse=True)
    )


def _one_line(service: Service, targets: Mapping[str, int], look: Look, width: int) -> Text:
    line = _title(service, targets, look)
    line.append(f"  {service.ready}/{service.desired} {service.health.value}", look.text)
    line.truncate(width, overflow="ellipsis")
    return line


def _now(service: Service) -> str:
    return (
        f"now {service.ready} of {service.desired} ready, {service.health.value}, "
        f"cpu {percent(service.cpu_ratio)}, {size(service.memory_bytes)}"
    )


def _queue(queue: Queue) -> str:
    oldest = "" if queue.depth == 0 else f"oldest {duration(queue.oldest_age_seconds)}, "
    return (
        f"queue {clean(queue.name, 40)}: {number(queue.depth)} waiting, {oldest}"
        f"{rate(queue.arrived_per_second)}/s in, {rate(queue.completed_per_second)}/s out"
    )


def requests_words(snapshot: Snapshot) -> str:
    """Return what users get of the application now."""
    m = snapshot.metrics
    return (
        f"requests: {rate(m.request_rate)}/s, {_whole(m.requests_in_flight)} under way, "
        f"p95 {latency(m.p95_seconds)}, 5xx {percent(m.error_ratio, 1)}"
    )


def _whole(value: float | None) -> str:
    return number(None if value is None else round(value))
