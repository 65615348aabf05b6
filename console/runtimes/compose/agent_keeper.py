"""The resident agent beside containers: started with the stack, ended with it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from console.errors import ConsoleError, Unreachable
from console.runtimes.compose.keeper import keeper_lock, start_keeper
from console.runtimes.locks import is_locked, lock_holder
from console.settings import Settings

START_SECONDS = 10.0
STOP_SECONDS = 10.0
POLL_SECONDS = 0.05


def keep_agent(settings: Settings, progress: Callable[[str], None]) -> None:
    """
    Start the agent, and who keeps it, unless they run.

    Raises:
        Unreachable: If it does not come up.
    """
    lock = settings.state / "agent.lock"
    was_there = is_locked(lock)
    start_keeper(settings.state, settings.file)
    deadline = time.monotonic() + START_SECONDS
    while not is_locked(lock):
        if time.monotonic() > deadline:
            raise Unreachable(
                "the agent did not start",
                unchanged="the stack runs without it",
                remedy=f"see {settings.state / 'agent.log'}",
            )
        time.sleep(POLL_SECONDS)
    if not was_there:
        progress("agent runs")


def let_agent_go(settings: Settings, progress: Callable[[str], None]) -> None:
    """
    End the keeper, then the agent, if there are any.

    Raises:
        ConsoleError: If one cannot be ended.
    """
    # The keeper first: it would start the agent again.
    _end(keeper_lock(settings.state), "the agent's keeper")
    if lock_holder(settings.state / "agent.lock") is not None:
        progress("stopping the agent")
        _end(settings.state / "agent.lock", "the agent")


def _end(lock: Path, who: str) -> None:
    pid = lock_holder(lock)
    if pid is None:
        return
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.kill(pid, number)
        deadline = time.monotonic() + STOP_SECONDS
        while time.monotonic() < deadline:
            if not is_locked(lock):
                return
            time.sleep(POLL_SECONDS)
    raise ConsoleError(
        f"{who} (pid {pid}) does not end",
        unchanged="the stack runs on",
        remedy=f"kill -KILL {pid}, then fragrance stop",
    )
