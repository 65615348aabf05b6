"""A program that draws, in a pseudo-terminal of its own, and what it costs."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import struct
import subprocess
import termios
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import psutil

from tests.stack import PROJECT


@dataclass(slots=True)
class Drawn:
    """A running program and the bytes it has drawn so far."""

    process: subprocess.Popen[bytes]
    count: int = 0


@contextmanager
def in_terminal(
    command: Sequence[str], environment: Mapping[str, str], size: tuple[int, int] = (80, 24)
) -> Iterator[Drawn]:
    """
    Run *command* in a terminal of *size* columns and rows until the block ends.

    Everything it draws is read at once, as a terminal does.
    """
    parent, child = pty.openpty()
    columns, rows = size
    fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    drawn = Drawn(
        subprocess.Popen(
            # The terminal controls it, as at a login: some programs open /dev/tty.
            ["setsid", "--ctty", *command],
            cwd=PROJECT,
            env={**environment, "TERM": "xterm-256color"},
            stdin=child,
            stdout=child,
            stderr=child,
        )
    )
    os.close(child)

    def drain() -> None:
        try:
            while data := os.read(parent, 65536):
                drawn.count += len(data)
        except OSError:
            return  # the program's end of the terminal closed

    threading.Thread(target=drain, daemon=True).start()
    try:
        yield drawn
    finally:
        drawn.process.send_signal(signal.SIGTERM)
        try:
            drawn.process.wait(10)
        except subprocess.TimeoutExpired:
            drawn.process.kill()
            drawn.process.wait(10)
        os.close(parent)


def cpu_seconds(process: psutil.Process) -> float:
    """Return the processor time a process has used."""
    times = process.cpu_times()
    return float(times.user + times.system)
