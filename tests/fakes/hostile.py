"""What the world outside may send: pictures and log lines made to break a terminal."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from console.domain.incidents import IncidentSummary, Severity
from console.domain.operations import Change, OperationState, OperationSummary
from console.domain.queues import Queue
from console.domain.readings import SourceState, SourceStatus
from console.domain.services import Health, Role, Service
from console.domain.snapshot import Overall, Snapshot
from console.ports import LogLine
from tests.fakes.pictures import NOW, OPERATION_ID, failed, replica, service

#: Each would do something if it reached a terminal or were taken for markup.
TEXTS = (
    "[/x][bold red]markup[/bold red] [@click=app.quit]here[/]",
    "\x1b]0;EVIL\x07title \x1b]52;c;RVZJTA==\x07clipboard",
    "\x1b[2J\x1b[Hclear \x1b[31;5mred \x1bc reset \x1b[?1000h mouse \x1b[6n answer",
    "\x1bP+q544e\x1b\\device \x1b_app\x1b\\ \x1b^private\x1b\\ \x1bXstart",
    "\x9b31mC1 \x9d0;EVIL\x9c \x90q\x9c \x84 \x85",
    "unfinished \x1b[38;5",
    "unfinished \x1b]0;EVIL",
    "\u202edesrever\u202c \u2066isolate\u2069 \u200f\u061cשלום عربي",
    "\x00nul \x07bell \x08\x08back \x0bvertical \x0cform \rreturn\r\n two\tthree \x7f",
    "\udcff\udc80 invalid \udced\udca0\udc80 \ufffe\U000e0041 tag \ue000",
    "名前" * 60 + "e\u0301\u200d\ufeff🏳️‍🌈 é" * 20,
    "name-" + "n" * 195,
)


def text(number: int) -> str:
    """Return one of :data:`TEXTS`, told apart by its number."""
    return f"{TEXTS[number % len(TEXTS)]}{number}"


def hostile_service(number: int) -> Service:
    """A service of which nothing that can be a text is harmless."""
    name = text(number)
    role = (Role.APP, Role.WORKER, Role.DATABASE, Role.BROKER)[number % 4]
    broken = replica(f"{name}-1", health=Health.UNHEALTHY, reason=text(number + 3), restarts=9)
    made = service(name, role, replace(broken, health_output=text(number + 5)),
                   replica(f"{name}-2"), queue=name)  # fmt: skip
    return replace(made, release=text(number + 2), reason=text(number + 3))


def hostile_picture(services: int) -> Snapshot:
    """Return a picture of so many services in which every text is hostile."""
    return failed_with(
        overall=Overall.DEGRADED if services else Overall.HEALTHY,
        services=tuple(hostile_service(number) for number in range(services)),
        release=text(2),
        endpoints={text(1): text(4)},
        queues=tuple(Queue(text(n), n, n, 3.0, 1.0, 0.5, 2) for n in range(min(services, 20))),
        sources=tuple(
            SourceStatus(text(n), SourceState.FAILED, 99.0, text(n + 1)) for n in range(12)
        ),
        changes=tuple(
            Change(NOW - timedelta(minutes=n), text(n), text(n + 1), text(n + 2), text(n + 3))
            for n in range(12)
        ),
        alerts=tuple(
            replace(alert, name=text(n), summary=text(n + 7), runbook=text(n + 8))
            for n, alert in enumerate(failed().alerts)
        ),
        operation=OperationSummary(
            OPERATION_ID, text(0), OperationState.INTERRUPTED, text(1), NOW, text(8)
        ),
        incident=IncidentSummary(text(2), Severity.P0, text(1), text(7), NOW),
    )


def failed_with(**changes: object) -> Snapshot:
    """Return the picture of a failing stack with *changes*."""
    return replace(failed(), **changes)  # type: ignore[arg-type]  # its own fields


def hostile_lines() -> list[LogLine]:
    """Log lines of every kind, one of them a megabyte long."""
    long = "x" * 1_000_000 + "\x1b]0;EVIL\x07"
    json = '{"event": "\\u001b[2J\\u202e[/x]", "k\\u001b]0;EVIL\\u0007": "\\ud800"}'
    levels = ("info", "error", "\x1b[5m")
    return [
        LogLine(text(n + 1), text(n), NOW + timedelta(seconds=n), levels[n % 3], content)
        for n, content in enumerate([*TEXTS, long, json, "[" * 5000, '{"a":' * 5000, ""])
    ]
