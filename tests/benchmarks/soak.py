"""A console left open for a long while on a large and busy stack: does it grow?"""

from __future__ import annotations

import itertools
import os
import statistics
import time

import psutil

from screens.log_ring import WAITING_LINES
from tests.benchmarks.busy import LINES_PER_SECOND, REPLICAS, busy_stack
from tests.benchmarks.figures import Figure
from tests.benchmarks.terminal import cpu_seconds, in_terminal

#: How long, minutes; FRAGRANCE_SOAK_MINUTES says otherwise (``bench soak --minutes``).
MINUTES = 2.0
VARIABLE = "FRAGRANCE_SOAK_MINUTES"
SAMPLE_SECONDS = 5.0
#: First on Logs until all the lines that it keeps are there: what follows may not grow.
FILL_SECONDS = 1.2 * WAITING_LINES / LINES_PER_SECOND
#: Keys of somebody who looks around, through every screen and some dialogs.
KEYS = (
    *(b"l", b"e", b"e", b"v", b"\x1b[C", b"?", b"\x1b", b"\x1b[D", b"t", b"j", b"o", b"\t", b"\t"),
    *(b"l", b" ", b" ", b"i", b"n", b"m", b"j", b"3", b"x", b"x", b"a", b"j", b"\r", b"\x1b"),
    *(b"h", b"j", b"v", b":", b"\x1b", b"T", b"T", b"T", b"T"),
)


def measure() -> list[Figure]:
    """Look around once every few seconds; resident memory after the first fifth and at the end."""
    seconds = 60 * float(os.environ.get(VARIABLE, MINUTES))
    with busy_stack() as stack, in_terminal(stack.command(), stack.environment()) as console:
        console.until(b"worker-llm")
        process = psutil.Process(console.process.pid)
        console.press(b"l")
        time.sleep(FILL_SECONDS)
        console.press(b"v")
        begun, before, drawn_before = time.monotonic(), cpu_seconds(process), console.count
        resident: list[float] = []
        for key in itertools.cycle(KEYS):
            if time.monotonic() - begun >= seconds:
                break
            console.press(key)
            time.sleep(SAMPLE_SECONDS)
            if console.process.poll() is not None:
                raise RuntimeError("the console ended by itself")
            resident.append(process.memory_info().rss / 1e6)
        used = (cpu_seconds(process) - before) / (time.monotonic() - begun)
        drawn = (console.count - drawn_before) / (time.monotonic() - begun)
    part = max(1, len(resident) // 5)
    early, late = statistics.median(resident[part : 2 * part]), statistics.median(resident[-part:])
    note = f"{seconds / 60:g} minutes, {REPLICAS} replicas, {LINES_PER_SECOND:,} log lines/s"
    return [
        Figure("soak, resident memory at most", max(resident), "MB", 1, note=note),
        Figure("soak, growth second to last fifth", late - early, "MB", 1, note=note),
        Figure("soak, processor", 100 * used, "% core", 1, note=note),
        Figure("soak, drawn", drawn, "B/s", 1, note=note),
    ]
