"""The console: first paint and first complete picture, in a real terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import statistics
import struct
import subprocess
import termios
import time

from tests.benchmarks.figures import Figure
from tests.stack import PROJECT, Stack

RUNS = 5
SERVICES = (b"app", b"worker-llm", b"worker-rl", b"postgres", b"redis")


def measure(stack: Stack) -> list[Figure]:
    """Open the console in a pseudo-terminal of 80×24 and read what it draws."""
    pairs = [_open_once(stack) for _ in range(RUNS)]
    return [
        Figure("console, first paint", statistics.median(p for p, _ in pairs), "s", RUNS),
        Figure(
            "console, first complete picture", statistics.median(c for _, c in pairs), "s", RUNS
        ),
    ]


def _open_once(stack: Stack) -> tuple[float, float]:
    parent, child = pty.openpty()
    fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    begin = time.perf_counter()
    process = subprocess.Popen(
        ["./fragrance"],
        cwd=PROJECT,
        env=stack.environment(TERM="xterm-256color"),
        stdin=child,
        stdout=child,
        stderr=child,
        start_new_session=True,
    )
    os.close(child)
    seen, first = b"", 0.0
    try:
        while time.perf_counter() - begin < 20:
            if select.select([parent], [], [], 0.05)[0]:
                seen += os.read(parent, 65536)
                # Styles may stand between any two words; only the text counts.
                text = re.sub(rb"\x1b\[[0-9;?]*[a-zA-Z]", b"", seen)
                if not first and len(text.strip()) > 200:
                    first = time.perf_counter() - begin
                if all(s in text for s in SERVICES) and text.count(b"healthy") >= len(SERVICES):
                    return first, time.perf_counter() - begin
        raise RuntimeError("the console never showed all services healthy")
    finally:
        os.write(parent, b"q")
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait(5)
        os.close(parent)
