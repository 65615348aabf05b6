"""Reading one log file: its end, and what comes after, over rotations."""

from __future__ import annotations

import os
from pathlib import Path

from console.runtimes.embedded.rotation import KEPT, rotated
from console.runtimes.log_lines import LONGEST_LINE_BYTES

BLOCK_BYTES = 64 * 1024
#: Most that one look takes in: a burst is read in several.
MOST_BYTES = 1024**2


def read_tail(path: Path, lines: int) -> tuple[list[bytes], int]:
    """
    Return the last complete lines of a log and where they end.

    Goes back into rotated parts when the present one has too few lines.

    Args:
        lines: How many; 0 for none.

    Returns:
        Lines, oldest first, without line ends; and the offset in *path* from
        which to follow.
    """
    collected, end = _tail_of(path, lines)
    for number in range(1, KEPT + 1):
        if len(collected) >= lines:
            break
        older, _ = _tail_of(rotated(path, number), lines - len(collected))
        collected = older + collected
    return collected, end


def _tail_of(path: Path, lines: int) -> tuple[list[bytes], int]:
    try:
        with path.open("rb") as file:
            size = position = file.seek(0, os.SEEK_END)
            blocks: list[bytes] = []
            count = 0
            while position > 0 and count <= lines and lines > 0:
                step = min(BLOCK_BYTES, position)
                position -= step
                file.seek(position)
                block = file.read(step)
                count += block.count(b"\n")
                blocks.append(block)
    except OSError:
        return [], 0
    data = b"".join(reversed(blocks))
    whole, ended, rest = data.rpartition(b"\n")
    if lines == 0:
        return [], size
    found = whole.split(b"\n") if ended else []
    return found[-lines:], size - len(rest)


class LogFollower:
    """
    Gives the lines that are added to one log.

    A log that became shorter was rotated by copy and truncate: what we had not
    read of it stands in ``.1`` at the same offset.

    Args:
        path: The log; it need not exist yet.
        offset: Where to begin.
    """

    def __init__(self, path: Path, offset: int) -> None:
        self.path = path
        self._offset = offset
        self._rest = b""
        self._skipping = False

    def read(self) -> list[bytes]:
        """Return complete lines added since the last call, without line ends."""
        data = b""
        try:
            size = self.path.stat().st_size
            if size < self._offset:
                data = _read_from(rotated(self.path, 1), self._offset)
                self._offset = 0
            if size > self._offset:
                fresh = _read_from(self.path, self._offset)
                self._offset += len(fresh)
                data += fresh
        except OSError:
            return []
        return self._split(data) if data else []

    def _split(self, data: bytes) -> list[bytes]:
        *lines, rest = (self._rest + data).split(b"\n")
        if self._skipping and lines:
            # The end of a line whose beginning was given out as too long.
            lines, self._skipping = lines[1:], False
        if len(rest) > LONGEST_LINE_BYTES:
            if not self._skipping:
                lines.append(rest)
                self._skipping = True
            rest = b""
        self._rest = rest
        return lines


def _read_from(path: Path, offset: int) -> bytes:
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(MOST_BYTES)
