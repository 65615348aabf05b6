"""``elevate``: write access for a while; production starts read-only."""

from __future__ import annotations

import sys

from console.cli.changing import confirm, print_json, reporting_end, require_words
from console.cli.main import Commands, Invocation, add_command


def register(commands: Commands) -> None:
    """Add ``elevate``."""
    command = add_command(commands, "elevate", "write access for a while (0 minutes ends it)")
    command.add_argument("--minutes", type=int, default=None, metavar="N", help="default 15")
    command.add_argument("--yes", action="store_true", help="do not ask for confirmation")
    command.add_argument("--reason", metavar="TEXT", default="", help="why, kept in the audit")
    command.set_defaults(run=run_elevate)


def run_elevate(call: Invocation) -> int:
    """Take or end write access, and say until when."""
    return reporting_end(call, "elevate", lambda: _elevate(call))


def _elevate(call: Invocation) -> int:
    minutes = call.args.minutes
    if minutes is None:
        minutes = call.settings.policy.elevation_minutes
    require_words(call)
    engine = call.engine()
    if minutes > 0:
        confirm(call, f"write access to {call.settings.environment} for {minutes} minutes")
    access = engine.elevate(minutes, call.args.reason)
    if not call.settings.production:
        message = f"{call.settings.environment} is always writable"
    elif access.until is not None:
        message = f"write access until {access.until:%H:%M:%S} UTC"
    else:
        message = "read-only"
    if call.json:
        print_json(
            {
                "event": "end",
                "operation_id": None,
                "verb": "elevate",
                "outcome": "done",
                "exit_code": 0,
                "seconds": 0.0,
                "verified": True,
                "message": message,
                "remedy": "",
                "write": access.write,
                "until": None if access.until is None else access.until.isoformat(),
            }
        )
    else:
        print(message)
        if access.until is not None:
            print("  end it sooner: fragrance elevate --minutes 0 --reason …", file=sys.stderr)
    return 0
