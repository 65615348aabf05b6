"""``cleanup``: what lies on the disk and no release needs any more."""

from __future__ import annotations

from console.cli.changing import change
from console.cli.main import Commands, Invocation, add_changing, add_command
from console.domain.plans import Json


def register(commands: Commands) -> None:
    """Add ``cleanup``."""
    command = add_command(
        commands, "cleanup", "remove old images and rotated logs, pack away old checkpoints"
    )
    command.add_argument(
        "--build-cache",
        action="store_true",
        help="also what the engine's builder has not used for a week, of every project",
    )
    add_changing(command)
    command.set_defaults(run=run_cleanup)


def run_cleanup(call: Invocation) -> int:
    """Show each thing with its size, confirm, carry out and follow."""
    wish: dict[str, Json] = {"build_cache": True} if call.args.build_cache else {}
    return change(call, "cleanup", wish)
