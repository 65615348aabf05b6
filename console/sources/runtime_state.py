"""Topology and statistics through the runtime port."""

from __future__ import annotations

import time
from collections.abc import Mapping

from console.domain.readings import RuntimeReading
from console.domain.services import ReplicaStats, Topology
from console.errors import ConsoleError, Unreachable
from console.ports import Runtime

#: Statistics cost more than the topology and change slowly.
STATS_EVERY_SECONDS = 2.0


class RuntimeSource:
    """
    What should run and what runs.

    Args:
        runtime: The runtime in use.
    """

    name = "runtime"
    interval_seconds = 1.0

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._stats: Mapping[str, ReplicaStats] = {}
        self._stats_at: float | None = None

    def read(self, topology: Topology | None) -> RuntimeReading:
        """
        Return the topology now, with statistics at most two seconds old.

        Raises:
            Unreachable: Also when what the runtime says may be true no more.
        """
        del topology
        present = self._runtime.topology()
        if present.doubt:
            raise Unreachable(
                present.doubt,
                unchanged="what runs goes on running; nothing that dies is started again",
                remedy="fragrance stop; fragrance start",
            )
        now = time.monotonic()
        if self._stats_at is None or now - self._stats_at >= STATS_EVERY_SECONDS:
            try:
                self._stats = self._runtime.stats(present)
            except ConsoleError:
                self._stats = {}  # shown as unknown; what runs is known all the same
            self._stats_at = now
        alive = {
            replica.id
            for service in present.services
            for replica in service.replicas
            if replica.pid is not None or replica.started_at is not None
        }
        return RuntimeReading(
            topology=present,
            stats={name: figures for name, figures in self._stats.items() if name in alive},
        )

    def wait_for_change(self, timeout_seconds: float) -> bool:
        """Wait until something started, died or changed; see the runtime port."""
        return self._runtime.wait_for_change(timeout_seconds)
