"""Starting, poking and finding the supervisor of a stack."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

from console.errors import ConsoleError
from console.runtimes.embedded.environment import system_environment
from console.runtimes.embedded.layout import Layout
from console.runtimes.embedded.rotation import open_log
from console.runtimes.locks import is_locked
from console.settings import PROJECT

START_SECONDS = 20.0


def supervisor_runs(layout: Layout) -> bool:
    """Return whether a supervisor holds its lock."""
    return is_locked(layout.supervisor_lock)


def supervisor_pid(layout: Layout) -> int | None:
    """Return the pid of the live supervisor; the lock vouches for the number in it."""
    if not supervisor_runs(layout):
        return None
    try:
        return int(layout.supervisor_lock.read_text())
    except (OSError, ValueError):
        return None


def start_supervisor(layout: Layout) -> None:
    """
    Start a supervisor that outlives this process and its terminal.

    Returns once it holds its lock; also when another one holds it already.

    Raises:
        ConsoleError: If it did not start; names its log.
    """
    path = layout.log("supervisor")
    log = open_log(path)
    try:
        # It forks once more, so that nobody has to wait for it when it ends.
        done = subprocess.run(
            [sys.executable, "-m", "console.runtimes.embedded.supervisor", str(layout.state)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=PROJECT,
            env=_environment(),
            start_new_session=True,
            timeout=START_SECONDS,
            check=False,
        ).returncode
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _not_started(path) from error
    finally:
        os.close(log)
    if done not in (0, 3):
        raise _not_started(path)


def _environment() -> dict[str, str]:
    """Return what supervisor and agent need; replicas get theirs from their specs."""
    ours = {name: value for name, value in os.environ.items() if name.startswith("FRAGRANCE_")}
    ours |= {"APP_ENV": os.environ["APP_ENV"]} if os.environ.get("APP_ENV") else {}
    return system_environment(os.environ) | ours


def _not_started(log: Path) -> ConsoleError:
    return ConsoleError(
        "the supervisor of the embedded runtime did not start",
        unchanged="no replica was started",
        remedy=f"look at the end of {log}",
    )


def poke(layout: Layout) -> None:
    """Have the supervisor look at the specs now instead of within half a second."""
    signal_supervisor(layout, signal.SIGHUP)


def signal_supervisor(layout: Layout, number: int) -> bool:
    """Send a signal to the live supervisor; False when there is none of ours."""
    pid = supervisor_pid(layout)
    if pid is None:
        return False
    # Another operator's supervisor looks by itself, a little later.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)
        return True
    return False
