"""``scale``: more or fewer replicas, or, without a number, what is advised."""

from __future__ import annotations

import sys

from console.cli.changing import change, print_json
from console.cli.main import (
    Commands,
    Invocation,
    add_changing,
    add_command,
    add_last_resort,
)
from console.domain.advice import Advice, advise
from console.domain.plans import Json
from console.domain.snapshot import AgentState, Snapshot
from console.engine import Engine
from console.errors import Unreachable, UsageError
from console.operations.capacity import capacity_lines
from console.operations.request import PlanRequest

#: How long is measured where no agent has done so, seconds.
MEASURE_SECONDS = 4.0


def register(commands: Commands) -> None:
    """Add ``scale``."""
    command = add_command(commands, "scale", "more or fewer replicas of a service")
    command.add_argument(
        "targets",
        metavar="SERVICE=N",
        nargs="*",
        help="SERVICE alone says what is advised and changes nothing",
    )
    command.add_argument(
        "--advice", action="store_true", help="what is advised for each; changes nothing"
    )
    command.add_argument(
        "--gradual", action="store_true", help="watch for 5 minutes between two removals"
    )
    add_changing(command)
    add_last_resort(command, "stop without draining, and cancel a running operation first")
    command.set_defaults(run=run_scale)


def run_scale(call: Invocation) -> int:
    """Plan, confirm, carry out and follow; or only advise."""
    words: list[str] = call.args.targets
    if call.args.advice or not any("=" in word for word in words):
        return _advise(call, [word.partition("=")[0] for word in words])
    targets: dict[str, Json] = {}
    for word in words:
        service, equals, number = word.partition("=")
        if not equals or not service:
            raise UsageError(
                f"{word!r} does not say how many replicas",
                unchanged="nothing was changed",
                remedy=f"fragrance scale {service or 'worker-llm'}=2",
            )
        if service in targets:
            raise UsageError(f"{service} is named twice", unchanged="nothing was changed")
        try:
            targets[service] = int(number)
        except ValueError as error:
            raise UsageError(
                f"{word}: {number!r} is not a number of replicas",
                unchanged="nothing was changed",
                remedy=f"fragrance scale {service}=2",
            ) from error
    wish: dict[str, Json] = {"targets": targets}
    if call.args.gradual:
        wish["gradual"] = True
    if call.args.emergency:
        wish["emergency"] = True
    return change(call, "scale", wish)


def _advise(call: Invocation, names: list[str]) -> int:
    """Print what is advised for the services called *names*, or for all that are scaled."""
    engine = call.engine()
    snapshot = _measured(engine)
    check_visible(snapshot)
    policy = call.settings.policy
    known = {s.name: s for s in snapshot.services}
    if not known:
        names = []
    if unknown := [name for name in names if name not in known]:
        raise UsageError(
            f"there is no service {unknown[0]!r}",
            unchanged="nothing was changed",
            remedy=f"one of: {', '.join(known)}",
        )
    chosen = names or [s.name for s in known.values() if policy.bounds(s.name, s.role)]
    request = PlanRequest(snapshot, policy, engine.runtime)
    told = [
        (advise(name, snapshot, policy), capacity_lines(request, known[name])) for name in chosen
    ]
    if call.json:
        print_json(
            {
                "schema_version": 1,
                "taken_at": snapshot.taken_at.isoformat(),
                "agent": snapshot.agent.value,
                "advice": [_as_json(advice, capacity) for advice, capacity in told],
            }
        )
        return 0
    if not told:
        print("nothing here is scaled" if known else "the stack is not running: fragrance start")
    for advice, capacity in told:
        for line in advice_lines(advice, capacity):
            print(line)
    if known and snapshot.agent is AgentState.ABSENT:
        print(f"no agent is running: rates are of {MEASURE_SECONDS:g} s only", file=sys.stderr)
    return 0


def check_visible(snapshot: Snapshot) -> None:
    """Raise Unreachable when it cannot be told which services there are."""
    if snapshot.unseen is not None:
        raise Unreachable(
            f"the services cannot be seen: {snapshot.unseen}",
            unchanged="nothing was changed",
            remedy="fragrance doctor",
        )


def advice_lines(advice: Advice, capacity: list[str]) -> list[str]:
    """Return an advice as lines for a person."""
    same = advice.recommended in {None, advice.present}
    number = "" if same else f" → {advice.recommended}"
    lines = [f"{advice.service} {advice.present}{number}: {advice.verdict}"]
    lines += [f"  {trigger.state.value:8} {trigger.words}" for trigger in advice.triggers]
    lines += [f"  because  {line}" for line in advice.arithmetic]
    if advice.clipped_by:
        lines.append(f"  bound by {advice.clipped_by}")
    lines += [f"  note     {note}" for note in advice.notes]
    lines += [f"  capacity {line}" for line in capacity]
    if not same:
        lines.append(f"  next     fragrance scale {advice.service}={advice.recommended}")
    return lines


def _measured(engine: Engine) -> Snapshot:
    """Return a picture with rates: the agent's, or one after a few seconds of looking."""
    snapshot = engine.snapshot()
    if snapshot.agent is AgentState.RUNNING or not snapshot.running:
        return snapshot
    engine.watch()
    try:
        engine.clock.sleep(MEASURE_SECONDS)
        return engine.snapshot()
    finally:
        engine.close()


def _as_json(advice: Advice, capacity: list[str]) -> dict[str, Json]:
    return {
        "service": advice.service,
        "present": advice.present,
        "recommended": advice.recommended,
        "needed": advice.needed,
        "direction": advice.direction.value,
        "verdict": advice.verdict,
        "clipped_by": advice.clipped_by,
        "triggers": [
            {
                "name": t.name,
                "value": t.value,
                "threshold": t.threshold,
                "unit": t.unit,
                "state": t.state.value,
                "words": t.words,
            }
            for t in advice.triggers
        ],
        "arithmetic": list(advice.arithmetic),
        "notes": list(advice.notes),
        "capacity": capacity,
    }
