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
    add_changing(command)
    add_last_resort(command, "cancel a running operation first")
    command.set_defaults(run=run_restart)


def run_restart(call: Invocation) -> int:
    """Plan, confirm, carry out and follow."""
    if bool(call.args.services) == bool(call.args.all):
        raise UsageError(
            "name the services to restart, or --all",
            unchanged="nothing was changed",
            remedy="fragrance restart SERVICE",
        )
    wish: dict[str, Json] = {"all": True}
    if not call.args.all:
        wish = {"services": list(call.args.services)}
    if call.args.emergency:
        wish["emergency"] = True
    return change(call, "restart", wish)
