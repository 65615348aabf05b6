"""
The console over a real SSH server, on a line of 200 ms a round trip that loses 1 %.

Key to paint is bounded from below by the line: no answer is sooner than a round trip.
"""

from __future__ import annotations

import random
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.benchmarks.busy import busy_stack
from tests.benchmarks.figures import Figure, percentile
from tests.benchmarks.terminal import in_terminal
from tests.slow_line import missing, slow_line, ssh_server
from tests.stack import PROJECT, Stack

PRESSES = 40
SETTLE_SECONDS = 8.0
COUNT_SECONDS = 20.0
REPLICAS = 100
LINES_PER_SECOND = 100


def measure() -> list[Figure]:
    """Log in, open the console, press keys; then count what the line has to carry."""
    lacking = missing()
    if lacking:
        print(f"the slow line is not measured: {lacking}", file=sys.stderr)
        return []
    figures: list[Figure] = []
    with (
        busy_stack(REPLICAS, LINES_PER_SECOND) as stack,
        tempfile.TemporaryDirectory() as directory,
        slow_line(delay_seconds=0.1, loss=0.01) as line,
        ssh_server(line, Path(directory)) as login,
    ):
        subprocess.run(
            [*login, "true"], stdin=subprocess.DEVNULL, check=True, timeout=60, capture_output=True
        )
        for options in ([], ["--low-bandwidth"]):
            begin = time.perf_counter()
            with in_terminal([*login, _command(stack, options)], stack.environment()) as console:
                opened = console.until(b"worker-llm") - begin
                time.sleep(SETTLE_SECONDS)
                chance, seconds = random.Random(5), []  # noqa: S311 - when to press, no secret
                for number in range(PRESSES):
                    time.sleep(chance.uniform(0.2, 0.4))
                    seconds.append(console.seconds_to("›".encode(), b"jk"[number % 2 :][:1]))
                before = console.count
                time.sleep(COUNT_SECONDS)
                drawn = (console.count - before) / COUNT_SECONDS
            name = " ".join(["over SSH", *options])
            figures += [
                Figure(f"login and first picture {name}", opened, "s", 1),
                Figure(f"key to paint {name}, p50", 1000 * statistics.median(seconds), "ms",
                       PRESSES, note="round trip 200 ms, loss 1 %"),
                Figure(f"key to paint {name}, p95", 1000 * percentile(seconds, 0.95), "ms",
                       PRESSES),
                Figure(f"drawn {name}", drawn, "B/s", 1),
            ]  # fmt: skip
    return figures


def _command(stack: Stack, options: list[str]) -> str:
    words = ["env", f"FRAGRANCE_STATE={stack.state}", "PYTHONUTF8=1", *stack.command(*options)]
    return f"cd {shlex.quote(str(PROJECT))} && exec {shlex.join(words)}"
