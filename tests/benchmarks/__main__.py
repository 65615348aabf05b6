"""
Run the benchmarks: ``fragrance bench [NAME…] [--json]``.

Each file of this package has one ``measure`` that returns figures of ours and, where
there is one, of a peer in the same run.  Medians; never a pass or fail.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import sys
from datetime import UTC, datetime
from importlib import import_module

from tests.benchmarks.figures import Figure, running_stack
from tests.stack import Stack

#: Files of this package that measure the real stack on the embedded runtime; they share one.
ON_STACK = ("startup", "status", "console", "idle", "death", "scale")
#: Those that simulate what they need.
ALONE = ("autoscale", "logs", "keys", "soak", "ssh")
#: Those that bring what they need themselves; they need a Docker Engine.
ON_ENGINE = ("images", "containers", "deaths", "operating")


def main() -> int:
    """Measure what was asked for and print it."""
    parser = argparse.ArgumentParser(prog="fragrance bench")
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--minutes", type=float, help="how long the soak takes")
    arguments = parser.parse_args()
    if arguments.minutes is not None:
        os.environ["FRAGRANCE_SOAK_MINUTES"] = str(arguments.minutes)
    known = ON_STACK + ALONE + ON_ENGINE
    unknown = set(arguments.names) - set(known)
    if unknown:
        print(f"unknown benchmark {sorted(unknown)}; one of {known}", file=sys.stderr)
        return 2
    figures: list[Figure] = []
    with contextlib.ExitStack() as open_until_end:
        stack: Stack | None = None
        for name in arguments.names or known:
            print(f"measuring {name} …", file=sys.stderr)
            measure = import_module(f"tests.benchmarks.{name}").measure
            if name in ALONE + ON_ENGINE:
                figures += measure()
                continue
            stack = stack or open_until_end.enter_context(running_stack())
            figures += measure(stack)
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
