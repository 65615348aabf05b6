"""``restart``: new processes, one replica after the other."""

from __future__ import annotations

from console.cli.changing import change
from console.cli.main import Commands, Invocation, add_changing, add_command
from console.errors import UsageError


def register(commands: Commands) -> None:
    """Add ``restart``."""
    command = add_command(commands, "restart", "restart services, one replica after the other")
    command.add_argument(
        "services", metavar="SERVICE", nargs="*", help="or the name of one replica"
    )
    command.add_argument("--all", action="store_true", help="every service")
    add_changing(command)
    command.set_defaults(run=run_restart)


def run_restart(call: Invocation) -> int:
    """Plan, confirm, carry out and follow."""
    if bool(call.args.services) == bool(call.args.all):
        raise UsageError(
            "name the services to restart, or --all",
            unchanged="nothing was changed",
            remedy="fragrance restart SERVICE",
        )
    if call.args.all:
        return change(call, "restart", {"all": True})
    return change(call, "restart", {"services": list(call.args.services)})
