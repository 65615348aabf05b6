"""``scale``: more or fewer replicas."""

from __future__ import annotations

from console.cli.changing import change
from console.cli.main import Commands, Invocation, add_changing, add_command
from console.domain.plans import Json
from console.errors import UsageError


def register(commands: Commands) -> None:
    """Add ``scale``."""
    command = add_command(commands, "scale", "more or fewer replicas of a service")
    command.add_argument("targets", metavar="SERVICE=N", nargs="+")
    command.add_argument(
        "--gradual", action="store_true", help="watch for 5 minutes between two removals"
    )
    command.add_argument(
        "--emergency",
        action="store_true",
        help="stop without draining, and cancel a running operation first",
    )
    add_changing(command)
    command.set_defaults(run=run_scale)


def run_scale(call: Invocation) -> int:
    """Plan, confirm, carry out and follow."""
    targets: dict[str, Json] = {}
    for word in call.args.targets:
        service, equals, number = word.partition("=")
        if not equals or not service:
            raise UsageError(
                f"{word!r} does not say how many replicas",
                unchanged="nothing was changed",
                remedy=f"fragrance scale {service or 'worker-llm'}=2",
            )
        if service in targets:
            raise UsageError(f"{service} is named twice", unchanged="nothing was changed")
        try:
            targets[service] = int(number)
        except ValueError as error:
            raise UsageError(
                f"{word}: {number!r} is not a number of replicas",
                unchanged="nothing was changed",
                remedy=f"fragrance scale {service}=2",
            ) from error
    wish: dict[str, Json] = {"targets": targets}
    if call.args.gradual:
        wish["gradual"] = True
    if call.args.emergency:
        wish["emergency"] = True
    return change(call, "scale", wish)
