"""
CPU and memory of containers, from their control groups.

Read from the kernel's files where this process may (100 containers: some
milliseconds); the engine itself is asked for the others only, and never while an
earlier question to it is still unanswered.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from console.domain.services import ReplicaStats
from console.errors import ConsoleError
from console.runtimes.compose.daemon import Daemon

CGROUPS = "/sys/fs/cgroup"
#: Readings closer together than this return the last difference again.
SHORTEST_SECONDS = 0.2
#: Most that a picture waits for the engine's own figures.
ASK_SECONDS = 1.0
ASK_THREADS = 4


@dataclass(frozen=True, slots=True)
class Usage:
    """What a container has used: processor time since its start, memory now."""

    cpu_seconds: float
    memory_bytes: int | None


@dataclass(frozen=True, slots=True)
class _Files:
    """Where the figures of one container stand."""

    cpu: str
    memory: str
    memory_stat: str
    unified: bool


class Statistics:
    """
    Reads what containers use; remembers the last reading for the difference.

    Args:
        daemon: Asked where the kernel's files cannot be read.
    """

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self._guard = threading.Lock()
        self._files: dict[tuple[str, int], _Files] = {}
        self._last: dict[str, tuple[float, float, int]] = {}
        self._cores: dict[str, float | None] = {}
        self._pool: ThreadPoolExecutor | None = None
        self._asking: set[str] = set()

    def read(self, processes: Mapping[str, int]) -> dict[str, ReplicaStats]:
        """
        Return the figures by container.

        Args:
            processes: First process by container id.

        Returns:
            CPU in cores since the last reading (None at the first one of a
            process), memory in bytes without the file cache that can be dropped.
            Containers whose figures cannot be had in time are left out.
        """
        with self._guard:
            now = time.monotonic()
            usages: dict[str, Usage] = {}
            unread = []
            for container, pid in processes.items():
                usage = self._from_files(container, pid)
                if usage is None:
                    unread.append(container)
                else:
                    usages[container] = usage
            if unread:
                usages |= self._ask(unread)
            self._files = {
                key: files for key, files in self._files.items() if processes.get(key[0]) == key[1]
            }
            return {
                container: self._figures(container, processes[container], usage, now)
                for container, usage in usages.items()
            }

    def _figures(self, container: str, pid: int, usage: Usage, now: float) -> ReplicaStats:
        before = self._last.get(container)
        if before is None or before[2] != pid:
            self._cores[container] = None
            self._last[container] = (now, usage.cpu_seconds, pid)
        elif now - before[0] >= SHORTEST_SECONDS:
            used = max(0.0, usage.cpu_seconds - before[1])
            self._cores[container] = used / (now - before[0])
            self._last[container] = (now, usage.cpu_seconds, pid)
        return ReplicaStats(self._cores[container], usage.memory_bytes)

    def _from_files(self, container: str, pid: int) -> Usage | None:
        key = (container, pid)
        files = self._files.get(key) or _find_files(container, pid)
        if files is None:
            return None
        self._files[key] = files
        try:
            return _read_unified(files) if files.unified else _read_separate(files)
        except (OSError, ValueError, IndexError):
            return None

    def _ask(self, containers: list[str]) -> dict[str, Usage]:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(ASK_THREADS, thread_name_prefix="docker-stats")
        futures = {}
        for container in containers:
            if container not in self._asking:
                self._asking.add(container)
                futures[self._pool.submit(self._ask_one, container)] = container
        done, _ = wait(futures, timeout=ASK_SECONDS)
        return {futures[future]: usage for future in done if (usage := future.result()) is not None}

    def _ask_one(self, container: str) -> Usage | None:
        try:
            return parse_answer(self._daemon.stats(container))
        except ConsoleError:
            return None
        finally:
            self._asking.discard(container)


def parse_answer(answer: Mapping[str, Any]) -> Usage | None:
    """Return the usage that an answer of the engine's ``stats`` describes; None if empty."""
    cpu = (answer.get("cpu_stats") or {}).get("cpu_usage") or {}
    memory = answer.get("memory_stats") or {}
    if "total_usage" not in cpu:
        return None
    details = memory.get("stats") or {}
    cache = details.get("total_inactive_file", details.get("inactive_file", 0))
    usage = memory.get("usage")
    return Usage(
        cpu_seconds=cpu["total_usage"] / 1e9,
        memory_bytes=None if usage is None else max(0, usage - cache),
    )


def _find_files(container: str, pid: int) -> _Files | None:
    """Return where the kernel keeps the figures of *container*, None where that is unseen."""
    try:
        lines = Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    places = {}
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if container not in path:
            continue
        for controller in controllers.split(","):
            places[controller] = path
    found = [_separate(places), _unified(places)]
    for files in found:
        if files is not None and all(
            Path(path).is_file() for path in (files.cpu, files.memory, files.memory_stat)
        ):
            return files
    return None


def _separate(places: Mapping[str, str]) -> _Files | None:
    if "cpuacct" not in places or "memory" not in places:
        return None
    memory = f"{CGROUPS}/memory{places['memory']}"
    return _Files(
        cpu=f"{CGROUPS}/cpuacct{places['cpuacct']}/cpuacct.usage",
        memory=f"{memory}/memory.usage_in_bytes",
        memory_stat=f"{memory}/memory.stat",
        unified=False,
    )


def _unified(places: Mapping[str, str]) -> _Files | None:
    path = places.get("")
    if path is None:
        return None
    return _Files(
        cpu=f"{CGROUPS}{path}/cpu.stat",
        memory=f"{CGROUPS}{path}/memory.current",
        memory_stat=f"{CGROUPS}{path}/memory.stat",
        unified=True,
    )


def _read_separate(files: _Files) -> Usage:
    cache = _line_of(files.memory_stat, b"total_inactive_file ")
    return Usage(int(_bytes(files.cpu)) / 1e9, max(0, int(_bytes(files.memory)) - cache))


def _read_unified(files: _Files) -> Usage:
    used = _line_of(files.cpu, b"usage_usec ")
    cache = _line_of(files.memory_stat, b"inactive_file ")
    return Usage(used / 1e6, max(0, int(_bytes(files.memory)) - cache))


def _line_of(path: str, name: bytes) -> int:
    content = b"\n" + _bytes(path)
    begin = content.index(b"\n" + name) + len(name) + 1
    return int(content[begin : content.find(b"\n", begin)])


def _bytes(path: str) -> bytes:
    with open(path, "rb") as file:  # noqa: PTH123  hot path: hundreds of files every two seconds
        return file.read()
