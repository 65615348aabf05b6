"""
A second copy of a process's log, in a file.

What a container says is gone with the container, and a deploy removes containers; the
volume that this file lies in stays.  Bounded by itself: two files a replica, and those
of replicas that are no more are deleted after a week.
"""

from __future__ import annotations

import logging
import time
from logging.handlers import RotatingFileHandler
from pathlib import Path

FILE_BYTES = 10 * 1024**2
KEPT_SECONDS = 7 * 24 * 3600.0


def keep_log(directory: Path | None, name: str) -> None:
    """
    Let the root logger write into ``directory/name.log`` too, in the form it has.

    A directory that cannot be written is said once and costs nothing else.

    Args:
        directory: Exists; None for no such file.
        name: Of this process among all that share the directory.
    """
    if directory is None:
        return
    root = logging.getLogger()
    try:
        _delete_old(directory)
        handler = RotatingFileHandler(
            directory / f"{name}.log", maxBytes=FILE_BYTES, backupCount=1, encoding="utf-8"
        )
    except OSError as error:
        root.warning("log_not_kept: %s: %s", directory, error.strerror or error)
        return
    handler.setFormatter(root.handlers[0].formatter)
    root.addHandler(handler)


def _delete_old(directory: Path) -> None:
    for path in [*directory.glob("*.log"), *directory.glob("*.log.1")]:
        if time.time() - path.stat().st_mtime > KEPT_SECONDS:
            path.unlink(missing_ok=True)
