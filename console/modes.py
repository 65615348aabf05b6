"""
Who may read and write what lies in a state directory: the one place that knows the modes.

A state is its owner's alone (0700, files 0600), unless its directory was made for an
operators' group: setgid and writable by that group (2770).  Then what is written below it is
the group's too (2770, files 0660) and still nobody else's, whatever the umask of whoever writes.
A directory made below one of these is of the same kind, so the parent alone decides.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

_SHARED = stat.S_ISGID | stat.S_IRWXG


def is_shared(directory: Path) -> bool:
    """Return whether an operators' group owns *directory*; False where it cannot be told."""
    try:
        return directory.stat().st_mode & _SHARED == _SHARED
    except OSError:
        return False


def file_mode(directory: Path) -> int:
    """Return the mode of a file in *directory*."""
    return 0o660 if is_shared(directory) else 0o600


def adopt_umask(state: Path) -> None:
    """
    Make what this process and its children create in a shared *state* the group's.

    Called once by every process of the console: the modes below are set anyway, but only the
    umask leaves no instant in which a file is there and closed to the others.
    """
    if is_shared(state):
        os.umask(0o007)


def make_directory(directory: Path) -> None:
    """
    Make *directory* and those above it that are missing; what is there is left as it is.

    Raises:
        OSError: If one cannot be made.
    """
    missing = [place for place in (directory, *directory.parents) if not place.exists()]
    for place in reversed(missing):
        # Not by ``parents``: that makes those above open to all.
        shared = is_shared(place.parent)
        place.mkdir(mode=0o770 if shared else 0o700, exist_ok=True)
        if shared and not is_shared(place):
            place.chmod(0o2770)
    if not directory.is_dir():
        raise NotADirectoryError(20, "Not a directory", str(directory))


def open_file(path: Path, flags: int) -> int:
    """
    Open *path*, made with the mode of its directory where it is missing; close-on-exec.

    Args:
        path: The file.
        flags: As for :func:`os.open`; with ``O_CREAT``.

    Raises:
        OSError: If it cannot be opened.
    """
    mode = file_mode(path.parent)
    descriptor = os.open(path, flags | os.O_CREAT | os.O_CLOEXEC, mode)
    found = os.fstat(descriptor)
    if stat.S_IMODE(found.st_mode) != mode and found.st_uid == os.geteuid():
        os.fchmod(descriptor, mode)
    return descriptor


def open_private(path: Path) -> int:
    """
    Open a new file that only its owner reads, wherever it is: logs may say more than they should.

    Raises:
        FileExistsError: If there is one of that name.
        OSError: If it cannot be made.
    """
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
