"""``resize``: other limits of processor and memory."""

from __future__ import annotations

from console.cli.changing import change
from console.cli.main import Commands, Invocation, add_changing, add_command
from console.domain.plans import Json


def register(commands: Commands) -> None:
    """Add ``resize``."""
    command = add_command(commands, "resize", "other CPU and memory limits of a service")
    command.add_argument("service", metavar="SERVICE")
    command.add_argument("--cpus", metavar="CORES", help="most of each replica, 1.5")
    command.add_argument("--memory", metavar="SIZE", help="most of each replica, 512M or 2G")
    command.add_argument("--reserve-cpus", metavar="CORES", help="kept for each replica")
    command.add_argument("--reserve-memory", metavar="SIZE", help="kept for each replica")
    add_changing(command)
    command.set_defaults(run=run_resize)


def run_resize(call: Invocation) -> int:
    """Plan, confirm, carry out and follow."""
    options = ("cpus", "memory", "reserve-cpus", "reserve-memory")
    given = {o: getattr(call.args, o.replace("-", "_")) for o in options}
    wish: dict[str, Json] = {"service": call.args.service}
    return change(call, "resize", wish | {o: text for o, text in given.items() if text is not None})
