"""``status``: one picture on the command line, launcher included."""

from __future__ import annotations

import subprocess
import sys

from tests.benchmarks.figures import Figure, median_seconds
from tests.stack import PROJECT, Stack

RUNS = 9


def measure(stack: Stack) -> list[Figure]:
    """Time the command as it is typed, and what the launcher adds to Python."""

    def run(*command: str) -> None:
        subprocess.run(
            command,
            cwd=PROJECT,
            env=stack.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            check=True,
            timeout=30,
        )

    typed = median_seconds(lambda: run("./fragrance", "status"), RUNS)
    bare = median_seconds(lambda: run(sys.executable, "-m", "console", "status"), RUNS)
    empty = median_seconds(lambda: run(sys.executable, "-c", "pass"), RUNS)
    return [
        Figure("fragrance status", typed, "s", RUNS, note=f"python alone {empty:.3f} s"),
        Figure("launcher, added to each command", max(0.0, typed - bare), "s", RUNS),
    ]
