"""What a terminal shows: the little of its language that the console writes."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

_PART = re.compile(
    r"\x1b\[(?P<arguments>[0-9;?<>=]*)[ $]*(?P<final>[A-Za-z@`~])"
    r"|\x1b[\]P_][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[()#%].|\x1b[^\[\]P_()#%]"
    r"|(?P<text>[^\x1b])",
    re.DOTALL,
)


class Glass:
    """
    One program in a real terminal: what stands on its screen, and keys for it.

    Args:
        command: The program.
        environment: Its environment.
        directory: Where it is started.
        size: Columns and rows.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        directory: Path,
        size: tuple[int, int] = (100, 30),
    ) -> None:
        self.columns, self.rows = size
        self.everything = ""
        self._cells = [[" "] * self.columns for _ in range(self.rows)]
        self._row = self._column = 0
        self._rest = b""
        self._parent, child = pty.openpty()
        fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", self.rows, self.columns, 0, 0))
        self.process = subprocess.Popen(
            command, cwd=directory,
            env={**environment, "TERM": "xterm-256color", "PYTHONUTF8": "1"},
            stdin=child, stdout=child, stderr=child, start_new_session=True,
        )  # fmt: skip
        os.close(child)

    def __enter__(self) -> Glass:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(5)
        os.close(self._parent)

    @property
    def text(self) -> str:
        """What stands on the screen now."""
        return "\n".join("".join(row).rstrip() for row in self._cells)

    def type(self, keys: str) -> None:
        os.write(self._parent, keys.encode())

    def look(self, seconds: float) -> None:
        """Take in what is drawn within *seconds*."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            if select.select([self._parent], [], [], left)[0]:
                try:
                    self._draw(os.read(self._parent, 65536))
                except OSError:
                    return  # the program has left its terminal

    def until(self, sees: Callable[[str], object], what: str, seconds: float) -> None:
        """Wait until *sees* finds on the screen what it looks for."""
        deadline = time.monotonic() + seconds
        while not sees(self.text):
            assert time.monotonic() < deadline, f"{what}:\n{self.text}"
            self.look(0.05)

    def end(self, seconds: float) -> int:
        """Wait for its end and return its exit code."""
        deadline = time.monotonic() + seconds
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"it does not end:\n{self.text}"
            self.look(0.05)
        return self.process.returncode

    def _draw(self, data: bytes) -> None:
        text = (self._rest + data).decode(errors="ignore")
        # A sequence that has not come whole waits for the next block.
        begun = text.rfind("\x1b")
        whole = len(text) if begun < 0 or _PART.match(text, begun) else begun
        self._rest = text[whole:].encode()
        self.everything += text[:whole]
        for part in _PART.finditer(text[:whole]):
            if (character := part["text"]) is not None:
                self._write(character)
            elif part["final"] is not None:
                self._control(part["final"], part["arguments"])

    def _write(self, character: str) -> None:
        if character == "\n":
            self._row = min(self._row + 1, self.rows - 1)
        elif character == "\r":
            self._column = 0
        elif character.isprintable() and self._column < self.columns:
            self._cells[self._row][self._column] = character
            self._column += 1

    def _control(self, final: str, arguments: str) -> None:
        numbers = [int(word) for word in arguments.split(";") if word.isdecimal()]
        if final == "H":
            row, column = (*numbers, 1, 1)[:2] if len(numbers) != 1 else (numbers[0], 1)
            self._row = min(max(row - 1, 0), self.rows - 1)
            self._column = max(column - 1, 0)
        elif final == "J" and numbers in ([2], [3]):
            self._cells = [[" "] * self.columns for _ in range(self.rows)]
