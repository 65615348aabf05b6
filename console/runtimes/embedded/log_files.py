"""Reading one log file: its end, and what comes after, over rotations."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import BinaryIO, TypeAlias

from console.runtimes.embedded.rotation import KEPT, rotated
from console.runtimes.log_lines import LONGEST_LINE_BYTES

BLOCK_BYTES = 64 * 1024
#: Most that one look takes in: a burst is read in several.
MOST_BYTES = 1024**2
#: Enough of the beginning of a log to tell it from another: its lines carry their time.
HEAD_BYTES = 128

_Mark: TypeAlias = tuple[int, int]


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

    A log is rotated by copy and truncate: what we had not read of it stands in ``.1`` at
    the same offset, and in ``.2`` after the next time.  Which part that is, is told by the
    mark of the part that was the newest when we last looked.

    Args:
        path: The log; it need not exist yet.
        offset: Where to begin.
    """

    def __init__(self, path: Path, offset: int) -> None:
        self.path = path
        #: Whether there is more to read at once.
        self.more = False
        self._offset = offset
        self._rest = b""
        self._skipping = False
        self._newest = _mark(rotated(path, 1))
        self._head = b""
        self._part: _Mark | None = None
        self._lost = False

    def take_lost(self) -> bool:
        """Whether lines were rotated away unread since this was last asked."""
        lost, self._lost = self._lost, False
        return lost

    def read(self) -> list[bytes]:
        """Return complete lines added since the last call, without line ends."""
        self.more = False
        try:
            with self.path.open("rb") as log:
                fcntl.flock(log, fcntl.LOCK_SH | fcntl.LOCK_NB)
                data = self._read(log)
        except OSError:  # not there yet, or just being rotated
            return []
        return self._split(data) if data else []

    def _read(self, log: BinaryIO) -> bytes:
        marks = [_mark(rotated(self.path, number)) for number in range(1, KEPT + 1)]
        parts = [mark for mark in marks if mark is not None]
        if self._part is None and self._newest != (parts[0] if parts else None):
            self._part = self._part_of_rest(parts)
        blocks: list[bytes] = []
        room = MOST_BYTES
        while self._part is not None and room > 0:
            if self._part not in parts:
                self._lose(parts)
                continue
            place = parts.index(self._part)
            with rotated(self.path, place + 1).open("rb") as part:
                blocks.append(_read_from(part, self._offset, room))
                self._offset += len(blocks[-1])
                room -= len(blocks[-1])
                if self._offset >= os.fstat(part.fileno()).st_size:
                    self._part, self._offset = (parts[place - 1] if place else None), 0
            self._newest = parts[0]
        if self._part is None:
            blocks.append(_read_from(log, self._offset, room))
            self._offset += len(blocks[-1])
            self._head = _read_from(log, 0, min(self._offset, HEAD_BYTES))
            self.more = self._offset < os.fstat(log.fileno()).st_size
        else:
            self.more = True
        return b"".join(blocks)

    def _part_of_rest(self, parts: list[_Mark]) -> _Mark | None:
        """Return the part in which what was not read yet stands now."""
        if not parts:  # somebody removed the parts; nothing of ours is known to be gone
            self._newest = None
            return None
        if self._newest in parts:
            return parts[parts.index(self._newest) - 1]
        # As many rotations as there are parts, or more: how it began tells.
        with rotated(self.path, len(parts)).open("rb") as oldest:
            if _read_from(oldest, 0, len(self._head)) == self._head:
                return parts[-1]
        self._lose(parts)
        return self._part

    def _lose(self, parts: list[_Mark]) -> None:
        self._lost, self._offset, self._rest = True, 0, b""
        self._part = parts[-1] if parts else None
        self._newest = parts[0] if parts else None

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


def _mark(part: Path) -> _Mark | None:
    """Return what tells one rotated part from another, whatever its number is by then."""
    try:
        found = part.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


def _read_from(file: BinaryIO, offset: int, most_bytes: int) -> bytes:
    file.seek(offset)
    return file.read(most_bytes)
