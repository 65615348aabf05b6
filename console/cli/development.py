"""``test`` and ``bench``: the suite and the figures, for whoever works on this."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys

from console.cli.main import Commands, Invocation, add_command
from console.settings import PROJECT


def register(commands: Commands) -> None:
    """Add ``test`` and ``bench``."""
    # No character begins an option of ours: whatever follows is pytest's, in its order.
    test = commands.add_parser(
        "test",
        help="the test suite; what follows goes to pytest, --faults adds the long fault tests",
        prefix_chars="\0",
        add_help=False,
    )
    test.add_argument("pytest_arguments", nargs=argparse.REMAINDER, metavar="PYTEST ARGS")
    test.set_defaults(run=run_test)
    bench = add_command(commands, "bench", "the benchmarks, each against a peer where there is one")
    bench.add_argument("names", nargs="*", metavar="NAME")
    bench.add_argument("--minutes", type=float, help="how long the soak takes (2)")
    bench.set_defaults(run=run_bench)


def run_test(call: Invocation) -> int:
    """Run pytest on this repository and return its exit code."""
    return _run("pytest", *call.args.pytest_arguments)


def run_bench(call: Invocation) -> int:
    """Run the benchmarks and return their exit code."""
    options = ["--json"] if call.json else []
    if call.args.minutes is not None:
        options += ["--minutes", str(call.args.minutes)]
    return _run("tests.benchmarks", *call.args.names, *options)


def _run(module: str, *arguments: str) -> int:
    # The children are many and own their time limits; Ctrl-C reaches them too.
    environment = {k: v for k, v in os.environ.items() if k != "FRAGRANCE_STATE"}
    return subprocess.call([sys.executable, "-m", module, *arguments], cwd=PROJECT, env=environment)
