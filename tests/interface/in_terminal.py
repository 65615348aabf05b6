"""
The console in a real pseudo-terminal, in a process of its own.

Run as a program it shows the fake engine's pictures; SIGUSR1 brings a picture in
which one figure differs.
"""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[2]


class InTerminal:
    """One console in one terminal: what it writes, what is typed into it."""

    def __init__(self, scene: str = "normal", size: tuple[int, int] = (80, 24), **env: str) -> None:
        self.parent, self.child = pty.openpty()
        columns, rows = size
        fcntl.ioctl(self.child, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.settings = termios.tcgetattr(self.child)
        kept = {k: v for k, v in os.environ.items() if k not in {"NO_COLOR", "SSH_CONNECTION"}}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.interface.in_terminal", scene],
            cwd=PROJECT,
            env={**kept, "TERM": "xterm-256color", "PYTHONUTF8": "1", **env},
            stdin=self.child,
            stdout=self.child,
            stderr=self.child,
            start_new_session=True,
        )
        self.written = b""

    def __enter__(self) -> InTerminal:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(5)
        for descriptor in (self.parent, self.child):
            os.close(descriptor)

    def read(self, seconds: float) -> bytes:
        """Return what is written within *seconds*."""
        deadline, got = time.monotonic() + seconds, b""
        while (left := deadline - time.monotonic()) > 0:
            if select.select([self.parent], [], [], left)[0]:
                got += os.read(self.parent, 65536)
        self.written += got
        return got

    def until(self, words: bytes, seconds: float = 20) -> None:
        """Wait until *words* were written."""
        deadline = time.monotonic() + seconds
        while words not in self.written:
            assert time.monotonic() < deadline, self.written[-2000:]
            self.read(0.05)

    def quiet(self, seconds: float = 20) -> None:
        """Wait until nothing is written for half a second."""
        deadline = time.monotonic() + seconds
        while self.read(0.5):
            assert time.monotonic() < deadline, "it never comes to rest"

    def end(self, seconds: float = 10) -> int:
        """Wait for its end; return its exit code."""
        deadline = time.monotonic() + seconds
        while self.process.poll() is None:
            assert time.monotonic() < deadline, "it does not end"
            self.read(0.05)
        self.read(0.1)
        return self.process.returncode

    def type(self, keys: bytes) -> None:
        os.write(self.parent, keys)

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    @property
    def restored(self) -> bool:
        """Whether the terminal is as it was before."""
        left = self.written.rfind(b"\x1b[?1049l")
        shown = self.written.rfind(b"\x1b[?25h")
        mouse_off = b"\x1b[?1000h" not in self.written or self.written.rfind(
            b"\x1b[?1000l"
        ) > self.written.rfind(b"\x1b[?1000h")
        same = termios.tcgetattr(self.child)[:4] == self.settings[:4]
        return left > self.written.rfind(b"\x1b[?1049h") and shown > 0 and mouse_off and same


def main(scene: str) -> int:
    from screens.app import open_console
    from tests.fakes import engine as scripted

    class Ticking(scripted.FakeEngine):
        """Takes a new picture every quarter second, as an agent does, all alike."""

        def snapshot(self) -> Any:
            picture = super().snapshot()
            self._picture = replace(picture, taken_at=picture.taken_at + timedelta(microseconds=1))
            return picture

    engine = Ticking(scripted.normal())

    def change(*_: object) -> None:
        busier = replace(scripted.normal().metrics, request_rate=99.9)
        engine.picture = scripted.normal(metrics=busier)

    signal.signal(signal.SIGUSR1, change)
    if scene == "crash":
        from screens.overview import OverviewScreen

        def crash(self: OverviewScreen) -> None:
            raise RuntimeError("a bug of the console")

        OverviewScreen.do_expand = crash  # type: ignore[method-assign]
    engine_: Any = engine
    return open_console(engine_)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
