"""What watching costs while nothing happens: agent, supervisor and one console."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import struct
import subprocess
import termios
import threading
import time

import psutil

from tests.benchmarks.figures import Figure
from tests.stack import PROJECT, Stack

SECONDS = 20.0
#: After a start the agent looks more often, until everything has settled.
SETTLE_SECONDS = 40.0


def measure(stack: Stack) -> list[Figure]:
    """Sum processor time over a quiet while, after a settling time."""
    parent, child = pty.openpty()
    fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    console = subprocess.Popen(
        ["./fragrance"],
        cwd=PROJECT,
        env=stack.environment(TERM="xterm-256color"),
        stdin=child,
        stdout=child,
        stderr=child,
        start_new_session=True,
    )
    os.close(child)
    drawn = [0]

    def drain() -> None:
        try:
            while data := os.read(parent, 65536):
                drawn[0] += len(data)
        except OSError:
            return  # the console's end of the terminal closed

    threading.Thread(target=drain, daemon=True).start()
    try:
        time.sleep(SETTLE_SECONDS)
        watchers = {
            "console": psutil.Process(console.pid),
            "agent": _process(stack, "console.agent"),
            "supervisor": _process(stack, "supervisor"),
        }
        before = {name: _cpu_seconds(p) for name, p in watchers.items()}
        bytes_before = drawn[0]
        time.sleep(SECONDS)
        figures = [
            Figure(
                f"idle {name}",
                100 * (_cpu_seconds(process) - before[name]) / SECONDS,
                "% core",
                1,
                note=f"{process.memory_info().rss / 1e6:.0f} MB resident",
            )
            for name, process in watchers.items()
        ]
        return [
            *figures,
            Figure("idle, all three", sum(figure.ours for figure in figures), "% core", 1),
            Figure("idle console, drawn", (drawn[0] - bytes_before) / SECONDS, "B/s", 1),
        ]
    finally:
        console.send_signal(signal.SIGTERM)
        console.wait(10)
        os.close(parent)


def _process(stack: Stack, word: str) -> psutil.Process:
    for process in psutil.process_iter(["cmdline"]):
        line = process.info["cmdline"] or []
        if any(word in part for part in line) and any(str(stack.state) in part for part in line):
            return process
    raise RuntimeError(f"no process {word!r} of this stack")


def _cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
