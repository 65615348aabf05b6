"""``flock`` as proof of life: held means a live process, whatever any file says."""

from __future__ import annotations

import fcntl
import os
import pwd
import time
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

from console.errors import Refused
from console.locks import is_held
from console.modes import open_file

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
        descriptor = open_file(self.path, os.O_RDWR)
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
    """Return whether a living process holds the lock on *path*; False for who may not look."""
    try:
        return is_held(path)
    except OSError:
        return False


def refuse_strangers(paths: Iterable[Path], verb: str) -> None:
    """
    Raise unless this user may signal whoever holds the locks on *paths*.

    A state may be shared by a group; its processes still belong to who started them.

    Raises:
        Refused: Names whose they are and how to *verb* them.
    """
    for path in paths:
        pid = _pid_of_lock(path)
        user = None if pid is None else user_of(pid)
        if user is not None and os.geteuid() not in (0, user.pw_uid):
            raise Refused(
                f"the processes of this stack run as {user.pw_name}",
                unchanged="the stack runs on",
                remedy=f"sudo -u {user.pw_name} fragrance {verb}",
            )


def user_of(pid: int) -> pwd.struct_passwd | None:
    """Return the user that process *pid* runs as, None when it is gone or has no name."""
    try:
        return pwd.getpwuid((PROC / str(pid)).stat().st_uid)
    except (OSError, KeyError):
        return None


def lock_holder(path: Path) -> int | None:
    """
    Return the pid that holds the lock on *path*, None when nobody does.

    Asks the kernel (``/proc/locks``), then makes sure that the process has the
    file open: device numbers there differ on some file systems.
    """
    return next((pid for pid in _flock_pids(path) if _has_open(pid, path)), None)


def _pid_of_lock(path: Path) -> int | None:
    """Return who holds it by the kernel's word alone: another user's files cannot be seen."""
    return next(iter(_flock_pids(path)), None) if is_locked(path) else None


def _flock_pids(path: Path) -> list[int]:
    try:
        inode = path.stat().st_ino
        lines = (PROC / "locks").read_text().splitlines()
    except OSError:
        return []
    rows = [line.split() for line in lines if "FLOCK" in line and "->" not in line]
    return [int(row[4]) for row in rows if row[5].endswith(f":{inode}")]


def _has_open(pid: int, path: Path) -> bool:
    real = os.path.realpath(path)
    try:
        return any(os.path.realpath(link) == real for link in (PROC / str(pid) / "fd").iterdir())
    except OSError:
        return False
