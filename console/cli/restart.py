"""``restart``: new processes, one replica after the other."""

from __future__ import annotations

from console.cli.changing import change
from console.cli.main import Commands, Invocation, add_changing, add_command, add_last_resort
from console.domain.plans import Json
from console.errors import UsageError


def register(commands: Commands) -> None:
    """Add ``restart``."""
    command = add_command(commands, "restart", "restart services, one replica after the other")
    command.add_argument(
        "services", metavar="SERVICE", nargs="*", help="or the name of one replica"
    )
    command.add_argument("--all", action="store_true", help="every service")
    command.add_argument(
        "--complete",
        action="store_true",
        help="stop everything and start it from the ground up: an outage, for when nothing helps",
    )
    add_changing(command)
    add_last_resort(command, "cancel a running operation first")
    command.set_defaults(run=run_restart)


def run_restart(call: Invocation) -> int:
    """Plan, confirm, carry out and follow."""
    if sum(map(bool, (call.args.services, call.args.all, call.args.complete))) != 1:
        raise UsageError(
            "name the services to restart, or --all, or --complete",
            unchanged="nothing was changed",
            remedy="fragrance restart SERVICE",
        )
    wish: dict[str, Json] = {"services": list(call.args.services)}
    if call.args.all or call.args.complete:
        wish = {"all" if call.args.all else "complete": True}
    if call.args.emergency:
        wish["emergency"] = True
    return change(call, "restart", wish)
