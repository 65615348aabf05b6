"""The agent's lock: held means that a resident agent lives, whatever any file says."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

from console.locks import is_held
from console.modes import open_file

#: Who asks whether the lock is held takes it for an instant; a taker tries this long.
TAKE_SECONDS = 0.3
_POLL_SECONDS = 0.02


def lock_path(state: Path) -> Path:
    """Return the file that the agent of *state* locks; never deleted while in use."""
    return state / "agent.lock"


class AgentLock:
    """
    Exclusive lock of one agent; released by the kernel when the process ends.

    Args:
        state: State directory; must exist.
    """

    def __init__(self, state: Path) -> None:
        self.path = lock_path(state)
        self._descriptor: int | None = None

    def take(self) -> bool:
        """Take the lock and write this process into it; False when another agent lives."""
        descriptor = open_file(self.path, os.O_RDWR)
        deadline = time.monotonic() + TAKE_SECONDS
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() < deadline:
                    time.sleep(_POLL_SECONDS)
                    continue
                os.close(descriptor)
                return False
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
            self._descriptor = descriptor
            return True

    def still_ours(self) -> bool:
        """Whether the locked file is still the one at its path: False once it was deleted."""
        if self._descriptor is None:
            return False
        try:
            there, held = self.path.stat(), os.fstat(self._descriptor)
        except OSError:
            return False
        return (there.st_dev, there.st_ino) == (held.st_dev, held.st_ino)

    def release(self) -> None:
        """Let go; idempotent."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def agent_alive(state: Path) -> bool:
    """Return whether a living process holds the agent's lock; False for who may not look."""
    try:
        return is_held(lock_path(state))
    except OSError:
        return False
