"""``start`` and ``stop``: the whole stack, from nothing to healthy and back."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from dataclasses import dataclass, replace
from datetime import datetime

from console.capabilities import StartsStack
from console.cli.changing import confirm
from console.cli.main import SHOW_CONSOLE, Commands, Invocation, add_command, add_console
from console.domain.lifecycle import ACTIVE, busy_with
from console.domain.operations import Change
from console.domain.services import Health, ReplicaState, Service, Topology
from console.domain.snapshot import Snapshot
from console.domain.text import plain_text
from console.duties.autoscale import NOTE, turn
from console.engine import Engine
from console.errors import ConsoleError, NotSupported, Refused, Unreachable, UsageError
from console.journal.liveness import runner_is_alive
from console.ports import LogRequest
from console.settings import PRODUCTION, Settings, record_environment, record_runtime

HEALTHY_SECONDS = 120.0
#: For replicas to finish what they have in hand: a request, a task.
STOP_SECONDS = 90.0
POLL_SECONDS = 0.2
LOG_LINES = 5
#: Up to so many replicas are named; more are counted.
NAMED = 8


def register(commands: Commands) -> None:
    """Add ``start`` and ``stop``."""
    start = add_command(commands, "start", "set up what is missing and start the stack")
    start.add_argument(
        "--runtime", choices=("embedded", "compose", "swarm"), help="what runs the replicas"
    )
    start.add_argument("--detach", action="store_true", help="do not open the console")
    start.add_argument("--reason", metavar="TEXT", default="", help="why, kept in the audit")
    add_console(start)
    start.set_defaults(run=run_start)
    stop = add_command(commands, "stop", "stop the stack and its agent; data stays")
    stop.add_argument("--yes", action="store_true", help="do not ask (production asks)")
    stop.add_argument("--reason", metavar="TEXT", default="", help="why, kept in the audit")
    stop.set_defaults(run=run_stop)


def run_start(call: Invocation) -> int:
    """Start the stack, wait until it is healthy, say where it is."""
    began = time.monotonic()
    settings = _settings_to_start(call)
    engine = call.build_engine(settings)
    runtime = _stack_of(engine)
    before = engine.runtime.topology()
    was_running = before.running
    lost = _lost(before) if runtime.wanted() else []
    if lost:
        _say(f"should run and does not: {'; '.join(lost)}")
    try:
        record_runtime(settings, engine.runtime.name)
        runtime.bring_up(_say)
        record_environment(settings)
        snapshot = wait_until_healthy(engine, engine.clock.now(), HEALTHY_SECONDS)
        _autoscale_as_set(engine)
    except ConsoleError as error:
        _record(engine, "start", f"failed: {error.message}", call.args.reason)
        raise
    except KeyboardInterrupt:
        _say("interrupted here; what was started goes on: fragrance status, fragrance stop")
        raise
    back = _brought_back(before, engine.runtime.topology()) if lost else []
    message = "already running" if was_running else "started"
    if back:
        named = ", ".join(back) if len(back) <= NAMED else f"{len(back)} replicas"
        message = f"brought back {named}"
    if back or not was_running:
        what = f"start: {message}" if back else "start"
        _record(engine, what, "done", call.args.reason)
    outcome = _Outcome(
        "start",
        message,
        time.monotonic() - began,
        "fragrance status",
        dict(snapshot.endpoints),
    )
    if call.json:
        outcome.print_json()
    else:
        outcome.print_words()
        if not call.args.detach and sys.stdout.isatty():
            return SHOW_CONSOLE
        print("next: fragrance  (console), fragrance status, fragrance logs -f, fragrance stop")
    return 0


def run_stop(call: Invocation) -> int:
    """Stop agent and stack; a stopped one stays stopped."""
    began = time.monotonic()
    engine = call.engine()
    runtime = _stack_of(engine)
    running = engine.runtime.topology().running
    if running:
        _check_stop(call, engine)
    try:
        runtime.take_down(_say, STOP_SECONDS)
    except ConsoleError as error:
        _record(engine, "stop", f"failed: {error.message}", call.args.reason)
        raise
    if running:
        _record(engine, "stop", "done", call.args.reason)
    message = "stopped, data kept," if running else "nothing was running"
    outcome = _Outcome("stop", message, time.monotonic() - began, "fragrance start", {})
    if call.json:
        outcome.print_json()
    else:
        outcome.print_words()
    return 0


def _autoscale_as_set(engine: Engine) -> None:
    """Turn the autoscaler on where the settings say so and nobody has ever decided."""
    if engine.runtime.topology().settings.get("AUTO_SCALING") != "true":
        return
    services = tuple(engine.settings.policy.scale)
    try:
        if engine.journal.note(NOTE) is not None:
            return
        turn(
            *(engine.journal, services, engine.actor, "AUTO_SCALING in the env file"),
            engine.clock.now(),
            on=True,
        )
    except ConsoleError as error:
        _say(f"the autoscaler stays off: {error.message}")
    else:
        _say(f"autoscaling is on: {', '.join(services)} (fragrance autoscale off SERVICE)")


def _lost(topology: Topology) -> list[str]:
    """Return what should run and does not, in words, of a stack that should."""
    lost = []
    for service in topology.services:
        staying = [r for r in service.replicas if r.state is not ReplicaState.STOPPING]
        lost += [
            f"{r.name} ({plain_text(r.exit_reason) or r.state.value})"
            for r in staying
            if r.state in {ReplicaState.EXITED, ReplicaState.BACKOFF}
        ]
        if (missing := service.desired - len(staying)) > 0:
            lost.append(f"{service.name} lacks {missing} of {service.desired}")
    return lost


def _brought_back(before: Topology, after: Topology) -> list[str]:
    """Return the replicas that run now in another process than before, or in their first."""
    old = {(r.name, r.id, r.pid, r.started_at) for s in before.services for r in s.replicas}
    return [
        r.name
        for s in after.services
        for r in s.replicas
        if r.state is ReplicaState.RUNNING and (r.name, r.id, r.pid, r.started_at) not in old
    ]


def wait_until_healthy(engine: Engine, since: datetime, timeout_seconds: float) -> Snapshot:
    """
    Wait until every core service has all the replicas it should have, healthy.

    Args:
        since: Older pictures are of the time before; they prove nothing.

    Raises:
        ConsoleError: After the timeout: which service, why, and its last words.
    """
    deadline = time.monotonic() + timeout_seconds
    told: set[str] = set()
    while True:
        snapshot = engine.snapshot()
        waiting = (
            [s for s in snapshot.services if s.core and not _well(s)]
            if snapshot.taken_at >= since
            else None
        )
        if waiting == [] and snapshot.services:
            return snapshot
        for service in waiting or ():
            line = f"{service.name} {service.ready_words} {service.health.value}"
            line += f": {service.reason}" if service.reason else ""
            # Reasons carry seconds; the same thing is not said again as they pass.
            if (same := re.sub(r"\d+(\.\d+)? s", "", line)) not in told:
                told.add(same)
                _say(line)
        if time.monotonic() >= deadline:
            raise _unhealthy(engine, waiting or [], timeout_seconds)
        engine.clock.sleep(POLL_SECONDS)


def _well(service: Service) -> bool:
    # Unknown is well only where nothing is configured to ask: then ready says it all.
    return service.ready >= service.desired and (
        service.desired == 0 or service.health in (Health.HEALTHY, Health.UNKNOWN)
    )


def _unhealthy(engine: Engine, waiting: list[Service], seconds: float) -> ConsoleError:
    for service in waiting:
        names = tuple(r.name for r in service.replicas if r.health is not Health.HEALTHY)
        if not names:
            continue
        for line in engine.logs(LogRequest(services=names, tail=LOG_LINES)):
            if line is not None:
                print(f"  {line.replica} | {plain_text(line.text, 300)}", file=sys.stderr)
    what = "; ".join(
        f"{s.name} {s.ready_words} {s.health.value}" + (f" ({s.reason})" if s.reason else "")
        for s in waiting
    )
    return ConsoleError(
        f"not healthy after {seconds:g} s: {what or 'no picture of the stack could be taken'}",
        unchanged="what was started runs on and is tried again",
        remedy=f"fragrance logs {waiting[0].name}" if waiting else "fragrance status",
    )


def _settings_to_start(call: Invocation) -> Settings:
    """A stopped stack may be started in another environment; out of production never by slip."""
    settings = replace(call.settings, runtime=call.args.runtime or call.settings.runtime)
    _check_runtime(call, settings)
    asked = os.environ.get("APP_ENV")
    if not asked or asked == settings.environment:
        return settings
    if settings.environment in PRODUCTION:
        raise Refused(
            f"this stack is {settings.environment} and APP_ENV says {asked}",
            unchanged="nothing was started",
            remedy=f"unset APP_ENV, or choose another --state for {asked}",
        )
    if call.build_engine(settings).runtime.topology().running:
        raise Refused(
            f"this stack runs as {settings.environment} and APP_ENV says {asked}",
            unchanged="it runs on",
            remedy="fragrance stop first, or unset APP_ENV",
        )
    return replace(settings, environment=asked)


def _check_runtime(call: Invocation, settings: Settings) -> None:
    """One state, one runtime: what runs elsewhere must be stopped first."""
    before = call.settings.runtime
    if before is None or settings.runtime == before:
        return
    if call.build_engine(call.settings).runtime.topology().running:
        raise Refused(
            f"this stack runs on {before}",
            unchanged="it runs on",
            remedy=f"fragrance stop, then fragrance start --runtime {settings.runtime}; "
            "each runtime has data of its own",
        )


def _stack_of(engine: Engine) -> StartsStack:
    runtime = engine.runtime
    if not isinstance(runtime, StartsStack):
        raise NotSupported(
            f"the runtime {runtime.name} cannot start or stop a whole stack",
            unchanged="nothing was changed",
        )
    return runtime


def _check_stop(call: Invocation, engine: Engine) -> None:
    engine.require_write()
    try:
        operation = engine.journal.unfinished()
    except Unreachable as error:
        if runner_is_alive(engine.settings.state):
            raise
        _say(f"warning: {error.message}")
        operation = None
    if operation is not None and operation.state in ACTIVE:
        raise busy_with(operation)
    if not engine.settings.production or call.args.yes:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(
            "stopping production asks for confirmation, and there is no terminal",
            unchanged="the stack runs on",
            remedy='fragrance stop --yes --reason "…"',
        )
    confirm(call, "this stops PRODUCTION", "stop")


def _record(engine: Engine, what: str, outcome: str, reason: str) -> None:
    """Record the change; a journal that cannot be written must not keep the stack down."""
    now = engine.clock.now()
    try:
        engine.journal.record(Change(now, str(engine.actor), what, outcome, reason))
    except ConsoleError as error:
        _say(f"not recorded in the journal: {error.message}")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


@dataclass(frozen=True, slots=True)
class _Outcome:
    verb: str
    message: str
    seconds: float
    remedy: str
    endpoints: dict[str, str]

    def print_json(self) -> None:
        print(
            json.dumps(
                {
                    "event": "end",
                    "operation_id": None,
                    "verb": self.verb,
                    "outcome": "done",
                    "exit_code": 0,
                    "seconds": round(self.seconds, 3),
                    "verified": True,
                    "message": self.message,
                    "remedy": self.remedy,
                    "endpoints": self.endpoints,
                }
            )
        )

    def print_words(self) -> None:
        print(f"{self.message} in {self.seconds:.1f} s")
        for name, address in self.endpoints.items():
            print(f"{name:12} {address}")
