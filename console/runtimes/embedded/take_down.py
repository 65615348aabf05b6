"""Taking a stack down so that no process of it is left; data stays."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable

from console.errors import Busy, ConsoleError
from console.runtimes.embedded.blueprint import Progress
from console.runtimes.embedded.launch import signal_supervisor, supervisor_pid, supervisor_runs
from console.runtimes.embedded.layout import Layout
from console.runtimes.embedded.leftovers import clear_leftovers, find_leftovers
from console.runtimes.embedded.specs import ReplicaRecord
from console.runtimes.files import JsonDirectory, write_atomic
from console.runtimes.locks import FileLock, is_locked, lock_holder, refuse_strangers

CHANGE_LOCK_SECONDS = 30.0
AGENT_SECONDS = 10.0
#: After the stop was hurried: databases still close their files properly.
HURRIED_SECONDS = 45.0
LEFTOVER_SECONDS = 10.0
TELL_EVERY_SECONDS = 5.0


def take_down(layout: Layout, progress: Progress, timeout_seconds: float) -> None:
    """
    Stop agent, replicas and supervisor; idempotent.

    Args:
        timeout_seconds: For replicas to finish what they have in hand; then they
            are killed, databases last and properly.

    Raises:
        Refused: If the processes are another operator's.
        ConsoleError: If something still runs at the end.
    """
    if not layout.root.is_dir():
        progress("nothing was running")
        return
    refuse_strangers((layout.supervisor_lock, layout.agent_lock), "stop")
    # Before the lock: a start that waits for something must see it too.
    _want_down(layout)
    lock = FileLock(layout.change_lock)
    if not lock.acquire(CHANGE_LOCK_SECONDS):
        raise Busy(
            "somebody else is starting or stopping this stack",
            unchanged="the stack runs on",
            remedy="fragrance status",
        )
    with lock:
        _want_down(layout)
        # First the agent: it would start the supervisor again.
        _end_agent(layout, progress)
        was_running = supervisor_runs(layout)
        if was_running:
            _end_supervisor(layout, progress, timeout_seconds)
        left = clear_leftovers(layout, LEFTOVER_SECONDS)
        # The supervisor may have started an agent just before it was told.
        _end_agent(layout, progress)
        if supervisor_runs(layout) or find_leftovers(layout):
            raise ConsoleError(
                "something of this stack still runs",
                unchanged="its data is as it was",
                remedy="fragrance status, then fragrance stop again",
            )
        progress("stopped; data stays" if was_running or left else "nothing was running")


def _want_down(layout: Layout) -> None:
    try:
        write_atomic(layout.wanted, b"down\n")
    except OSError:
        # A full disk: in place, where the few bytes have their room already.
        with layout.wanted.open("r+b") as file:
            file.write(b"down\n")


def _end_supervisor(layout: Layout, progress: Progress, timeout_seconds: float) -> None:
    signal_supervisor(layout, signal.SIGTERM)
    if _wait(lambda: not supervisor_runs(layout), timeout_seconds, lambda: _tell(layout, progress)):
        return
    progress("time is up: killing what has not stopped")
    signal_supervisor(layout, signal.SIGTERM)
    if _wait(lambda: not supervisor_runs(layout), HURRIED_SECONDS, lambda: _tell(layout, progress)):
        return
    pid = supervisor_pid(layout)
    if pid is not None:
        progress("the supervisor does not answer: killing it")
        _kill(pid, signal.SIGKILL)
        _wait(lambda: not supervisor_runs(layout), 5.0)


def _tell(layout: Layout, progress: Progress) -> None:
    records = JsonDirectory(layout.run, ReplicaRecord).read().values()
    names = sorted(r.name for r in records if r is not None and r.pid is not None)
    progress(f"waiting for {', '.join(names) or 'the supervisor'}")


def _end_agent(layout: Layout, progress: Progress) -> None:
    pid = lock_holder(layout.agent_lock)
    if pid is None:
        return
    progress("stopping the agent")
    _kill(pid, signal.SIGTERM)
    if not _wait(lambda: not is_locked(layout.agent_lock), AGENT_SECONDS):
        _kill(pid, signal.SIGKILL)
        _wait(lambda: not is_locked(layout.agent_lock), 5.0)


def _kill(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _wait(
    condition: Callable[[], bool],
    timeout_seconds: float,
    tell: Callable[[], None] = lambda: None,
) -> bool:
    deadline = time.monotonic() + timeout_seconds
    tell_at = time.monotonic() + TELL_EVERY_SECONDS
    while not condition():
        now = time.monotonic()
        if now >= deadline:
            return False
        if now >= tell_at:
            tell()
            tell_at = now + TELL_EVERY_SECONDS
        time.sleep(0.05)
    return True
