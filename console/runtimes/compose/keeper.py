"""
Keeps the resident agent running, as the agent keeps this running.

``python -m console.runtimes.compose.keeper --state DIR [--file COMPOSE_FILE]``.
Containers come back by the engine's restart policy; the agent acts on the host and
is no container, so nothing of Docker's can bring it back.  Two small processes that
start each other survive the death of either.  Where systemd keeps the agent there is
no keeper; who begins anew after a reboot is the affair of :mod:`.boot`.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from console.modes import open_file
from console.runtimes.compose.desired import DesiredFile
from console.runtimes.compose.systemd import unit_file
from console.runtimes.locks import FileLock, is_locked
from console.settings import PROJECT

LOOK_SECONDS = 1.0
LONGEST_BACKOFF_SECONDS = 30.0
LOCK_FILE = "keeper.lock"
START_LOCK_SECONDS = 0.3


def keeper_lock(state: Path) -> Path:
    """Return the file that the keeper of *state* locks."""
    return state / "compose" / LOCK_FILE


def agent_command(state: Path, file: Path | None) -> list[str]:
    """Return the command of the agent."""
    return _command("console.agent", state, file)


def keeper_command(state: Path, file: Path | None) -> list[str]:
    """Return the command of the keeper."""
    return _command("console.runtimes.compose.keeper", state, file)


def start_keeper(state: Path, file: Path | None) -> None:
    """Start a keeper, unless one lives or systemd does its work; it outlives its starter."""
    if not is_locked(keeper_lock(state)) and unit_file(state) is None:
        _start(keeper_command(state, file), state)


def keep(state: Path, file: Path | None) -> None:
    """Start the agent whenever its lock is free, for as long as the stack should run."""
    lock = FileLock(keeper_lock(state))
    if not lock.acquire(START_LOCK_SECONDS):
        return
    desired = DesiredFile(state / "compose")
    command = agent_command(state, file)
    agent: subprocess.Popen[bytes] | None = None
    backoff, next_at = LOOK_SECONDS, 0.0
    with lock:
        while desired.wanted_up():
            if agent is not None and agent.poll() is not None:
                agent = None
            if is_locked(state / "agent.lock"):
                backoff = LOOK_SECONDS
            elif agent is None and time.monotonic() >= next_at:
                agent = _start(command, state)
                next_at = time.monotonic() + backoff
                backoff = min(LONGEST_BACKOFF_SECONDS, backoff * 2)
            time.sleep(LOOK_SECONDS / 5)


def _command(module: str, state: Path, file: Path | None) -> list[str]:
    which = ["--file", str(file)] if file is not None else []
    return [sys.executable, "-m", module, "--state", str(state), *which]


def _start(command: Sequence[str], state: Path) -> subprocess.Popen[bytes]:
    log = open_file(state / "agent.log", os.O_WRONLY | os.O_APPEND)
    try:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=PROJECT,
            start_new_session=True,
        )
    finally:
        os.close(log)


def main(argv: Sequence[str]) -> int:
    """Run the keeper of one state; 0 at once when it has one already."""
    parser = argparse.ArgumentParser(prog="console.runtimes.compose.keeper", description=__doc__)
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--file", type=Path)
    arguments = parser.parse_args(argv)
    keep(arguments.state, arguments.file)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
