"""
The console in a real pseudo-terminal, in a process of its own.

Run as a program it shows the fake engine's pictures; SIGUSR1 brings a picture in
which one figure differs.
"""

from __future__ import annotations

import fcntl
import os
import pty
import random
import select
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.fakes.engine import FakeEngine

PROJECT = Path(__file__).resolve().parents[2]
#: The console on a scene.
COMMAND = (sys.executable, "-m", "tests.interface.in_terminal")
#: A byte for each key that the console on a hostile scene has done.
KEYS_DONE = "keys-done"
#: What is told of the tests' own terminal.
LEFT_OUT = {"NO_COLOR", "SSH_CONNECTION", "TMUX", "STY", "FRAGRANCE_THEME"}


class InTerminal:
    """One console in one terminal: what it writes, what is typed into it."""

    def __init__(
        self,
        scene: str = "normal",
        size: tuple[int, int] = (80, 24),
        environ: Mapping[str, str] | None = None,
        command: Sequence[str] = COMMAND,
    ) -> None:
        self.parent, self.child = pty.openpty()
        self.resize(*size)
        self.settings = termios.tcgetattr(self.child)
        self._home = tempfile.TemporaryDirectory(prefix="fragrance-terminal-")
        kept = {k: v for k, v in os.environ.items() if k not in LEFT_OUT}
        self.process = subprocess.Popen(
            [*command, scene],
            cwd=PROJECT,
            env={
                **kept,
                "TERM": "xterm-256color",
                "PYTHONUTF8": "1",
                "XDG_STATE_HOME": self._home.name,
                **(environ or {}),
            },
            stdin=self.child,
            stdout=self.child,
            stderr=self.child,
            start_new_session=True,
        )
        self.written = b""
        self._pressed = 0

    def __enter__(self) -> InTerminal:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(5)
        for descriptor in (self.parent, self.child):
            os.close(descriptor)
        self.forget()

    def forget(self) -> None:
        """Take away what its user kept."""
        self._home.cleanup()

    @property
    def kept(self) -> Path:
        """The directory of what this user keeps."""
        return Path(self._home.name) / "fragrance"

    def resize(self, columns: int, rows: int) -> None:
        """Give the terminal another size, as its window does."""
        fcntl.ioctl(self.child, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self, seconds: float) -> bytes:
        """Return what is written within *seconds*."""
        deadline, got = time.monotonic() + seconds, b""
        while (left := deadline - time.monotonic()) > 0:
            if select.select([self.parent], [], [], left)[0]:
                got += os.read(self.parent, 65536)
        self.written += got
        return got

    def rate(self, seconds: float) -> float:
        """
        Return bytes a second, counted for at least *seconds*.

        A machine that is held up counts for longer; what was written before is not counted.
        """
        while True:
            begin = time.monotonic()
            if not select.select([self.parent], [], [], 0)[0]:
                break
            self.written += os.read(self.parent, 65536)
        count = len(self.read(seconds))
        return count / (time.monotonic() - begin)

    def until(self, words: bytes, seconds: float = 20) -> None:
        """Wait until *words* were written."""
        self.until_after(0, words, seconds)

    def until_after(self, place: int, words: bytes, seconds: float = 20) -> None:
        """Wait until *words* were written behind the first *place* bytes."""
        deadline = time.monotonic() + seconds
        while words not in self.written[place:]:
            assert time.monotonic() < deadline, self.written[-2000:]
            self.read(0.05)

    def quiet(self, seconds: float = 20, still: float = 0.5) -> None:
        """Wait until nothing is written for *still* seconds."""
        deadline = time.monotonic() + seconds
        while self.read(still):
            assert time.monotonic() < deadline, "it never comes to rest"

    def end(self, seconds: float = 10) -> int:
        """Wait for its end; return its exit code."""
        deadline = time.monotonic() + seconds
        while self.process.poll() is None:
            assert time.monotonic() < deadline, "it does not end"
            self.read(0.05)
        self.read(0.1)
        return self.process.returncode

    def press(self, *keys: bytes, seconds: float = 60) -> None:
        """Type keys one after the other; return when the console has done what they ask."""
        deadline = time.monotonic() + seconds
        for key in keys:
            self.type(key)
            self._pressed += 1
            while self._done() < self._pressed:
                assert self.process.poll() is None, self.written[-2000:]
                assert time.monotonic() < deadline, f"{key!r} is not done"
                self.read(0.02)

    def _done(self) -> int:
        file = Path(self._home.name) / KEYS_DONE
        return file.stat().st_size if file.exists() else 0

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


def count_keys() -> None:
    """Write down every key when it is done: only so can a slow machine be waited for."""
    from textual.events import Event, Key

    from screens.application import ConsoleApp

    inner = ConsoleApp.on_event
    file = os.open(
        Path(os.environ["XDG_STATE_HOME"]) / KEYS_DONE, os.O_WRONLY | os.O_CREAT | os.O_APPEND
    )

    async def counted(self: ConsoleApp, event: Event) -> None:
        typed = isinstance(event, Key) and not event.is_forwarded
        await inner(self, event)
        if typed:
            self.call_later(os.write, file, b".")

    ConsoleApp.on_event = counted  # type: ignore[method-assign]


def hurrying_engine() -> FakeEngine:
    """Return one of 300 replicas whose every picture is new, and a thousand log lines a second."""
    from console.domain.logs import LogLine, LogRequest
    from tests.benchmarks.busy import make_picture
    from tests.fakes import pictures
    from tests.fakes.engine import FakeEngine

    chance = random.Random(7)  # noqa: S311 - figures, no secret

    class Hurrying(FakeEngine):
        def snapshot(self) -> Any:
            at = super().snapshot().taken_at + timedelta(microseconds=1)
            self.picture = make_picture(at, 300, chance)
            return self.picture

        def logs(self, request: LogRequest) -> Iterator[LogLine | None]:
            del request
            for number in count():
                if number % 20 == 0:
                    yield None
                    time.sleep(0.02)
                yield LogLine("app-1", "app", pictures.NOW, "info", f"GET /v1/formulas/{number}")

    return Hurrying(make_picture(pictures.NOW, 300, chance))


def main(scene: str) -> int:
    from screens.app import open_console
    from tests.fakes import pictures
    from tests.fakes.engine import FakeEngine

    class Ticking(FakeEngine):
        """Takes a new picture every quarter second, as an agent does, all alike."""

        def snapshot(self) -> Any:
            picture = super().snapshot()
            self._picture = replace(picture, taken_at=picture.taken_at + timedelta(microseconds=1))
            return picture

    engine: FakeEngine = Ticking(pictures.normal())
    if scene.startswith("hostile-"):
        from tests.fakes.hostile import hostile_lines, hostile_picture

        engine = Ticking(hostile_picture(int(scene.removeprefix("hostile-"))))
        engine.log.extend(hostile_lines())
        count_keys()
    if scene == "busy":
        engine = hurrying_engine()
    engine.settings.low_bandwidth = "LOW_BANDWIDTH" in os.environ

    def change(*_: object) -> None:
        busier = replace(pictures.normal().metrics, request_rate=99.9)
        engine.picture = pictures.normal(metrics=busier)

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
