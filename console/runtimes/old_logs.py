"""Rotated logs of the state directory: nothing writes them any more."""

from __future__ import annotations

import re
import stat
import time
from pathlib import Path

from console.domain.leftovers import Leftover
from console.errors import Unreachable, UsageError
from console.settings import Settings

DAY_SECONDS = 86400.0
#: ``runner.log.1``, ``embedded/logs/app-1.log.3``: never the log itself.
_ROTATED = re.compile(r"[\w.-]+\.log\.\d+(\.gz)?")
_PLACES = (".", "embedded/logs")


def old_logs(state: Path, days: float) -> list[Leftover]:
    """
    Return the rotated logs below *state* that are older than *days*.

    Raises:
        Unreachable: If the state cannot be read.
    """
    found = []
    try:
        for place in _PLACES:
            directory = state / place
            for path in sorted(directory.iterdir()) if directory.is_dir() else ():
                if not _ROTATED.fullmatch(path.name):
                    continue
                status = path.lstat()
                old = time.time() - status.st_mtime > days * DAY_SECONDS
                if old and stat.S_ISREG(status.st_mode):
                    found.append(Leftover(str(path.relative_to(state)), status.st_size))
    except OSError as error:
        raise Unreachable(f"{state} cannot be read: {error.strerror}") from error
    return found


def remove_log(state: Path, name: str) -> None:
    """
    Remove one rotated log; idempotent.

    Raises:
        UsageError: If *name* is not one.
        Unreachable: If it cannot be removed.
    """
    place, _, file = name.rpartition("/")
    if (place or ".") not in _PLACES or not _ROTATED.fullmatch(file):
        raise UsageError(f"{name!r} is no rotated log", unchanged="it was left as it is")
    try:
        (state / name).unlink(missing_ok=True)
    except OSError as error:
        raise Unreachable(f"{name} cannot be removed: {error.strerror}") from error


class KeepsLogFiles:
    """The capability of runtimes whose state directory has logs; they have ``_settings``."""

    _settings: Settings

    def old_logs(self, days: float) -> list[Leftover]:
        """Return the rotated logs of the state directory that are older."""
        return old_logs(self._settings.state, days)

    def remove_log(self, name: str) -> None:
        """Remove one of them."""
        remove_log(self._settings.state, name)
