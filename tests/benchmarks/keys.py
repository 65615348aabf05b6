"""From a key to its paint, and what the terminal is sent, on a large and busy stack."""

from __future__ import annotations

import random
import statistics
import time
from contextlib import AbstractContextManager

from tests.benchmarks.busy import LINES_PER_SECOND, REPLICAS, busy_stack
from tests.benchmarks.figures import Figure, percentile
from tests.benchmarks.terminal import Drawn, in_terminal
from tests.stack import Stack

PRESSES = 100
SETTLE_SECONDS = 5.0
COUNT_SECONDS = 15.0
#: Lines: how the console is told of it, for the bytes that each is sent.
LINE_KINDS: tuple[tuple[str, list[str], dict[str, str]], ...] = (
    ("here", [], {}),
    ("by SSH", [], {"SSH_CONNECTION": "192.0.2.7 50000 192.0.2.1 22"}),
    ("--low-bandwidth", ["--low-bandwidth"], {}),
)


#: The sign of what is selected.
CHOSEN = "›".encode()
#: Name, keys that open it, what it then shows; a key with its answer, and the way back.
SCREENS: tuple[tuple[str, bytes, bytes, tuple[bytes, bytes], tuple[bytes, bytes]], ...] = (
    ("overview", b"v", b"worker-llm", (b"j", CHOSEN), (b"k", CHOSEN)),
    ("overview, replicas shown", b"\x1b[C", b"app-12", (b"j", CHOSEN), (b"k", CHOSEN)),
    ("service", b"i", b"Service", (b"n", b"worker-llm"), (b"p", b"app")),
    ("logs", b"l", b"ollowin", (b" ", b"AUSE"), (b" ", b"ollowin")),
    ("queues", b"t", b"Queues", (b"j", CHOSEN), (b"k", CHOSEN)),
    ("metrics", b"m", b"Figures", (b"j", CHOSEN), (b"k", CHOSEN)),
    ("alerts", b"a", b"Watched", (b"j", CHOSEN), (b"k", CHOSEN)),
)


def measure() -> list[Figure]:
    """Press keys again and again on each screen; count bytes by kind of line."""
    figures: list[Figure] = []
    with busy_stack() as stack:
        with _console(stack, [], {}) as console:
            console.until(b"worker-llm")
            for name, opens, shown, there, back in SCREENS:
                before = console.count
                console.press(opens)
                if name != "overview":
                    console.until(shown, before)
                time.sleep(SETTLE_SECONDS)
                figures += _timed(name, _presses(console, *there, *back))
        for name, options, variables in LINE_KINDS:
            with _console(stack, options, variables) as console:
                console.until(b"worker-llm")
                time.sleep(SETTLE_SECONDS)
                overview = _bytes_per_second(console)
                console.press(b"l")
                console.until(b"ollowin")
                time.sleep(SETTLE_SECONDS)
                figures += [
                    Figure(f"drawn on the overview, {name}", overview, "B/s", 1),
                    Figure(f"drawn on the logs, {name}", _bytes_per_second(console), "B/s", 1),
                ]
    return figures


def _console(
    stack: Stack, options: list[str], variables: dict[str, str]
) -> AbstractContextManager[Drawn]:
    return in_terminal(stack.command(*options), stack.environment(**variables))


def _presses(console: Drawn, key: bytes, word: bytes, other: bytes, back: bytes) -> list[float]:
    chance = random.Random(3)  # noqa: S311 - when a key is pressed, no secret
    seconds = []
    for number in range(PRESSES):
        time.sleep(chance.uniform(0.05, 0.15))
        seconds.append(
            console.seconds_to(word, key) if number % 2 == 0 else console.seconds_to(back, other)
        )
    return seconds


def _timed(name: str, seconds: list[float]) -> list[Figure]:
    note = f"{REPLICAS} replicas, {LINES_PER_SECOND:,} log lines/s"
    middle, late = statistics.median(seconds), percentile(seconds, 0.99)
    return [
        Figure(f"key to paint on the {name}, p50", 1000 * middle, "ms", PRESSES, note=note),
        Figure(f"key to paint on the {name}, p99", 1000 * late, "ms", PRESSES, note=note),
    ]


def _bytes_per_second(console: Drawn) -> float:
    before = console.count
    time.sleep(COUNT_SECONDS)
    return (console.count - before) / COUNT_SECONDS
