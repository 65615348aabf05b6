"""
Start the runner as a process of its own, out of reach of the terminal.

It gets a session of its own, so that a closed terminal or a lost connection does
not reach it, and a systemd scope where there is one, because logind may kill what
a user leaves behind.
"""

from __future__ import annotations

import os
import pwd
import select
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from console.domain.text import plain_text
from console.errors import Interrupted
from console.modes import open_file
from console.settings import PROJECT, Settings

#: How long a runner may take to come up and take the lock, seconds.
START_TIMEOUT_SECONDS = 10.0
#: The log is begun anew above this size; one older file is kept.
LOG_LIMIT_BYTES = 512 * 1024

#: There while systemd runs this host, and the users whose processes outlive their logins.
SYSTEMD = Path("/run/systemd/system")
LINGER = Path("/var/lib/systemd/linger")

#: What the runner writes into the pipe once it holds the lock.
READY = b"ready\n"


def launch_runner(settings: Settings) -> Callable[[str, str], None]:
    """
    Return what starts a detached runner for an operation id and a mode.

    It returns once the runner holds the lock, and raises Interrupted when the
    runner died before that; one that is only slow is left alone.

    Args:
        settings: Of the stack.
    """

    def launch(operation_id: str, mode: str) -> None:
        command = [*_scope(), *runner_command(settings, operation_id, mode)]
        start_detached(command, settings.state / "runner.log", operation_id)

    return launch


def runner_command(settings: Settings, operation_id: str, mode: str) -> list[str]:
    """Return the command line of the runner."""
    command = [sys.executable, "-m", "console", "operations", "_run", operation_id]
    command += ["--mode", mode, "--state", str(settings.state)]
    if settings.file is not None:
        command += ["--file", str(settings.file)]
    return command


def start_detached(command: list[str], log: Path, operation_id: str) -> None:
    """
    Start *command*, which takes ``--ready-fd N``, and wait until it says ready.

    Raises:
        Interrupted: When it could not be started, or ended without saying so.
    """
    read_end, write_end = os.pipe()
    try:
        try:
            with _open_log(log) as output:
                position = output.tell()
                process = subprocess.Popen(
                    [*command, "--ready-fd", str(write_end)],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    cwd=PROJECT,
                    pass_fds=(write_end,),
                    start_new_session=True,
                )
        except OSError as error:
            raise _not_started(operation_id, str(error)) from error
        finally:
            os.close(write_end)
        # Reaps it whenever it ends, so that a long-lived console keeps no zombies.
        threading.Thread(target=process.wait, name="runner-reaper", daemon=True).start()
        if _said_ready(read_end):
            return
    finally:
        os.close(read_end)
    raise _not_started(operation_id, _last_words(log, position))


def _said_ready(read_end: int) -> bool:
    """Return False only when the runner closed its end without a word."""
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while (remaining := deadline - time.monotonic()) > 0:
        readable, _, _ = select.select([read_end], [], [], remaining)
        if readable:
            return os.read(read_end, len(READY)) != b""
    return True


def _not_started(operation_id: str, why: str) -> Interrupted:
    return Interrupted(
        f"the runner of operation {operation_id} did not start: {why or 'it said nothing'}",
        unchanged="nothing was changed yet",
        remedy=f"fragrance operations resume {operation_id}  (or accept {operation_id})",
    )


def _open_log(path: Path) -> BinaryIO:
    if path.exists() and path.stat().st_size > LOG_LIMIT_BYTES:
        path.replace(path.with_suffix(".log.1"))
    log = os.fdopen(open_file(path, os.O_WRONLY | os.O_APPEND), "ab")
    log.seek(0, os.SEEK_END)
    return log


def _last_words(path: Path, position: int) -> str:
    try:
        with path.open("rb") as log:
            log.seek(position)
            lines = log.read(16 * 1024).decode(errors="replace").splitlines()
    except OSError:
        return ""
    return plain_text(" ".join(lines[-3:]), 300)


def _scope() -> list[str]:
    """
    Return the prefix that puts a process into a scope of its own, [] where none is safer.

    A user's scope ends with that user's last login, unless they linger; a plain session
    does not, unless logind is told to kill what users leave behind.
    """
    program = shutil.which("systemd-run")
    if program is None or not SYSTEMD.is_dir() or not (os.geteuid() == 0 or _lingers()):
        return []
    prefix = [program, *([] if os.geteuid() == 0 else ["--user"])]
    prefix += ["--scope", "--quiet", "--collect"]
    try:
        works = subprocess.run(
            [*prefix, "true"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=3.0,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    return prefix if works.returncode == 0 else []


def _lingers() -> bool:
    try:
        return (LINGER / pwd.getpwuid(os.geteuid()).pw_name).exists()
    except (KeyError, OSError):
        return False
