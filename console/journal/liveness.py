"""Whether a runner is at work: its lock is held, whatever the lock file says."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

#: Name of the lock file in the state directory; also in console.operations.lock.
LOCK_NAME = "lock"


def runner_is_alive(state: Path) -> bool:
    """
    Return whether some process holds the operations lock of *state*.

    Asks with a shared lock that is given back at once; runners retry, so asking
    never keeps one from starting.
    """
    try:
        descriptor = os.open(state / LOCK_NAME, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
