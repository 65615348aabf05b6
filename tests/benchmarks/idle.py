"""What watching costs while nothing happens: agent, supervisor and one console."""

from __future__ import annotations

import time

import psutil

from tests.benchmarks.figures import Figure
from tests.benchmarks.terminal import cpu_seconds, in_terminal
from tests.stack import Stack

SECONDS = 20.0
#: After a start the agent looks more often, until everything has settled.
SETTLE_SECONDS = 40.0


def measure(stack: Stack) -> list[Figure]:
    """Sum processor time over a quiet while, after a settling time."""
    with in_terminal(["./fragrance"], stack.environment()) as console:
        time.sleep(SETTLE_SECONDS)
        watchers = {
            "console": psutil.Process(console.process.pid),
            "agent": _process(stack, "console.agent"),
            "supervisor": _process(stack, "supervisor"),
        }
        before = {name: cpu_seconds(p) for name, p in watchers.items()}
        bytes_before = console.count
        time.sleep(SECONDS)
        figures = [
            Figure(
                f"idle {name}",
                100 * (cpu_seconds(process) - before[name]) / SECONDS,
                "% core",
                1,
                note=f"{process.memory_info().rss / 1e6:.0f} MB resident",
            )
            for name, process in watchers.items()
        ]
        drawn = (console.count - bytes_before) / SECONDS
    return [
        *figures,
        Figure("idle, all three", sum(figure.ours for figure in figures), "% core", 1),
        Figure("idle console, drawn", drawn, "B/s", 1),
    ]


def _process(stack: Stack, word: str) -> psutil.Process:
    for process in psutil.process_iter(["cmdline"]):
        line = process.info["cmdline"] or []
        if any(word in part for part in line) and any(str(stack.state) in part for part in line):
            return process
    raise RuntimeError(f"no process {word!r} of this stack")
