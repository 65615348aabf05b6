"""``settings``: what the stack is set to, and other values of it."""

from __future__ import annotations

import json
import sys

from console.capabilities import HasSettings
from console.cli.changing import change
from console.cli.main import Commands, Invocation, add_changing, add_command
from console.domain.plans import Json
from console.domain.text import plain_text
from console.domain.tunables import Setting
from console.errors import NotSupported, UsageError
from console.operations.settings import find_setting


def register(commands: Commands) -> None:
    """Add ``settings list|get|set``."""
    command = add_command(commands, "settings", "settings of the stack; other values of them")
    actions = command.add_subparsers(metavar="ACTION", required=True)
    add_command(actions, "list", "every setting with its value").set_defaults(run=run_list)
    get = add_command(actions, "get", "one setting, explained")
    get.add_argument("name", metavar="NAME")
    get.set_defaults(run=run_get)
    setting = add_command(actions, "set", "change settings; an empty value is the default")
    setting.add_argument("values", metavar="NAME=VALUE", nargs="+")
    add_changing(setting)
    setting.set_defaults(run=run_set)


def run_list(call: Invocation) -> int:
    """Print all; a secret's value is nowhere among them."""
    known = _known(call)
    if call.json:
        json.dump([_as_json(setting) for setting in known], sys.stdout, ensure_ascii=False)
        print()
        return 0
    for setting in known:
        print(f"{setting.name:30} {_value(setting):32} {_remark(setting)}".rstrip())
    return 0


def run_get(call: Invocation) -> int:
    """Print one."""
    setting = find_setting(_known(call), call.args.name)
    if call.json:
        json.dump(_as_json(setting), sys.stdout, ensure_ascii=False)
        print()
        return 0
    print(f"{setting.name}={_value(setting)}")
    for text in (setting.explanation, setting.instead):
        if text:
            print(f"  {plain_text(text, 1000)}")
    return 0


def run_set(call: Invocation) -> int:
    """Plan, confirm, carry out and follow."""
    values: dict[str, Json] = {}
    for word in call.args.values:
        name, equals, value = word.partition("=")
        if not equals or not name or name in values:
            raise UsageError(
                f"{name} is named twice" if name in values else f"{word!r} is not NAME=VALUE",
                unchanged="nothing was changed",
                remedy="fragrance settings set LOG_LEVEL=DEBUG",
            )
        values[name] = value
    return change(call, "settings", {"values": values})


def _known(call: Invocation) -> tuple[Setting, ...]:
    runtime = call.engine().runtime
    if not isinstance(runtime, HasSettings):
        raise NotSupported(
            f"the runtime {runtime.name} has no settings that can be changed",
            unchanged="nothing was changed",
            remedy="fragrance doctor",
        )
    return runtime.settings()


def _value(setting: Setting) -> str:
    if setting.secret:
        return "(secret)"
    if setting.value is not None:
        return plain_text(setting.value, 200)
    return f"{plain_text(setting.default, 200)} (default)" if setting.default else "(default)"


def _remark(setting: Setting) -> str:
    return f"[{setting.instead}]" if setting.instead else plain_text(setting.explanation, 100)


def _as_json(setting: Setting) -> dict[str, Json]:
    return {
        "name": setting.name,
        "value": setting.value,
        "default": setting.default or None,
        "secret": setting.secret,
        "explanation": setting.explanation,
        "instead": setting.instead or None,
    }
