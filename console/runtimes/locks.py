"""``flock`` as proof of life: held means a live process, whatever any file says."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from types import TracebackType

PROC = Path("/proc")


class FileLock:
    """
    An exclusive lock on a file, not inherited by what is executed.

    Args:
        path: The file; made when absent, never deleted.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    def acquire(self, timeout_seconds: float, *, text: str = "") -> bool:
        """
        Take the lock; False when somebody else held it all the time.

        Tries more than once even where it should be free: whoever asks whether
        it is held takes it for an instant.

        Args:
            text: Written into the file once held, for people and for signals.
        """
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = time.monotonic() + timeout_seconds
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    os.close(descriptor)
                    return False
                time.sleep(0.01)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, text.encode(), 0)
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        """Let go; idempotent."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> FileLock:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


def is_locked(path: Path) -> bool:
    """Return whether a living process holds the lock on *path*."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        # Shared, so that two who ask at once do not take each other for a holder.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def lock_holder(path: Path) -> int | None:
    """
    Return the pid that holds the lock on *path*, None when nobody does.

    Asks the kernel (``/proc/locks``), then makes sure that the process has the
    file open: device numbers there differ on some file systems.
    """
    try:
        inode = path.stat().st_ino
        lines = (PROC / "locks").read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        fields = line.split()
        if "FLOCK" not in fields or "->" in fields:
            continue
        pid, place = int(fields[4]), fields[5]
        if place.endswith(f":{inode}") and _has_open(pid, path):
            return pid
    return None


def _has_open(pid: int, path: Path) -> bool:
    real = os.path.realpath(path)
    try:
        return any(os.path.realpath(link) == real for link in (PROC / str(pid) / "fd").iterdir())
    except OSError:
        return False
