"""``status``, ``watch``, ``queues``: one picture, or each change."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from console.cli.figures import clock_time, duration
from console.cli.main import Commands, Invocation, add_command
from console.cli.queues import queue_report, with_verdicts
from console.cli.status_lines import status_lines
from console.domain.differences import happenings
from console.domain.duration import parse_moment
from console.domain.readings import SourceState
from console.domain.snapshot import SCHEMA_VERSION, Snapshot
from console.domain.text import plain_text
from console.engine import Access, Engine
from console.errors import ConsoleError, Unreachable, UsageError
from console.journal.picture import to_json

#: How often ``watch`` looks; a death is printed within this and the agent's own delay.
LOOK_EVERY_SECONDS = 0.25


def register(commands: Commands) -> None:
    """Add the commands."""
    status = add_command(commands, "status", "one picture of the stack")
    status.add_argument(
        "--at", metavar="TIME", help="as it was then: 03:10, -20m or '2026-03-14 03:10' (UTC)"
    )
    status.set_defaults(run=run_status)
    add_command(
        commands, "watch", "one line per change, for dumb terminals and screen readers"
    ).set_defaults(run=run_watch)
    add_command(commands, "queues", "what waits, how long, and whether it drains").set_defaults(
        run=run_queues
    )


def run_status(call: Invocation) -> int:
    """Print the snapshot; 5 when nothing could be read."""
    engine = call.engine()
    if call.args.at is not None:
        return _run_status_at(call, engine)
    access = _access(engine)

    def as_json(snapshot: Snapshot) -> object:
        told = None
        if access is not None:
            until = None if access.until is None else access.until.isoformat()
            told = {"write": access.write, "until": until}
        return json.loads(to_json(snapshot)) | {"access": told}

    def as_lines(snapshot: Snapshot) -> list[str]:
        first, *rest = status_lines(snapshot)
        return [first, *_access_lines(call, access), *rest]

    return show(call, as_json, as_lines, engine)


def _run_status_at(call: Invocation, engine: Engine) -> int:
    """Print the snapshot of a moment of the past; 5 when nothing was kept then."""
    now = engine.clock.now()
    try:
        at = parse_moment(call.args.at, now)
    except ValueError as error:
        raise UsageError(str(error), remedy="fragrance status --at 03:10  (or -20m)") from error
    frame = engine.rewound(at)
    if frame is None or frame.gap is not None:
        since, until = frame.gap if frame is not None and frame.gap else (at, now)
        raise Unreachable(
            f"nothing was kept of {at:%Y-%m-%d %H:%M:%S} UTC: "
            f"no agent ran from {since:%H:%M:%S} to {until:%H:%M:%S}",
            remedy=f"fragrance status --at '{since + timedelta(seconds=1):%Y-%m-%d %H:%M:%S}'",
        )
    snapshot = frame.snapshot
    if call.json:
        told = {"access": None, "asked_at": at.isoformat()}
        print(json.dumps(json.loads(to_json(snapshot)) | told, ensure_ascii=False))
        return 0
    ago = duration(round((now - snapshot.taken_at).total_seconds()))
    print(f"as it was at {snapshot.taken_at:%Y-%m-%d %H:%M:%S} UTC, {ago} ago: not the present")
    for line in status_lines(snapshot):
        print(line)
    return 0


def _access(engine: Engine) -> Access | None:
    """Return whether changes are allowed now, None where the journal cannot tell."""
    try:
        return engine.access()
    except ConsoleError:
        return None


def _access_lines(call: Invocation, access: Access | None) -> list[str]:
    """Return what production says of write access; elsewhere there is nothing to say."""
    if not call.settings.production:
        return []
    if access is None:
        return ["access: unknown, the journal cannot be read"]
    if access.until is not None:
        return [f"access: write until {access.until:%H:%M} UTC"]
    return ["access: read-only  (fragrance elevate --minutes 15 --reason …)"]


def run_queues(call: Invocation) -> int:
    """Print the queues, whether each drains and when, and what its workers have in hand."""
    engine = call.engine()
    policy = engine.settings.policy

    def as_json(snapshot: Snapshot) -> object:
        told = part(snapshot, "queues")
        return told | {"queues": with_verdicts(told["queues"], snapshot, policy)}

    return show(call, as_json, lambda snapshot: queue_report(snapshot, policy), engine)


def run_watch(call: Invocation) -> int:
    """Print the state once and then each change until interrupted."""
    engine = call.engine()
    engine.watch()
    try:
        seen = engine.snapshot()
        _say(call, seen, [f"overall {seen.overall.value}", *_present(seen)])
        while True:
            engine.clock.sleep(LOOK_EVERY_SECONDS)
            engine.watch()  # the agent may have gone meanwhile
            present = engine.snapshot()
            if present.taken_at <= seen.taken_at:
                continue
            for one in happenings(seen, present):
                told = {"kind": one.kind.value, "subject": one.subject, "grave": one.grave}
                _say(call, present, [one.words], **told)
            seen = present
    finally:
        engine.close()


def show(
    call: Invocation,
    as_json: Callable[[Snapshot], object],
    as_lines: Callable[[Snapshot], list[str]],
    engine: Engine | None = None,
) -> int:
    """Print the present picture as JSON or lines; 5 when nothing could be read."""
    engine = engine or call.engine()
    try:
        snapshot = engine.present()
    finally:
        engine.close()
    if call.json:
        print(json.dumps(as_json(snapshot), ensure_ascii=False))
    else:
        for line in as_lines(snapshot):
            print(line)
    runtime = next((s for s in snapshot.sources if s.name == "runtime"), None)
    if runtime is None or (runtime.state is not SourceState.FRESH and not snapshot.services):
        sys.stdout.flush()
        why = runtime.error if runtime is not None else None
        raise Unreachable(
            f"nothing could be read: {why or 'no source answers'}", remedy="fragrance doctor"
        )
    return 0


def part(snapshot: Snapshot, key: str) -> dict[str, Any]:
    """Return one part of the contract, with what is needed to understand it alone."""
    whole = json.loads(to_json(snapshot))
    return {
        "schema_version": SCHEMA_VERSION,
        "taken_at": whole["taken_at"],
        key: whole[key],
        "sources": whole["sources"],
    }


def _present(snapshot: Snapshot) -> list[str]:
    lines = [
        f"{s.name} {s.health.value} {s.ready_words}" + (f": {s.reason}" if s.reason else "")
        for s in snapshot.services
    ]
    lines += [f"alert {a.name} {a.state.value}: {a.summary}" for a in snapshot.alerts]
    lines += [f"source {s.name} {s.state.value}: {s.error}" for s in snapshot.sources if s.troubled]
    lines += [f"{s.name} drifts: {drift.what}" for s in snapshot.services for drift in s.drift]
    if snapshot.operation is not None:
        operation = snapshot.operation
        lines.append(f"operation {operation.verb} {operation.id}: {operation.state.value}")
    if snapshot.maintenance:
        lines.append("maintenance on")
    return lines


def _say(call: Invocation, snapshot: Snapshot, lines: list[str], **more: object) -> None:
    for line in lines:
        if call.json:
            told = {"at": snapshot.taken_at.isoformat(), "overall": snapshot.overall.value}
            print(json.dumps({**told, "change": line, **more}, ensure_ascii=False), flush=True)
        else:
            print(f"{clock_time(snapshot.taken_at)} {plain_text(line)}", flush=True)
