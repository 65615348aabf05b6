"""Choosing ports: those of last time, else the usual ones, else the next free."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from console.errors import Refused
from console.runtimes.embedded.sockets import listen

#: How far above the usual port to look.
RANGE = 100


def is_free(port: int) -> bool:
    """Return whether *port* can be listened on now."""
    try:
        listen(port).close()
    except OSError:
        return False
    return True


def choose_ports(
    preferred: Mapping[str, int],
    recorded: Mapping[str, int],
    progress: Callable[[str], None],
    free: Callable[[int], bool] = is_free,
) -> dict[str, int]:
    """
    Return a free port for every purpose; call it only while nothing of ours runs.

    Args:
        preferred: Usual port by purpose.
        recorded: Ports of the last time; kept where they are still free.
        progress: Told when a port differs from the one expected.

    Raises:
        Refused: If the usual port and the next ones are all taken.
    """
    chosen: dict[str, int] = {}
    for purpose, usual in preferred.items():
        expected = recorded.get(purpose, usual)
        candidates = [expected, *(p for p in range(usual, usual + RANGE) if p != expected)]
        port = next((p for p in candidates if p not in chosen.values() and free(p)), None)
        if port is None:
            raise Refused(
                f"no port is free for {purpose}: {usual} to {usual + RANGE - 1} are all taken",
                unchanged="nothing was started",
                remedy="ss -ltnp",
            )
        if port != expected:
            progress(f"port {expected} is in use by another program: {purpose} gets {port}")
        chosen[purpose] = port
    return chosen
