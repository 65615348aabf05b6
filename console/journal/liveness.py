"""Whether a runner is at work: its lock is held, whatever the lock file says."""

from __future__ import annotations

from pathlib import Path

from console.locks import is_held

#: Name of the lock file in the state directory; also in console.operations.lock.
LOCK_NAME = "lock"


def runner_is_alive(state: Path) -> bool:
    """Return whether some process holds the operations lock of *state*."""
    return is_held(state / LOCK_NAME)
