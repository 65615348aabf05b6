"""``autoscale``: let the agent scale by itself, or no longer, and what it decides."""

from __future__ import annotations

from datetime import datetime

from console.cli.changing import confirm, print_json, reporting_end, require_words
from console.cli.main import Commands, Invocation, add_changing, add_command
from console.cli.scale import check_visible
from console.domain.plans import Json
from console.domain.services import Service
from console.domain.snapshot import AgentState, Snapshot
from console.duties.autoscale import switches, turn
from console.errors import Refused, UsageError


def register(commands: Commands) -> None:
    """Add ``autoscale``."""
    command = add_command(commands, "autoscale", "let the agent scale by itself (off at first)")
    command.add_argument("wanted", choices=("on", "off", "status"))
    command.add_argument(
        "services", metavar="SERVICE", nargs="*", help="all that the policy names when left out"
    )
    add_changing(command)
    command.set_defaults(run=run_autoscale)


def run_autoscale(call: Invocation) -> int:
    """Switch it, or tell how it is."""
    if call.args.wanted == "status":
        return _show(call)
    return reporting_end(call, "autoscale", lambda: _turn(call, on=call.args.wanted == "on"))


def _turn(call: Invocation, *, on: bool) -> int:
    if not call.args.dry_run:
        require_words(call)
    engine = call.engine()
    if not call.args.dry_run:
        engine.require_write()
    names = _chosen(call, engine.snapshot(), on=on, present=list(switches(engine.journal)))
    word = "on" if on else "off"
    what = f"autoscale {word}: {', '.join(names) or 'nothing to do'}"
    if call.args.dry_run:
        _end(call, f"would be: {what}", [])
        return 0
    if names:
        confirm(call, what)
    changed = turn(engine.journal, names, engine.actor, call.args.reason, engine.clock.now(), on=on)
    _end(call, f"autoscale {word}: {', '.join(changed) or 'it was so already'}", changed)
    return 0


def _chosen(call: Invocation, snapshot: Snapshot, *, on: bool, present: list[str]) -> list[str]:
    """Return the services meant; those named must exist and be scaled by policy."""
    policy = call.settings.policy
    asked: list[str] = call.args.services
    if on:
        check_visible(snapshot)
        if not snapshot.services:
            raise Refused(
                "the stack is not running",
                unchanged="nothing was changed",
                remedy="fragrance start",
            )
    if not on:
        unknown = [n for n in asked if n not in present and snapshot.service(n) is None]
        if unknown:
            raise _no_service(unknown[0], snapshot)
        return asked or present
    if not asked:
        return [s.name for s in snapshot.services if s.name in policy.scale]
    for name in asked:
        service = snapshot.service(name)
        if service is None:
            raise _no_service(name, snapshot)
        _check_scaled(call, service)
    return asked


def _check_scaled(call: Invocation, service: Service) -> None:
    bounds = call.settings.policy.bounds(service.name, service.role)
    why = (
        "it is not in the policy's section scale"
        if bounds is None
        else f"there can be only one: {service.single}"
        if service.single
        else ""
    )
    if why:
        raise Refused(
            f"{service.name} cannot be scaled by itself: {why}",
            unchanged="nothing was changed",
            remedy="console.yaml, section scale, lists what may be scaled",
        )


def _no_service(name: str, snapshot: Snapshot) -> UsageError:
    return UsageError(
        f"there is no service {name!r}",
        unchanged="nothing was changed",
        remedy=f"one of: {', '.join(s.name for s in snapshot.services)}",
    )


def _end(call: Invocation, message: str, changed: list[str]) -> None:
    if not call.json:
        print(message)
        return
    print_json(
        {
            "event": "end",
            "operation_id": None,
            "verb": "autoscale",
            "outcome": "done",
            "exit_code": 0,
            "seconds": 0.0,
            "verified": True,
            "message": message,
            "remedy": "",
            "services": changed,
        }
    )


def _show(call: Invocation) -> int:
    engine = call.engine()
    snapshot, chosen = engine.snapshot(), switches(engine.journal)
    decisions = {d.service: d for d in snapshot.autoscale}
    policy = call.settings.policy
    names = [s.name for s in snapshot.services if policy.bounds(s.name, s.role) is not None]
    names += [name for name in chosen if name not in names]
    told: list[dict[str, Json]] = []
    for name in call.args.services or names:
        service, switch, decision = snapshot.service(name), chosen.get(name), decisions.get(name)
        if service is None and switch is None:
            raise _no_service(name, snapshot)
        bounds = None if service is None else policy.bounds(name, service.role)
        told.append(
            {
                "service": name,
                "on": switch is not None,
                "since": None if switch is None else switch.since,
                "actor": None if switch is None else switch.actor,
                "reason": None if switch is None else switch.reason,
                "minimum": None if bounds is None else max(1, bounds.minimum),
                "maximum": None if bounds is None else bounds.maximum,
                "decision": None
                if switch is None or decision is None
                else {
                    "action": decision.action.value,
                    "target": decision.target,
                    "reason": decision.reason,
                    "at": decision.at.isoformat(),
                },
            }
        )
    if call.json:
        print_json({"schema_version": 1, "agent": snapshot.agent.value, "services": told})
        return 0
    for one in told:
        _print(one)
    if chosen and snapshot.agent is AgentState.ABSENT:
        print("no agent is running: nothing is decided; fragrance start starts it")
    return 0


def _print(one: dict[str, Json]) -> None:
    if not one["on"]:
        print(f"{one['service']:14} off")
        return
    since = datetime.fromisoformat(one["since"])
    reason = f": {one['reason']}" if one["reason"] else ""
    print(
        f"{one['service']:14} on   {one['minimum']}–{one['maximum']} replicas, "
        f"since {since:%Y-%m-%d %H:%M} UTC by {one['actor']}{reason}"
    )
    decision = one["decision"]
    if decision is not None:
        target = "" if decision["target"] is None else f" to {decision['target']}"
        print(f"{'':14} {decision['action']}{target}: {decision['reason']}")
