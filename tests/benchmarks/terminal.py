"""A program that draws, in a pseudo-terminal of its own, and what it costs."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import tempfile
import termios
import threading
import time
from codecs import getincrementaldecoder
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import psutil
from rich.cells import cell_len

from tests.stack import PROJECT

#: What was drawn last is kept for looking at, bytes.
KEPT_BYTES = 1 << 18


class _Grid:
    """What stands on the screen, for a console that writes places, styles and text only."""

    _PARTS = re.compile(
        r"\x1b\[(\d+);(\d+)H|\x1b\[[0-9;?<>=$]*[a-zA-Z]|\r\n|\x1b\][^\x07]*\x07|([^\x1b])"
    )

    def __init__(self) -> None:
        self.at = 0.0
        self._cells: dict[int, dict[int, str]] = {}
        self._place = (1, 1)
        self._decode = getincrementaldecoder("utf-8")(errors="replace").decode
        self._rest = ""

    def take(self, data: bytes) -> None:
        """Draw *data*."""
        self.at = time.time()
        text = self._rest + self._decode(data)
        # A sequence may be cut by the end of what was read.
        cut = text.rfind("\x1b", max(0, len(text) - 20))
        whole = cut < 0 or self._PARTS.match(text, cut) is not None
        self._rest = "" if whole else text[cut:]
        for part in self._PARTS.finditer(text if whole else text[:cut]):
            row, column = self._place
            if part[1]:
                self._place = (int(part[1]), int(part[2]))
            elif part[0] == "\r\n":
                self._place = (row + 1, 1)
            elif part[3]:
                self._cells.setdefault(row, {})[column] = part[3]
                self._place = (row, column + cell_len(part[3]))

    def rows(self) -> list[str]:
        """Return the rows as text."""
        return ["".join(cells[c] for c in sorted(cells)) for cells in self._cells.values()]


class Drawn:
    """A running program, what it has drawn so far, and its keyboard."""

    def __init__(self, process: subprocess.Popen[bytes], parent: int) -> None:
        self.process = process
        self.count = 0
        self._parent = parent
        self._last = b""
        self._grid = _Grid()
        self._news = threading.Condition()

    def press(self, keys: bytes) -> None:
        """Type *keys*."""
        os.write(self._parent, keys)

    def read(self) -> None:
        """Read what is drawn until the program's end of the terminal closes."""
        try:
            while data := os.read(self._parent, 65536):
                with self._news:
                    self.count += len(data)
                    self._grid.take(data)
                    self._last = (self._last + data)[-KEPT_BYTES:]
                    self._news.notify_all()
        except OSError:
            return

    def resize(self, columns: int, rows: int) -> None:
        """Give its terminal another size."""
        fcntl.ioctl(self._parent, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def until_row(self, *words: str, seconds: float = 90) -> float:
        """Wait until one row of the screen holds all *words*; return when, as :func:`time.time`."""
        with self._news:
            seen = self._news.wait_for(
                lambda: any(all(word in row for word in words) for row in self._grid.rows()),
                seconds,
            )
            if not seen:
                raise RuntimeError(f"{words} never stood in one row")
            return self._grid.at

    def until(self, words: bytes, since: int = 0, seconds: float = 90) -> float:
        """
        Wait until *words* were drawn behind the first *since* bytes; return when.

        Returns:
            The time of the clock that :func:`time.perf_counter` reads.
        """
        with self._news:
            seen = self._news.wait_for(
                lambda: words in self._last[max(0, len(self._last) - (self.count - since)) :],
                seconds,
            )
            if not seen:
                raise RuntimeError(f"{words!r} was never drawn; last: {self._last[-600:]!r}")
            return time.perf_counter()

    def seconds_to(self, words: bytes, keys: bytes) -> float:
        """Return how long after pressing *keys* the terminal has *words*."""
        since, begin = self.count, time.perf_counter()
        self.press(keys)
        return self.until(words, since) - begin


@contextmanager
def in_terminal(
    command: Sequence[str], environment: Mapping[str, str], size: tuple[int, int] = (80, 24)
) -> Iterator[Drawn]:
    """
    Run *command* in a terminal of *size* columns and rows until the block ends.

    Everything it draws is read at once, as a terminal does.
    """
    parent, child = pty.openpty()
    with tempfile.TemporaryDirectory(prefix="fragrance-bench-") as home:
        process = subprocess.Popen(
            # The terminal controls it, as at a login: some programs open /dev/tty.
            ["setsid", "--ctty", *command],
            cwd=PROJECT,
            env={**environment, "TERM": "xterm-256color", "XDG_STATE_HOME": home},
            stdin=child,
            stdout=child,
            stderr=child,
        )
        drawn = Drawn(process, parent)
        drawn.resize(*size)
        os.close(child)
        threading.Thread(target=drawn.read, daemon=True).start()
        try:
            yield drawn
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)
            os.close(parent)


def cpu_seconds(process: psutil.Process) -> float:
    """Return the processor time a process has used."""
    times = process.cpu_times()
    return float(times.user + times.system)
