"""Processor, memory and the disk that holds the state, of this host."""

from __future__ import annotations

import os
from pathlib import Path

from console.domain.readings import HostReading
from console.domain.services import Topology
from console.errors import Unreachable
from console.sources.gpu import GpuReader


class HostSource:
    """
    Observe the host that the console runs on.

    Args:
        state: State directory; the disk under it (or under its nearest existing
            parent) is the one that must not run full.
    """

    name = "host"
    interval_seconds = 2.0

    def __init__(self, state: Path) -> None:
        self._state = state
        self._asked_before = False
        self._gpus = GpuReader()

    def read(self, topology: Topology | None) -> HostReading:
        """Return what is used; processor use is unknown the first time."""
        import psutil

        del topology
        try:
            busy_percent = psutil.cpu_percent(interval=None)
            memory = psutil.virtual_memory()
            disk = psutil.disk_usage(str(self._existing()))
        except (OSError, psutil.Error) as error:
            raise Unreachable(f"cannot read the host's figures: {error}") from error
        cpu_ratio = min(1.0, busy_percent / 100) if self._asked_before else None
        self._asked_before = True
        usable = disk.used + disk.free  # what root keeps for itself is nobody's
        return HostReading(
            cpu_ratio=cpu_ratio,
            memory_ratio=1 - memory.available / memory.total,
            disk_ratio=disk.used / usable if usable else 1.0,
            cores=os.cpu_count() or 1,
            memory_available_bytes=memory.available,
            disk_free_bytes=disk.free,
            gpus=self._gpus.read(),
        )

    def _existing(self) -> Path:
        path = self._state
        while not path.exists() and path != path.parent:
            path = path.parent
        return path
