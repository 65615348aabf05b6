"""
The supervisor: direct parent of every replica, in one thread.

It brings what runs (``run/``) to what should run (``replicas/``) and does
nothing else; it imports nothing of the product and never opens a connection.

Why not a supervisor off the shelf: circus was tried.  It removes the oldest
process when the number falls, cannot give a new watcher a shared socket at run
time, and after ``kill -9`` its children serve on as orphans that hold the socket
while its restart claims to have worked.  Bending it came to more than this.

Started by :mod:`console.runtimes.embedded.launch`; SIGHUP means "look now",
SIGTERM "stop everything", a second SIGTERM "at once".
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import sys
import time
import traceback
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from console.errors import Unreachable
from console.modes import adopt_umask
from console.runtimes.embedded.catalogue import CatalogueFile
from console.runtimes.embedded.child import LEFTOVER_SECONDS, ReplicaProcess
from console.runtimes.embedded.companion import CompanionKeeper
from console.runtimes.embedded.heartbeat import BEAT_SECONDS, beat
from console.runtimes.embedded.layout import Layout
from console.runtimes.embedded.leftovers import Leftover, find_leftovers
from console.runtimes.embedded.rotation import rotate_if_large
from console.runtimes.embedded.sockets import SharedSockets
from console.runtimes.embedded.specs import ReplicaRecord, ReplicaSpec
from console.runtimes.files import JsonDirectory
from console.runtimes.locks import FileLock

POLL_SECONDS = 0.5
ROTATE_EVERY_SECONDS = 5.0
LOCK_SECONDS = 3.0
PR_SET_CHILD_SUBREAPER = 36


class Supervisor:
    """
    Supervises one stack until it is told to stop.

    Args:
        layout: The stack's directories.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._specs = JsonDirectory(layout.replicas, ReplicaSpec)
        self._records = JsonDirectory(layout.run, ReplicaRecord)
        self._damaged: set[str] = set()
        self._replicas: dict[str, ReplicaProcess] = {}
        self._shared = SharedSockets()
        self._orphans: list[Leftover] = []
        self._kill_orphans_at = time.monotonic() + LEFTOVER_SECONDS
        self._companion: CompanionKeeper | None = None
        self._rotate_at = 0.0
        self._beat_at = 0.0
        self._stopping = False
        self._asked_to_stop = False
        self._wakeup: tuple[int, int] = (-1, -1)

    def run(self) -> None:
        """Supervise until SIGTERM or until ``wanted`` says ``down``."""
        self._listen_to_signals()
        self._adopt()
        while True:
            now = time.monotonic()
            if now >= self._beat_at:
                self._beat_at = now + BEAT_SECONDS
                beat(self._layout)
            if not self._stopping and self._wanted() == "down":
                self._stopping = True
            self._reconcile()
            deadline = self._advance(now)
            if self._stopping and not self._replicas_alive():
                return
            self._wait(max(0.0, min(deadline, now + POLL_SECONDS) - time.monotonic()))

    # Waiting and signals -----------------------------------------------------

    def _listen_to_signals(self) -> None:
        # Grandchildren whose parent dies become ours, so that we can reap them.
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        reading, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        self._wakeup = (reading, writing)
        for number in (signal.SIGCHLD, signal.SIGHUP):
            signal.signal(number, lambda *_: None)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._ask_to_stop())

    def _ask_to_stop(self) -> None:
        if self._asked_to_stop:
            for replica in self._replicas.values():
                replica.hurry()
        self._asked_to_stop = self._stopping = True

    def _wait(self, seconds: float) -> None:
        select.select([self._wakeup[0]], [], [], seconds)
        with contextlib.suppress(BlockingIOError):
            os.read(self._wakeup[0], 4096)
        self._reap()

    def _reap(self) -> None:
        by_pid = {r.pid: r for r in self._replicas.values() if r.pid is not None}
        while True:
            try:
                # Look before reaping: while its zombie is there, no other
                # process can carry the number of its group.
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if ended is None:
                return
            replica = by_pid.get(ended.si_pid)
            if replica is not None:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(ended.si_pid, signal.SIGKILL)
            _, status = os.waitpid(ended.si_pid, 0)
            if replica is not None:
                replica.exited(status, time.monotonic())

    # Desired state -----------------------------------------------------------

    def _wanted(self) -> str:
        try:
            return self._layout.wanted.read_text().strip()
        except OSError:
            return "up"

    def _adopt(self) -> None:
        """Learn what a predecessor left, before anything is started."""
        records = self._records.read()
        specs = self._specs.read()
        leftovers: dict[str, list[Leftover]] = {}
        for left in find_leftovers(self._layout):
            leftovers.setdefault(left.replica, []).append(left)
        for name, spec in specs.items():
            if spec is not None:
                self._add(spec, records.get(name), leftovers.pop(name, []))
        self._orphans = [left for group in leftovers.values() for left in group]
        for left in self._orphans:
            self._report(f"process {left.pid} of {left.replica} is wanted no more")
            left.send(signal.SIGTERM)
        for name in records.keys() - specs.keys():
            self._records.remove(name)
        try:
            catalogue = CatalogueFile(self._layout.services).read()
        except Unreachable as error:
            self._report(error.message)
            return
        if catalogue is not None and catalogue.companion is not None:
            self._companion = CompanionKeeper(catalogue.companion, self._layout)

    def _add(
        self, spec: ReplicaSpec, record: ReplicaRecord | None, leftovers: list[Leftover]
    ) -> None:
        self._replicas[spec.name] = ReplicaProcess(
            spec, record, self._layout, self._shared, leftovers, self._report
        )

    def _reconcile(self) -> None:
        specs = self._specs.read()
        for name, spec in specs.items():
            if spec is None or spec.name != name:
                if name not in self._damaged:
                    self._report(f"the spec of {name} cannot be read: left as it is")
                self._damaged.add(name)
                continue
            self._damaged.discard(name)
            if name in self._replicas:
                self._replicas[name].spec = spec
            elif not self._stopping:
                self._add(spec, None, [])
        for name, replica in list(self._replicas.items()):
            if name not in specs:
                replica.spec = replace(replica.spec, leaving=True)
            if replica.spec.leaving and replica.gone and self._delete_spec(name):
                replica.forget()
                del self._replicas[name]
        self._shared.keep_only(
            {port for r in self._replicas.values() if (port := r.spec.program.shared_port)}
        )

    def _delete_spec(self, name: str) -> bool:
        """Delete the spec of a replica that left, unless it is wanted again by now."""
        lock = FileLock(self._layout.specs_lock)
        if not lock.acquire(0):
            return False
        with lock:
            spec = self._specs.get(name)
            if spec is None or spec.leaving:
                self._specs.remove(name)
                return True
        return False

    def _advance(self, now: float) -> float:
        """Let every replica take a step; return when the next one is due."""
        deadlines = [now + POLL_SECONDS]
        lowest = self._tier_to_stop()
        for replica in self._replicas.values():
            run = not self._stopping or replica.spec.program.tier < lowest
            try:
                next_at = replica.advance(now, run=run)
            except Exception:
                # One replica's trouble must not end the supervision of the others.
                self._report(traceback.format_exc())
                next_at = None
            if next_at is not None:
                deadlines.append(next_at)
        self._orphans = [left for left in self._orphans if left.alive]
        if now >= self._kill_orphans_at:
            for left in self._orphans:
                left.send(signal.SIGKILL)
        if self._companion is not None and not self._stopping:
            try:
                deadlines.append(self._companion.look(now))
            except OSError as error:
                self._report(f"the agent cannot be started: {error.strerror}")
        if now >= self._rotate_at:
            self._rotate_at = now + ROTATE_EVERY_SECONDS
            self._rotate()
        return min(deadlines)

    def _tier_to_stop(self) -> int:
        """Return the tier that stops next: the highest of which something runs."""
        return max((r.spec.program.tier for r in self._replicas.values() if not r.gone), default=0)

    def _replicas_alive(self) -> bool:
        return bool(self._orphans) or any(not r.gone for r in self._replicas.values())

    def _rotate(self) -> None:
        for path in self._layout.logs.glob("*.log"):
            try:
                rotate_if_large(path)
            except OSError as error:
                self._report(f"{path.name} was cut without keeping it: {error.strerror}")

    def _report(self, line: str) -> None:
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        # A log on a full disk must not end us, and all the replicas with us.
        with contextlib.suppress(OSError):
            os.write(sys.stderr.fileno(), f"{at} {line}\n".encode(errors="replace"))


def main() -> int:
    """
    Become the supervisor of the state directory in ``argv[1]``.

    Returns in the process that was started as soon as the supervisor, a
    grandchild of it that belongs to nobody, holds the lock: 0, or 3 when another
    one held it.
    """
    layout = Layout(Path(sys.argv[1]))
    adopt_umask(layout.state)
    reading, writing = os.pipe2(os.O_CLOEXEC)
    if os.fork():
        os.close(writing)
        answer = os.read(reading, 1)
        return answer[0] if answer else 1
    os.close(reading)
    os.setsid()
    # A poke that comes before we listen must not end us.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    lock = FileLock(layout.supervisor_lock)
    if not lock.acquire(LOCK_SECONDS, text=str(os.getpid())):
        os.write(writing, b"\x03")
        return 3
    beat(layout)  # what its predecessor left may be old
    os.write(writing, b"\x00")
    os.close(writing)
    with lock:
        Supervisor(layout).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
