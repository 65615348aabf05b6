"""``changes``: what was done by anybody, and what happened by itself, in time order."""

from __future__ import annotations

from console.cli.changing import print_json
from console.cli.main import Commands, Invocation, add_command
from console.domain.duration import parse_duration
from console.domain.happenings import Happening, Kind
from console.domain.text import plain_text
from console.errors import UsageError

SCHEMA_VERSION = 1
DEFAULT = "1h"
#: The agent's history is this long.
LONGEST = "24h"


def register(commands: Commands) -> None:
    """Add ``changes``."""
    command = add_command(commands, "changes", "what changed lately: by whom, or by itself")
    command.add_argument(
        "--since", metavar="TIME", default=DEFAULT, help=f"how far back, at most {LONGEST}"
    )
    command.add_argument("--service", metavar="NAME", default="", help="of this one alone")
    command.set_defaults(run=run)


def run(call: Invocation) -> int:
    """Print what happened, the oldest first: the last line is the newest, as in a log."""
    try:
        span = parse_duration(call.args.since)
    except ValueError as error:
        raise UsageError(str(error), remedy=f"fragrance changes --since {DEFAULT}") from error
    if span > parse_duration(LONGEST):
        raise UsageError(
            f"{call.args.since} is longer than {LONGEST}, which is what is kept",
            remedy=f"fragrance changes --since {LONGEST}; fragrance audit show",
        )
    engine = call.engine()
    name = call.args.service
    found = engine.happened(span.total_seconds(), service=name or None)
    found.reverse()
    if call.json:
        print_json({"schema_version": SCHEMA_VERSION, "changes": [_as_json(one) for one in found]})
        return 0
    if not found:
        print(f"nothing happened in the last {call.args.since}" + (f" to {name}" if name else ""))
    for one in found:
        mark = "!" if one.grave else " "
        who = f"  by {plain_text(one.actor, 60)}" if one.actor else ""
        print(f"{one.at:%Y-%m-%d %H:%M:%S}Z {mark} {_kind(one):9} {plain_text(one.words)}{who}")
    return 0


def _kind(one: Happening) -> str:
    return "done" if one.kind is Kind.CHANGE else one.kind.value


def _as_json(one: Happening) -> dict[str, object]:
    return {
        "at": one.at.isoformat(),
        "kind": one.kind.value,
        "subject": one.subject,
        "words": one.words,
        "grave": one.grave,
        "actor": one.actor or None,
    }
