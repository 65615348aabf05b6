"""Scaling workers: from the command until each new one is registered."""

from __future__ import annotations

import time

from tests.benchmarks.figures import Figure
from tests.stack import Stack


def measure(stack: Stack) -> list[Figure]:
    """Scale worker-llm 1 → 3 → 1 on an idle stack."""
    figures = []
    for name, wish in (("scale worker-llm 1 → 3", 3), ("scale worker-llm 3 → 1", 1)):
        begin = time.perf_counter()
        done = stack.fragrance(
            "scale", f"worker-llm={wish}", "--yes", "--reason", "benchmark", timeout=180
        )
        if done.returncode:
            raise RuntimeError(done.stderr)
        figures.append(Figure(name, time.perf_counter() - begin, "s", 1))
    return figures
