"""What the operating system is asked for: no orphan survives its parent."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def die_with_parent(parent_pid: int) -> None:
    """
    Ask the kernel to kill this process when its parent dies, however it dies.

    Called first thing in a pool child: a ``kill -9`` of the worker leaves the child no
    other way to learn of it.

    Args:
        parent_pid: The worker's pid as the child knows it; if it is gone already, the
            child ends at once.
    """
    if not sys.platform.startswith("linux"):
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent_pid:  # it died before the request was in place
        os._exit(1)
