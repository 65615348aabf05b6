"""The product's application as a real process on private servers, for tests."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests.servers import Server, wait_until

PROJECT = Path(__file__).parents[1]


@dataclass
class Product:
    """
    Servers, settings and the means to run ``python -m backend`` with them.

    Args:
        postgres: Running database server.
        redis: Running Redis server.
        directory: For logs.
        settings: Environment of every process.
    """

    postgres: Server
    redis: Server
    directory: Path
    settings: dict[str, str] = field(default_factory=dict)

    def environment(self) -> dict[str, str]:
        """Return the environment of the product's processes, free of the caller's settings."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        return {
            **kept,
            "DATABASE_URL": self.postgres.url,
            "REDIS_URL": self.redis.url,
            "LOG_FORMAT": "json",
            **self.settings,
        }

    def run(self, *arguments: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Run one admin command to its end."""
        return subprocess.run(
            [sys.executable, "-m", "backend", *arguments],
            env=self.environment(), cwd=PROJECT, capture_output=True, text=True, timeout=timeout,
            check=False,
        )  # fmt: skip

    def make_key(self, name: str) -> str:
        """Make an API key."""
        made = self.run("keys", "create", name, "--json")
        assert made.returncode == 0, made.stderr
        return str(json.loads(made.stdout)["key"])

    @contextlib.contextmanager
    def serve(
        self, name: str = "app-1", shared: socket.socket | None = None, **settings: str
    ) -> Iterator[Application]:
        """
        Serve on an inherited socket until the block ends; waits until it answers.

        Args:
            name: Of the replica.
            shared: A listening socket that several replicas serve besides their own.
            settings: More of the environment.
        """
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
            descriptors = [each.fileno() for each in (shared, listener) if each is not None]
            options = [part for fd in descriptors for part in ("--fd", str(fd))]
            log = self.directory / f"{name}-{port}.log"
            with log.open("wb") as output:
                process = subprocess.Popen(
                    [sys.executable, "-m", "backend", "serve", *options],
                    env={**self.environment(), "REPLICA_NAME": name, **settings}, cwd=PROJECT,
                    pass_fds=descriptors, stdout=output, stderr=output,
                )  # fmt: skip
        application = Application(f"http://127.0.0.1:{port}", process, log)
        try:
            wait_until(application.answers, 30, f"application answers, see {log}")
            yield application
        finally:
            application.stop()


@dataclass
class Application:
    """One serving process."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path

    def client(self, key: str | None = None, timeout: float = 20.0) -> httpx.Client:
        """Return a client, with a key or without."""
        headers = {"X-API-Key": key} if key else {}
        return httpx.Client(base_url=self.url, headers=headers, timeout=timeout)

    def answers(self) -> bool:
        """Tell whether it answers at all; fail the test if it has ended."""
        assert self.process.poll() is None, self.log.read_text(errors="replace")[-3000:]
        try:
            httpx.get(f"{self.url}/version", timeout=2)
        except httpx.HTTPError:
            return False
        return True

    def is_ready(self) -> bool:
        """Tell whether it would be given traffic."""
        return httpx.get(f"{self.url}/ready", timeout=2).status_code == 200

    def stop(self, timeout: float = 40) -> int:
        """Send SIGTERM and return the exit code."""
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(timeout=timeout)
