"""The parser of every command, and how an answer becomes an exit code."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

from console.errors import ConsoleError, Unreachable, UsageError
from console.modes import adopt_umask
from console.settings import PROJECT, Settings, load_settings

if TYPE_CHECKING:
    from console.engine import Engine

#: Modules of this package, in the order of ``--help``, and the commands each registers.
COMMAND_MODULES: Mapping[str, tuple[str, ...]] = {
    "stack": ("start", "stop"),
    "status": ("status", "watch", "queues"),
    "metrics": ("metrics",),
    "alerts": ("alerts",),
    "changes": ("changes",),
    "logs": ("logs",),
    "scale": ("scale",),
    "autoscale": ("autoscale",),
    "restart": ("restart",),
    "maintenance": ("maintenance",),
    "cleanup": ("cleanup",),
    "resize": ("resize",),
    "settings": ("settings",),
    "env": ("env",),
    "operations": ("operations",),
    "audit": ("audit",),
    "access": ("elevate",),
    "keys": ("keys",),
    "doctor": ("doctor",),
    "development": ("test", "bench"),
}

#: Answer of a command that wants the console on the screen; see console.__main__.
SHOW_CONSOLE = -1


@dataclass(frozen=True, slots=True)
class Invocation:
    """
    One command as typed.

    Args:
        args: Parsed arguments.
        settings: Settings of this invocation.
        build_engine: Makes the engine, with what is slow to import, on demand.
    """

    args: argparse.Namespace
    settings: Settings
    build_engine: Callable[[Settings], Engine]

    @property
    def json(self) -> bool:
        """Whether results are wanted as JSON."""
        return bool(getattr(self.args, "json", False))

    def engine(self) -> Engine:
        """Return the engine of this stack."""
        return self.build_engine(self.settings)


class _Parser(argparse.ArgumentParser):
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        # ``--at -20m`` gives a value: nothing that begins with a digit is an option here.
        self._negative_number_matcher = re.compile(r"-\d")

    def error(self, message: str) -> NoReturn:
        raise UsageError(message, remedy=f"{self.prog} --help")


#: What ``register(commands)`` of a command module receives.
Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def build_parser(argv: Sequence[str] | None = None) -> argparse.ArgumentParser:
    """
    Return the parser.

    Args:
        argv: What is to be parsed: only what that needs is loaded.  None: everything.
    """
    parser: argparse.ArgumentParser = _Parser(
        prog="fragrance",
        description="The console of Fragrance AI. Without a command it opens on the running stack.",
    )
    version = (PROJECT / "VERSION").read_text(encoding="utf-8").strip()
    parser.add_argument("--version", action="version", version=f"fragrance {version}")
    add_common(parser, suppress=False)
    add_console(parser, suppress=False)
    parser.set_defaults(run=None)
    commands = parser.add_subparsers(metavar="COMMAND", title="commands")
    for name in COMMAND_MODULES if argv is None else _needed(argv):
        import_module(f"console.cli.{name}").register(commands)
    return parser


def _needed(argv: Sequence[str]) -> Collection[str]:
    """Return the modules that parse *argv*: all of them where it takes a look at them all."""
    words = iter(argv)
    for word in words:
        if word in {"--file", "--state"}:
            next(words, None)
        elif not word.startswith("-"):
            return [m for m, names in COMMAND_MODULES.items() if word in names] or COMMAND_MODULES
        elif word not in {"--low-bandwidth", "--version"} and "=" not in word:
            return COMMAND_MODULES  # help, or a mistake that is told with all that there is
    return ()


def add_common(parser: argparse.ArgumentParser, *, suppress: bool = True) -> None:
    """
    Add the global options, so that they may stand before or after the command.

    Args:
        suppress: True on a command: leaves what was given before it alone.
    """
    default = argparse.SUPPRESS if suppress else None
    parser.add_argument("--file", metavar="COMPOSE_FILE", default=default, help="another project")
    parser.add_argument("--state", metavar="DIR", default=default, help="state directory")


def add_console(parser: argparse.ArgumentParser, *, suppress: bool = True) -> None:
    """Add the options of a command that opens the console; *suppress* as above."""
    parser.add_argument(
        "--low-bandwidth",
        action="store_true",
        default=argparse.SUPPRESS if suppress else False,
        help="the console spares the line: every 2 s, no clock, coarser figures",
    )


def add_command(commands: Commands, name: str, help_text: str) -> argparse.ArgumentParser:
    """Add a command that takes the global options and ``--json``."""
    command = commands.add_parser(name, help=help_text, description=help_text)
    add_common(command)
    command.add_argument("--json", action="store_true", help="machine-readable output")
    return command


def add_changing(command: argparse.ArgumentParser) -> None:
    """Add the options every changing command has."""
    command.add_argument("--dry-run", action="store_true", help="show the plan and stop")
    command.add_argument("--yes", action="store_true", help="do not ask for confirmation")
    command.add_argument("--reason", metavar="TEXT", default="", help="why, kept in the audit")


def add_last_resort(command: argparse.ArgumentParser, emergency: str) -> None:
    """
    Add what lets a command act at once, and though the journal cannot be written.

    Args:
        command: Its parser.
        emergency: What ``--emergency`` means to it.
    """
    command.add_argument("--emergency", action="store_true", help=emergency)
    command.add_argument(
        "--no-journal",
        action="store_true",
        help="only while the journal is broken: run in this terminal, unrecorded "
        "(in production together with --emergency)",
    )


def main(
    argv: Sequence[str], build_engine: Callable[[Settings], Engine]
) -> tuple[int, Settings | None]:
    """
    Run one command line.

    Args:
        argv: Arguments after the program's name.
        build_engine: From :mod:`console.bootstrap`.

    Returns:
        Exit code (or :data:`SHOW_CONSOLE`) and the settings it ran with, None
        when the command line could not be understood.
    """
    settings: Settings | None = None
    try:
        args = build_parser(argv).parse_args(argv)
        settings = load_settings(state=args.state, file=args.file, low_bandwidth=args.low_bandwidth)
        adopt_umask(settings.state)
        if args.run is None:
            return SHOW_CONSOLE, settings
        run: Callable[[Invocation], int] = args.run
        return run(Invocation(args, settings, build_engine)), settings
    except ConsoleError as error:
        report(error)
        return error.exit_code, settings
    except PermissionError as error:
        # A single file that is not as the state's own: its message is no traceback's.
        refusal = Unreachable(
            f"{error.filename or 'a file of the state'}: {error.strerror}",
            unchanged="nothing more was done",
            remedy=f"ls -ld {error.filename or 'DIR'}; see RUNBOOK.md, several operators",
        )
        report(refusal)
        return refusal.exit_code, settings
    except KeyboardInterrupt:
        return 130, settings
    except BrokenPipeError:
        sys.stderr.close()
        return 0, settings


def report(error: ConsoleError) -> None:
    """Print an error to standard error: what happened, what is unchanged, what next."""
    first, *rest = error.lines()
    print(f"fragrance: {first}", file=sys.stderr)
    for line in rest:
        print(f"  {line}", file=sys.stderr)
