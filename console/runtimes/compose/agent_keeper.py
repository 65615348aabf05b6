"""The resident agent beside containers: started with the stack, ended with it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from console.errors import ConsoleError, Unreachable
from console.runtimes.compose.boot import set_cron
from console.runtimes.compose.keeper import (
    agent_command,
    keeper_command,
    keeper_lock,
    start_keeper,
)
from console.runtimes.compose.systemd import (
    SYSTEM_UNITS,
    is_ours,
    remove_unit,
    runs_in,
    systemctl,
    unit_file,
    unit_place,
    unit_text,
    write_unit,
)
from console.runtimes.locks import is_locked, lock_holder
from console.settings import Settings

START_SECONDS = 10.0
STOP_SECONDS = 10.0
POLL_SECONDS = 0.05


def keep_agent(settings: Settings, progress: Callable[[str], None]) -> None:
    """
    Start the agent, and who keeps it, unless they run; let it come back after a reboot.

    Raises:
        Unreachable: If it does not come up.
    """
    lock = settings.state / "agent.lock"
    was_there = is_locked(lock)
    see = f"see {settings.state / 'agent.log'}"
    unit, remedy = unit_place(settings.state)
    if unit is not None and _keep_by_systemd(unit, settings, progress):
        see = f"journalctl --unit {unit.name}"
        if unit.parent != SYSTEM_UNITS:
            see = see.replace("--unit", "--user-unit")
        after = f"systemd keeps the agent, and starts it after a reboot: {unit.name}"
    else:
        after = _keep_by_keeper(settings, remedy)
    deadline = time.monotonic() + START_SECONDS
    while not is_locked(lock):
        if time.monotonic() > deadline:
            raise Unreachable(
                "the agent did not start",
                unchanged="the stack runs without it",
                remedy=see,
            )
        time.sleep(POLL_SECONDS)
    if not was_there:
        progress("agent runs")
        progress(after)


def let_agent_go(settings: Settings, progress: Callable[[str], None]) -> None:
    """
    End who keeps the agent, then the agent, if there are any.

    Raises:
        ConsoleError: If one cannot be ended.
    """
    there = lock_holder(settings.state / "agent.lock") is not None
    if there:
        progress("stopping the agent")
    # Who keeps it first: it would start the agent again.
    if (unit := unit_file(settings.state)) is not None:
        remove_unit(unit)
        progress(f"{unit.name} removed from systemd")
    with suppress(ConsoleError):  # a line that stays ends at once: nothing is wanted
        set_cron(settings.state, None)
    _end(keeper_lock(settings.state), "the agent's keeper")
    _end(settings.state / "agent.lock", "the agent")


def _keep_by_systemd(unit: Path, settings: Settings, progress: Callable[[str], None]) -> bool:
    """Have systemd run the agent, and nobody else; False, and said, if it will not."""
    if not is_ours(unit):
        return True  # another operator's, who started this stack
    lock, command = settings.state / "agent.lock", agent_command(settings.state, settings.file)
    try:
        changed = write_unit(unit, unit_text(unit, settings.state, command))
        with suppress(ConsoleError):
            set_cron(settings.state, None)
        _end(keeper_lock(settings.state), "the agent's keeper")
        if not runs_in(unit, lock_holder(lock)):
            _end(lock, "the agent")
        systemctl(unit, "enable", "--quiet", unit.name)
        systemctl(unit, "restart" if changed else "start", unit.name)
    except (ConsoleError, OSError) as error:
        progress(f"systemd does not keep the agent: {error}")
        with suppress(ConsoleError, OSError):
            remove_unit(unit)
        return False
    return True


def _keep_by_keeper(settings: Settings, remedy: str) -> str:
    """Have a keeper run the agent, and return who starts the two after a reboot."""
    why = f"; for it to come back by itself: {remedy}, then start again" if remedy else ""
    after = f"after a reboot the agent needs fragrance start{why}"
    try:
        if set_cron(settings.state, keeper_command(settings.state, settings.file)):
            after = "cron starts the agent after a reboot"
    except ConsoleError as error:
        after = f"{after} ({error.message})"
    start_keeper(settings.state, settings.file)
    return after


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
