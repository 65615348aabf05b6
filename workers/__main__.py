"""
``python -m workers``: start one worker, or give an order to one that runs.

Imports happen where a command needs them: an order must not wait for torch.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out one command; see ``--help``."""
    parser = argparse.ArgumentParser(prog="python -m workers", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for queue in ("llm", "rl"):
        commands.add_parser(queue, help=f"consume queue {queue} in the foreground")
    for action, effect in (("drain", "take no more tasks"), ("undrain", "take tasks again")):
        order_of = commands.add_parser(action, help=f"tell one worker to {effect}")
        order_of.add_argument("replica", metavar="REPLICA", help="as in REPLICA_NAME")
    kept = commands.add_parser("checkpoints", help="list, pack away or bring back checkpoints")
    kept.add_argument("action", choices=["list", "archive", "restore"])
    kept.add_argument("names", metavar="JOB/STEP", nargs="*")
    kept.add_argument("--older-than-days", type=float, default=0.0, help="of list")
    kept.add_argument("--keep", type=int, default=0, help="of list: leave out the newest")
    kept.add_argument("--limit", type=int, default=1000, help="of list: at most, the oldest")
    kept.add_argument("--json", action="store_true")
    check = commands.add_parser("selfcheck", help="prove that this image is whole")
    check.add_argument("queue", choices=["llm", "rl"])
    check.add_argument("--json", action="store_true")
    models = commands.add_parser("models", help="built-in language models")
    actions = models.add_subparsers(dest="action", required=True)
    actions.add_parser("prepare", help="verify the built-in models, build what is missing")
    build = actions.add_parser("build", help="train a built-in model anew")
    build.add_argument("name", choices=["qwen", "mistral", "llama"])
    build.add_argument("--output", metavar="DIRECTORY", help="default: the packaged place")
    build.add_argument("--steps", type=int, default=None, help="training steps")
    options = parser.parse_args(arguments)

    if options.command in ("drain", "undrain"):
        from workers.control import order

        return order(options.command, options.replica)
    if options.command == "checkpoints":
        from workers.rl.archive import Choice, command

        choice = Choice(options.names, options.older_than_days, options.keep, options.limit)
        return command(options.action, choice, as_json=options.json)
    if options.command == "models":
        from workers.llm.builtin import build_command, prepare_command

        if options.action == "build":
            return build_command(options.name, options.output, options.steps)
        return prepare_command()

    from backend.contracts.settings import SettingsError
    from backend.contracts.tasks import Queue

    if options.command == "selfcheck":
        from workers.selfcheck import selfcheck

        return selfcheck(Queue(options.queue), as_json=options.json)

    from workers.errors import CannotServe
    from workers.run import serve

    try:
        return serve(Queue(options.command))
    except (SettingsError, CannotServe) as error:
        print(f"error: {error}; no worker was started", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
