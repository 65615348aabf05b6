"""
The agent's lock: held means that a resident agent lives, whatever any file says.

Also how an agent is started and ended, because both are about this lock.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from console.errors import Unreachable
from console.modes import make_directory, open_file
from console.settings import PROJECT, Settings

#: Who asks whether the lock is held takes it for an instant; a taker tries this long.
TAKE_SECONDS = 0.3
START_SECONDS = 5.0
STOP_SECONDS = 8.0
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
            os.pwrite(descriptor, f"{os.getpid()} {_start_ticks(os.getpid())}\n".encode(), 0)
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
    """Return whether a living process holds the agent's lock."""
    try:
        descriptor = os.open(lock_path(state), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        # Shared, so that two who ask at once do not take each other for an agent.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def agent_command(settings: Settings) -> list[str]:
    """Return the command line of the agent."""
    command = [sys.executable, "-m", "console.agent", "--state", str(settings.state)]
    return command if settings.file is None else [*command, "--file", str(settings.file)]


def start_agent(settings: Settings) -> None:
    """
    Start a detached agent unless one lives; it outlives whoever started it.

    Raises:
        Unreachable: If no agent holds the lock after five seconds.
    """
    if agent_alive(settings.state):
        return
    make_directory(settings.state)
    log = open_file(settings.state / "agent.log", os.O_WRONLY | os.O_APPEND)
    try:
        process = subprocess.Popen(
            agent_command(settings),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=PROJECT,
            env=os.environ | {"APP_ENV": settings.environment},
            start_new_session=True,
        )
    finally:
        os.close(log)
    # Reaps it should it end before us; it is no child in any other sense.
    threading.Thread(target=process.wait, name="agent-reaper", daemon=True).start()
    deadline = time.monotonic() + START_SECONDS
    while not agent_alive(settings.state):
        if time.monotonic() > deadline or (process.poll() or 0) != 0:
            raise Unreachable(
                "the agent did not start",
                unchanged="the stack runs on without it",
                remedy=f"look into {settings.state / 'agent.log'}",
            )
        time.sleep(_POLL_SECONDS)


def stop_agent(settings: Settings) -> bool:
    """
    End the agent, if there is one; returns once its lock is free.

    Returns:
        Whether there was one.

    Raises:
        Unreachable: If it cannot be ended.
    """
    told: set[signal.Signals] = set()
    begun = time.monotonic()
    while agent_alive(settings.state):
        waited = time.monotonic() - begun
        wanted = signal.SIGTERM if waited < STOP_SECONDS / 2 else signal.SIGKILL
        if wanted not in told and (pid := _holder(settings.state)) is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, wanted)
            told.add(wanted)
        if waited > STOP_SECONDS:
            raise Unreachable(
                "the agent does not end",
                remedy=f"see who holds {lock_path(settings.state)}: fuser FILE",
            )
        time.sleep(_POLL_SECONDS)
    return bool(told)


def _holder(state: Path) -> int | None:
    """Return the agent's pid; None unless that very process still lives."""
    try:
        pid_text, ticks = lock_path(state).read_text(encoding="ascii").split()
        pid = int(pid_text)
    except (OSError, ValueError):
        return None
    return pid if _start_ticks(pid) == ticks else None


def _start_ticks(pid: int) -> str | None:
    """Return when a process started, in clock ticks since boot: a pid alone is reused."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The name stands in parentheses and may contain anything; count behind it.
    return text.rpartition(")")[2].split()[19]
