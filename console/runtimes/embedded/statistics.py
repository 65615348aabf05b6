"""CPU and memory of replicas, all of their processes counted."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping

from console.domain.services import ReplicaStats
from console.runtimes.embedded.processes import (
    PAGE_BYTES,
    TICKS_PER_SECOND,
    ProcessStat,
    all_pids,
    read_stat,
)


class Statistics:
    """
    Reads what replicas use; remembers the last reading for the difference.

    Readings closer together than this return the last difference again, so that
    several readers do not spoil each other's.
    """

    SHORTEST_SECONDS = 0.2

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._last: dict[str, tuple[float, int, int]] = {}
        self._cores: dict[str, float | None] = {}

    def read(self, roots: Mapping[str, int]) -> dict[str, ReplicaStats]:
        """
        Return the figures by replica.

        Args:
            roots: First process by replica; those that are gone are left out.

        Returns:
            CPU in cores since the last reading (None at the first one of a
            process), memory in bytes.
        """
        with self._guard:
            return self._read(roots)

    def _read(self, roots: Mapping[str, int]) -> dict[str, ReplicaStats]:
        trees = _trees(roots)
        now = time.monotonic()
        figures: dict[str, ReplicaStats] = {}
        last: dict[str, tuple[float, int, int]] = {}
        for replica, tree in trees.items():
            ticks = sum(stat.cpu_ticks for stat in tree)
            started = tree[0].start_ticks
            before = self._last.get(replica)
            if before is None or before[2] != started:
                self._cores[replica] = None
                last[replica] = (now, ticks, started)
            elif now - before[0] < self.SHORTEST_SECONDS:
                last[replica] = before
            else:
                used = max(0, ticks - before[1]) / TICKS_PER_SECOND
                self._cores[replica] = used / (now - before[0])
                last[replica] = (now, ticks, started)
            figures[replica] = ReplicaStats(self._cores[replica], _memory(tree))
        self._last = last
        return figures


def _trees(roots: Mapping[str, int]) -> dict[str, list[ProcessStat]]:
    """Return the processes of every replica, its first process first."""
    stats = {pid: stat for pid in all_pids() if (stat := read_stat(pid)) is not None}
    owner: dict[int, str | None] = {pid: name for name, pid in roots.items()}

    def owner_of(pid: int) -> str | None:
        path = []
        while pid not in owner and pid in stats:
            path.append(pid)
            pid = stats[pid].parent
        found = owner.get(pid)
        owner.update(dict.fromkeys(path, found))
        return found

    trees = {name: [stats[pid]] for name, pid in roots.items() if pid in stats}
    for pid, stat in stats.items():
        name = owner_of(pid)
        if name in trees and roots[name] != pid:
            trees[name].append(stat)
    return trees


def _memory(tree: list[ProcessStat]) -> int | None:
    """
    Return resident memory, what processes share counted once.

    The kernel's exact figure (PSS) takes milliseconds per process; each one's own
    part plus the largest shared part is near enough and free.
    """
    own, shared = 0, 0
    for stat in tree:
        try:
            with open(f"/proc/{stat.pid}/statm", "rb") as file:  # noqa: PTH123  hot path
                fields = file.read().split()
        except OSError:
            continue
        own += int(fields[1]) - int(fields[2])
        shared = max(shared, int(fields[2]))
    return (own + shared) * PAGE_BYTES or None
