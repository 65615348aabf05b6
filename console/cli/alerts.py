"""``alerts``: what fires and its procedure; silencing one for a time."""

from __future__ import annotations

import argparse
import json

from console.cli.changing import confirm, print_json, reporting_end, require_words
from console.cli.figures import clock_time, duration
from console.cli.main import Commands, Invocation, add_changing, add_command
from console.cli.status import part, show
from console.cli.status_lines import alert_lines
from console.domain.alerts import not_reached, silence_of
from console.domain.duration import parse_duration
from console.domain.plans import Json
from console.domain.runbook import LineKind, Section
from console.domain.snapshot import Snapshot
from console.domain.text import plain_text
from console.errors import UsageError
from console.journal.picture import to_json


def register(commands: Commands) -> None:
    """Add ``alerts [show|silence|unsilence|test]``."""
    command = add_command(commands, "alerts", "what fires, since when, which procedure")
    command.set_defaults(run=run_alerts)
    actions: Commands = command.add_subparsers(metavar="ACTION")
    shown = add_command(actions, "show", "the procedure of an alert, from the runbook")
    shown.add_argument("alert", metavar="NAME")
    shown.set_defaults(run=run_show)
    silence = add_command(actions, "silence", "do not tell anybody of an alert for a time")
    silence.add_argument("alert", metavar="NAME")
    silence.add_argument(
        "--for", dest="span", metavar="1h", type=_span, default="1h", help="default 1h, at most 7d"
    )
    add_changing(silence)
    silence.set_defaults(run=run_silence)
    test = add_command(actions, "test", "send a test to every receiver of alerts")
    add_changing(test)
    test.set_defaults(run=run_test)
    ended = add_command(actions, "unsilence", "tell of it again")
    ended.add_argument("alert", metavar="NAME")
    add_changing(ended)
    ended.set_defaults(run=run_unsilence)


def _span(text: str) -> float:
    try:
        return parse_duration(text).total_seconds()
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def run_alerts(call: Invocation) -> int:
    """Print the alerts, what silences them, and what is over."""

    def as_json(snapshot: Snapshot) -> object:
        whole = json.loads(to_json(snapshot))
        return part(snapshot, "alerts") | {
            k: whole[k] for k in ("silences", "ended_alerts", "receivers")
        }

    return show(call, as_json, _lines)


def _lines(snapshot: Snapshot) -> list[str]:
    lines = alert_lines(snapshot)
    now = snapshot.taken_at
    covered = {a.name for a in snapshot.alerts if silence_of(a, snapshot.silences, now)}
    for silence in snapshot.silences:
        what = silence.alert or f"alerts with {plain_text(silence.matches)}"
        fires = " (there now)" if silence.alert in covered else ""
        lines.append(
            f"silenced {plain_text(what)}{fires} until {clock_time(silence.until)} by "
            f"{plain_text(silence.actor)}: {plain_text(silence.reason)}"
        )
    if snapshot.receivers is not None:
        missed = not_reached(snapshot.alerts)
        told = [
            plain_text(kind, 40) + (" (not reached)" if kind in missed else "")
            for kind in snapshot.receivers
        ]
        lines.append(f"sent to: {', '.join(told) or 'nobody, no receiver is given'}")
    for alert in snapshot.ended_alerts:
        if alert.ended_at is not None:
            lasted = duration((alert.ended_at - alert.since).total_seconds())
            lines.append(f"over since {clock_time(alert.ended_at)}: {alert.name}, lasted {lasted}")
    return lines


def run_show(call: Invocation) -> int:
    """Print the section of the runbook that an alert names."""
    engine = call.engine()
    name = call.args.alert
    section = engine.runbook().section(name)
    if section is None:
        raise UsageError(
            f"RUNBOOK.md has no section for {plain_text(name, 100)!r}", remedy="fragrance alerts"
        )
    if call.json:
        told = [{"kind": line.kind.value, "text": line.text} for line in section.lines]
        print_json({"alert": name, "title": section.title, "lines": told})
        return 0
    for text in _section_lines(section):
        print(text)
    return 0


def _section_lines(section: Section) -> list[str]:
    return [
        plain_text(section.title),
        "",
        *(
            ("    " if line.kind is LineKind.COMMAND else "") + plain_text(line.text, 5000)
            for line in section.lines
        ),
    ]


def run_silence(call: Invocation) -> int:
    """Silence an alert."""
    return reporting_end(call, "silence", lambda: _silence(call))


def _silence(call: Invocation) -> int:
    name, seconds = call.args.alert, call.args.span
    words = f"silence {plain_text(name, 100)} for {duration(seconds)}"
    if call.args.dry_run:
        _end(call, "silence", f"would be: {words}")
        return 0
    require_words(call)
    engine = call.engine()
    try:
        engine.require_write()
        confirm(call, words)
        made = engine.silence(name, seconds, call.args.reason)
    finally:
        engine.close()
    told = ", in the Alertmanager too" if made.id else ""
    _end(call, "silence", f"{name} is silenced until {clock_time(made.until)}{told}")
    return 0


def run_unsilence(call: Invocation) -> int:
    """End the silences of an alert."""
    return reporting_end(call, "unsilence", lambda: _unsilence(call))


def _unsilence(call: Invocation) -> int:
    name = call.args.alert
    if call.args.dry_run:
        _end(call, "unsilence", f"would be: tell of {plain_text(name, 100)} again")
        return 0
    require_words(call)
    engine = call.engine()
    try:
        engine.require_write()
        confirm(call, f"tell of {plain_text(name, 100)} again")
        engine.unsilence(name, call.args.reason)
    finally:
        engine.close()
    _end(call, "unsilence", f"{name} is no longer silenced")
    return 0


def run_test(call: Invocation) -> int:
    """Send a test to every receiver; 1 if one did not take it."""
    return reporting_end(call, "test-alerts", lambda: _test(call))


def _test(call: Invocation) -> int:
    if call.args.dry_run:
        _end(call, "test-alerts", "would be: send a test to every receiver of alerts")
        return 0
    require_words(call)
    engine = call.engine()
    try:
        engine.require_write()
        confirm(call, "send a test to every receiver of alerts, which may wake somebody")
        found = engine.test_alerts(call.args.reason)
    finally:
        engine.close()
    missed = [delivery for delivery in found if not delivery.taken]
    if not call.json:
        for delivery in found:
            print(f"{plain_text(delivery.receiver, 40):12} {delivery.words}")
    message = f"{len(found) - len(missed)} of {len(found)} receivers took the test"
    remedy = "fragrance logs alertmanager --tail 20" if missed else ""
    told = [
        {"receiver": d.receiver, "taken": d.taken, "attempts": d.attempts, "failed": d.failed}
        for d in found
    ]
    _end(call, "test-alerts", message, remedy, receivers=told)
    return 1 if missed else 0


def _end(
    call: Invocation, verb: str, message: str, remedy: str = "", **more: list[dict[str, Json]]
) -> None:
    if not call.json:
        print(f"{message}; {remedy}" if remedy else message)
        return
    print_json(
        {
            "event": "end",
            "operation_id": None,
            "verb": verb,
            "outcome": "failed" if remedy else "done",
            "exit_code": 1 if remedy else 0,
            "seconds": 0.0,
            "verified": not remedy,
            "message": message,
            "remedy": remedy,
            **more,
        }
    )
