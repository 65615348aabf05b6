"""
The resident agent beside containers: started, kept, ended.

Containers come back by the engine's restart policy; the agent is no container (it
acts on the host), so something else must bring it back.  Where systemd runs that
is a unit; elsewhere the agent is started detached, and by every ``start``.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress

from console.errors import ConsoleError, Unreachable
from console.runtimes.locks import is_locked, lock_holder
from console.settings import PROJECT, Settings

START_SECONDS = 10.0
STOP_SECONDS = 10.0
POLL_SECONDS = 0.05


def keep_agent(settings: Settings, progress: Callable[[str], None]) -> None:
    """
    Start the agent unless it runs.

    Raises:
        Unreachable: If it does not come up.
    """
    lock = settings.state / "agent.lock"
    if is_locked(lock):
        return
    log = os.open(
        settings.state / "agent.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o660
    )
    try:
        process = subprocess.Popen(
            agent_command(settings),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=PROJECT,
            start_new_session=True,
        )
    finally:
        os.close(log)
    deadline = time.monotonic() + START_SECONDS
    while not is_locked(lock):
        if process.poll() not in (None, 0) or time.monotonic() > deadline:
            raise Unreachable(
                "the agent did not start",
                unchanged="the stack runs without it",
                remedy=f"see {settings.state / 'agent.log'}",
            )
        time.sleep(POLL_SECONDS)
    progress("agent runs")


def agent_command(settings: Settings) -> list[str]:
    """Return the command line of the agent."""
    command = [sys.executable, "-m", "console.agent", "--state", str(settings.state)]
    return command + (["--file", str(settings.file)] if settings.file is not None else [])


def let_agent_go(settings: Settings, progress: Callable[[str], None]) -> None:
    """
    End the agent, if there is one.

    Raises:
        ConsoleError: If it cannot be ended.
    """
    lock = settings.state / "agent.lock"
    pid = lock_holder(lock)
    if pid is None:
        return
    progress("stopping the agent")
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.kill(pid, number)
        deadline = time.monotonic() + STOP_SECONDS
        while time.monotonic() < deadline:
            if not is_locked(lock):
                return
            time.sleep(POLL_SECONDS)
    raise ConsoleError(
        f"the agent (pid {pid}) does not end",
        unchanged="the stack runs on",
        remedy=f"kill -KILL {pid}, then fragrance stop",
    )
