"""Limits of containers that run, changed by the engine without touching their processes."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from console.domain.services import Limits
from console.runtimes.compose.daemon import CHANGE_SECONDS, Daemon


def set_limits(daemon: Daemon, container: str, limits: Limits) -> None:
    """
    Set those of *limits* that the engine keeps and that are not None.

    Raises:
        Gone: If the container is not there.
        Unreachable: If the engine does not answer.
        ConsoleError: If engine or kernel decline, as when more memory than that is in
            use; everything is as before then.
    """
    host = daemon.inspect(container)["HostConfig"]
    change = update_of(host, limits)
    if change:
        # The SDK's own method knows no NanoCpus, which is what compose sets.
        daemon.call(
            lambda c: c._result(
                c._post_json(c._url("/containers/{0}/update", container), data=change),
                json=True,
            ),
            CHANGE_SECONDS,
        )


def update_of(host: Mapping[str, Any], limits: Limits) -> dict[str, int]:
    """Return the body of the engine's update call for a container with *host*'s settings."""
    change: dict[str, int] = {}
    if limits.cpu_cores is not None:
        change["NanoCpus"] = round(limits.cpu_cores * 1e9)
    if limits.memory_bytes is not None:
        change["Memory"] = limits.memory_bytes
        # Never below the limit of both together, or the engine declines.
        change["MemorySwap"] = _swap(host, limits.memory_bytes)
    if limits.memory_reserved_bytes is not None:
        change["MemoryReservation"] = limits.memory_reserved_bytes
    return change


def _swap(host: Mapping[str, Any], memory: int) -> int:
    """Return the limit of memory and swap together; the engine's own is twice the memory."""
    old, both = int(host.get("Memory") or 0), int(host.get("MemorySwap") or 0)
    if both < 0:
        return both
    if old <= 0 or both in (0, 2 * old):
        return 2 * memory
    return memory + max(0, both - old)


def command(container: str, limits: Limits) -> str:
    """Return the command of the docker CLI."""
    words = ["docker", "update"]
    if limits.cpu_cores is not None:
        words += ["--cpus", f"{limits.cpu_cores:g}"]
    if limits.memory_bytes is not None:
        words += [
            "--memory",
            str(limits.memory_bytes),
            "--memory-swap",
            str(2 * limits.memory_bytes),
        ]
    if limits.memory_reserved_bytes is not None:
        words += ["--memory-reservation", str(limits.memory_reserved_bytes)]
    return shlex.join([*words, container])
