"""Whether somebody holds a ``flock``: held means a living process, whatever any file says."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


def is_held(path: Path) -> bool:
    """
    Return whether a living process holds the lock on *path*; False where there is no file.

    Asks with a lock that is given back at once: who takes one tries for a while, so that
    asking keeps nobody from it.

    Raises:
        OSError: If the file may not be opened, which tells nothing of its lock.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        # Shared, so that two who ask at once do not take each other for a holder.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
