"""From ``start --detach`` to all healthy, set-up done before."""

from __future__ import annotations

import statistics
import time

from tests.benchmarks.figures import Figure
from tests.stack import Stack

RUNS = 3


def measure(stack: Stack) -> list[Figure]:
    """Stop and start the stack again and again; the data stays."""
    starts, stops = [], []
    for _ in range(RUNS):
        begin = time.perf_counter()
        stopped = stack.fragrance("stop", timeout=120)
        stops.append(time.perf_counter() - begin)
        begin = time.perf_counter()
        started = stack.fragrance("start", "--detach", timeout=180)
        starts.append(time.perf_counter() - begin)
        if started.returncode or stopped.returncode:
            raise RuntimeError(stopped.stderr + started.stderr)
    return [
        Figure("start --detach to all healthy", statistics.median(starts), "s", RUNS),
        Figure("stop", statistics.median(stops), "s", RUNS),
    ]
