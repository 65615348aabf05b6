"""
What a dead supervisor, or a dead database, left running.

Replicas are told by the kernel when their supervisor dies, but one may be slow
to leave or deaf.  Before anything is started again they must be gone: two
databases on one directory, or two workers of one name, would be worse than none.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from console.runtimes.embedded.layout import Layout
from console.runtimes.embedded.processes import (
    is_alive,
    marked_processes,
    processes_in,
    read_stat,
)
from console.runtimes.embedded.specs import ReplicaRecord, ReplicaSpec
from console.runtimes.files import JsonDirectory


@dataclass(frozen=True, slots=True)
class Leftover:
    """A living process of a replica without a supervisor."""

    replica: str
    pid: int
    start_ticks: int

    @property
    def alive(self) -> bool:
        """Whether it still lives."""
        return is_alive(self.pid, self.start_ticks)

    def send(self, number: int) -> None:
        """Send a signal if it still lives."""
        if self.alive:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(self.pid, number)


def marker(layout: Layout, replica: str = "") -> str:
    """Return the text that marks processes of *replica*, or begins that of all."""
    return f"{layout.root}:{replica}"


def find_leftovers(layout: Layout) -> list[Leftover]:
    """
    Return living processes of replicas, however their records look.

    Three traces, each of which may be lost: the record of the process, the
    marker in its environment (PostgreSQL overwrites it), and the working
    directory of servers that own one.
    """
    found: dict[int, str] = {}
    for name, record in JsonDirectory(layout.run, ReplicaRecord).read().items():
        if record is not None and is_alive(record.pid, record.start_ticks, record.boot_id):
            found[record.pid or 0] = name
    for name, spec in JsonDirectory(layout.replicas, ReplicaSpec).read().items():
        directory = spec.program.exclusive_directory if spec is not None else None
        if directory is not None:
            found.update(dict.fromkeys(processes_in(Path(directory)), name))
    prefix = marker(layout)
    for pid, text in marked_processes(prefix).items():
        found[pid] = text.removeprefix(prefix)
    stats = {pid: read_stat(pid) for pid in found}
    return [
        Leftover(name, pid, stat.start_ticks)
        for pid, name in sorted(found.items())
        if (stat := stats[pid]) is not None and stat.alive
    ]


def clear_leftovers(layout: Layout, patience_seconds: float) -> int:
    """
    Wait until no process of a dead supervisor lives; return how many there were.

    Half of the patience is for those who were told by the kernel, then they are
    asked, then killed.
    """
    remaining = find_leftovers(layout)
    count = len(remaining)
    start = time.monotonic()
    asked = False
    while remaining:
        waited = time.monotonic() - start
        if waited >= patience_seconds:
            _signal_all(remaining, signal.SIGKILL)
        elif waited >= patience_seconds / 2 and not asked:
            asked = True
            _signal_all(remaining, signal.SIGTERM)
        time.sleep(0.05)
        remaining = [left for left in remaining if left.alive] or find_leftovers(layout)
    return count


def _signal_all(leftovers: list[Leftover], number: int) -> None:
    for left in leftovers:
        left.send(number)


def remove_stale_files(directory: Path, names: tuple[str, ...]) -> list[str]:
    """
    Delete files that say that a process lives which does not; return their names.

    Call it only when :func:`processes_in` finds nobody in *directory*: a server's
    own pid file cannot tell a recycled pid from a living server.
    """
    removed = []
    for name in names:
        path = directory / name
        if path.exists():
            path.unlink(missing_ok=True)
            removed.append(name)
    return removed
