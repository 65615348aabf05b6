"""
Bounded log files.

Children hold their log open themselves, so that neither a slow nor a dead
supervisor ever blocks them or loses a line.  Hence rotation by copy and truncate;
they append (``O_APPEND``), so that after the cut they go on at the beginning.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from pathlib import Path

from console.modes import open_file

MAXIMUM_BYTES = 10 * 1024**2
#: Older files kept: ``.1`` is the newest.
KEPT = 3


def open_log(path: Path) -> int:
    """Return a descriptor to append to *path* with."""
    return open_file(path, os.O_WRONLY | os.O_APPEND)


def rotated(path: Path, number: int) -> Path:
    """Return the name of an older part of *path*."""
    return path.with_name(f"{path.name}.{number}")


def rotate_if_large(path: Path, maximum_bytes: int = MAXIMUM_BYTES, kept: int = KEPT) -> bool:
    """
    Move the content of *path* into ``.1`` when it is too large; True if it was moved.

    What is written between the last byte copied and the cut is lost: the copy
    is repeated until it has caught up, which leaves microseconds.

    Raises:
        OSError: Disk full; the log is then cut all the same, for a log that
            fills the disk stops everything else.
    """
    try:
        if path.stat().st_size <= maximum_bytes:
            return False
    except FileNotFoundError:
        return False
    with path.open("r+b") as source:
        # Who follows must not look at files that are being moved.  It holds its lock for
        # milliseconds; one that was stopped meanwhile must not keep the log growing.
        try:
            fcntl.flock(source, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if os.fstat(source.fileno()).st_size <= 2 * maximum_bytes:
                return False
        for number in range(kept, 1, -1):
            older = rotated(path, number - 1)
            if older.exists():
                older.replace(rotated(path, number))
        try:
            with rotated(path, 1).open("wb") as target:
                while source.tell() < os.fstat(source.fileno()).st_size:
                    shutil.copyfileobj(source, target, 1024**2)
        finally:
            source.truncate(0)
    return True
