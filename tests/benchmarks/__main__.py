"""
Run the benchmarks: ``fragrance bench [NAME…] [--json]``.

Each file of this package has one ``measure(machine)`` that returns figures of ours
and, where there is one, of a peer in the same run.  Medians; never a pass or fail.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from datetime import UTC, datetime
from importlib import import_module

from tests.benchmarks.figures import Figure, running_stack

#: Files of this package; the ones that need the real stack share one.
BENCHMARKS = ("startup", "status", "console", "idle", "death", "scale")


def main() -> int:
    """Measure what was asked for and print it."""
    parser = argparse.ArgumentParser(prog="fragrance bench")
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(BENCHMARKS)
    if unknown:
        print(f"unknown benchmark {sorted(unknown)}; one of {BENCHMARKS}", file=sys.stderr)
        return 2
    figures: list[Figure] = []
    with running_stack() as stack:
        for name in arguments.names or BENCHMARKS:
            print(f"measuring {name} …", file=sys.stderr)
            figures += import_module(f"tests.benchmarks.{name}").measure(stack)
    if arguments.json:
        print(
            json.dumps(
                {
                    "machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}",
                    "taken_at": datetime.now(UTC).isoformat(),
                    "results": [figure.as_json() for figure in figures],
                }
            )
        )
    else:
        for figure in figures:
            print(figure.line())
    return 0


if __name__ == "__main__":
    sys.exit(main())
