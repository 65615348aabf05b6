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
    test = commands.add_parser(
        "test", help="the test suite", description="the test suite; the rest goes to pytest"
    )
    test.add_argument("--faults", action="store_true", help="with the long fault tests")
    test.add_argument("pytest_arguments", nargs=argparse.REMAINDER, metavar="PYTEST ARGS")
    test.set_defaults(run=run_test)
    bench = add_command(commands, "bench", "the benchmarks, each against a peer where there is one")
    bench.add_argument("names", nargs="*", metavar="NAME")
    bench.set_defaults(run=run_bench)


def run_test(call: Invocation) -> int:
    """Run pytest on this repository and return its exit code."""
    arguments = [a for a in call.args.pytest_arguments if a != "--"]
    if call.args.faults or "--faults" in arguments:
        arguments = ["--faults", *(a for a in arguments if a != "--faults")]
    return _run("pytest", *arguments)


def run_bench(call: Invocation) -> int:
    """Run the benchmarks and return their exit code."""
    return _run("tests.benchmarks", *call.args.names, *(["--json"] if call.json else []))


def _run(module: str, *arguments: str) -> int:
    # The children are many and own their time limits; Ctrl-C reaches them too.
    environment = {k: v for k, v in os.environ.items() if k != "FRAGRANCE_STATE"}
    return subprocess.call([sys.executable, "-m", module, *arguments], cwd=PROJECT, env=environment)
