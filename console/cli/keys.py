"""``keys``: API keys of the product, made by the product's own admin command."""

from __future__ import annotations

import json
import sys
from typing import Any

from console.cli.main import Commands, Invocation, add_command
from console.domain.operations import Change
from console.domain.services import Health, ReplicaState, Role
from console.domain.text import plain_text
from console.errors import ConsoleError, Unreachable

TIMEOUT_SECONDS = 30.0


def register(commands: Commands) -> None:
    """Add ``keys create|list|revoke``."""
    command = add_command(commands, "keys", "API keys of the product (a new one is shown once)")
    actions = command.add_subparsers(metavar="ACTION", required=True)
    for action, text in (("create", "make a key"), ("revoke", "make a key useless at once")):
        sub = add_command(actions, action, text)
        sub.add_argument("name", metavar="NAME")
        sub.set_defaults(run=run_keys, action=action)
    add_command(actions, "list", "names, dates and state of all keys").set_defaults(
        run=run_keys, action="list", name=None
    )


def run_keys(call: Invocation) -> int:
    """Run the admin command in the first replica of the application that runs."""
    engine = call.engine()
    if call.args.action != "list":
        engine.require_write()
    arguments = [call.args.action, *([call.args.name] if call.args.name else [])]
    # The command speaks to the database itself: a replica that gets no requests will do,
    # so that a key can be revoked while the application is in trouble.
    running = [
        replica
        for service in engine.present().services
        if service.role is Role.APP
        for replica in service.replicas
        if replica.state is ReplicaState.RUNNING
    ]
    if not running:
        raise Unreachable(
            "no replica of the application runs",
            unchanged="no key was made or changed",
            remedy="fragrance status",
        )
    replica = min(running, key=lambda r: r.health is not Health.HEALTHY).name
    done = engine.runtime.exec(
        replica, ["python", "-m", "backend", "keys", *arguments, "--json"], TIMEOUT_SECONDS
    )
    answer = _last_json(done.output)
    if done.exit_code != 0 or answer is None:
        raise ConsoleError(
            f"the application did not {call.args.action} the key: {done.output.strip()[-300:]}",
            unchanged="no other key was changed",
        )
    if call.args.action != "list":
        engine.journal.record(
            Change(
                at=engine.clock.now(),
                actor=str(engine.actor),
                what=f"keys {call.args.action} {plain_text(call.args.name)}",
                outcome="done",
            )
        )
    if call.json:
        json.dump(answer, sys.stdout)
        print()
    elif call.args.action == "create":
        print(answer["key"])
        print("this key is shown once; send it in the header X-API-Key", file=sys.stderr)
    elif call.args.action == "list":
        for key in answer["keys"]:
            print(f"{key['name']:24} {key['created_at']:32} {key.get('revoked_at') or 'active'}")
    else:
        print(f"{call.args.name} is revoked")
    return 0


def _last_json(output: str) -> dict[str, Any] | None:
    for line in reversed(output.splitlines()):
        if line.startswith("{"):
            try:
                value = json.loads(line)
            except ValueError:
                return None
            return value if isinstance(value, dict) else None
    return None
