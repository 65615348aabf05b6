"""The real stack as a test drives it: by the command line and over HTTP."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import httpx

from console.errors import Unreachable

PROJECT = Path(__file__).resolve().parent.parent
T = TypeVar("T")


def wait_for(
    what: Callable[[], T | None], timeout_seconds: float, message: str, every: float = 0.1
) -> T:
    """
    Poll *what* until it returns something true and return that.

    Somebody who does not answer in time has not answered yet.

    Raises:
        AssertionError: When the time is up, with *message* and the last value.
    """
    deadline = time.monotonic() + timeout_seconds
    while True:
        value: T | str | None
        try:
            value = what()
        except Unreachable as silence:
            value = str(silence)
        else:
            if value:
                return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{message} within {timeout_seconds:g} s; last: {value!r}")
        time.sleep(every)


@dataclass
class Stack:
    """
    One stack in a state directory of its own.

    Args:
        state: ``--state``.
        environ: Variables on top of the test's own.
        runtime: What ``start`` is told to run it on, whatever else is on the machine.
    """

    state: Path
    environ: dict[str, str] = field(default_factory=dict)
    runtime: str = "embedded"

    def command(self, *arguments: str) -> list[str]:
        """Return the command line; the launcher's work (installing) is done already."""
        chosen = []
        if arguments[:1] == ("start",) and "--runtime" not in arguments:
            chosen = ["--runtime", self.runtime]
        return [sys.executable, "-m", "console", *arguments, *chosen]

    def environment(self, **extra: str) -> dict[str, str]:
        """Return the environment the commands run in."""
        keep = {k: v for k, v in os.environ.items() if k not in {"APP_ENV", "FRAGRANCE_STATE"}}
        return keep | {"FRAGRANCE_STATE": str(self.state)} | self.environ | extra

    def fragrance(
        self, *arguments: str, timeout: float = 60, **extra: str
    ) -> subprocess.CompletedProcess[str]:
        """Run one command to its end, without a terminal."""
        return subprocess.run(
            self.command(*arguments),
            cwd=PROJECT,
            env=self.environment(**extra),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def json(self, *arguments: str, timeout: float = 60) -> Any:
        """Run a reading command with ``--json`` and return what it printed."""
        done = self.fragrance(*arguments, "--json", timeout=timeout)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def status(self) -> dict[str, Any]:
        """Return ``status --json``."""
        value: dict[str, Any] = self.json("status")
        return value

    def service(self, name: str) -> dict[str, Any]:
        """Return one service of ``status --json``."""
        return next(s for s in self.status()["services"] if s["name"] == name)

    def replicas(self, name: str) -> list[str]:
        """Return the names of the replicas of one service."""
        return sorted(r["name"] for r in self.service(name)["replicas"])

    def wait_ready(self, name: str, count: int, timeout_seconds: float = 60) -> None:
        """Wait until exactly *count* replicas are wanted and ready."""
        wait_for(
            lambda: (lambda s: s["ready"] == s["desired"] == count)(self.service(name)),
            timeout_seconds,
            f"{name} is not at {count} ready replicas",
        )

    @cached_property
    def key(self) -> str:
        """An API key of the product, made once."""
        value: str = self.json("keys", "create", f"test-{os.getpid()}-{time.time_ns()}")["key"]
        return value

    @cached_property
    def api(self) -> httpx.Client:
        """An HTTP client with the key."""
        return httpx.Client(
            base_url=self.status()["endpoints"]["api"],
            headers={"X-API-Key": self.key},
            timeout=30,
        )

    def close(self) -> None:
        """Close the client's connections, if any were opened."""
        if "api" in self.__dict__:
            self.api.close()
            del self.__dict__["api"]

    def post_brief(self, text: str, **fields: object) -> str:
        """Post a brief and return its job id."""
        answer = self.api.post("/v1/briefs", json={"text": text, **fields})
        assert answer.status_code == 202, answer.text
        job: str = answer.json()["job_id"]
        return job

    def job(self, job_id: str) -> dict[str, Any]:
        """Return a job."""
        value: dict[str, Any] = self.api.get(f"/v1/jobs/{job_id}").raise_for_status().json()
        return value

    def wait_job(self, job_id: str, timeout_seconds: float = 60) -> dict[str, Any]:
        """Wait until a job is finished and return it."""
        return wait_for(
            lambda: (lambda j: j if j["state"] in {"succeeded", "failed", "cancelled"} else None)(
                self.job(job_id)
            ),
            timeout_seconds,
            f"job {job_id} is not finished",
            every=0.2,
        )

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        """Ask the product's database directly, as proof that cannot be talked away."""
        import psycopg

        secret = (self.state / "embedded" / "secrets" / "database_url").read_text().strip()
        with psycopg.connect(secret.replace("+psycopg", ""), connect_timeout=5) as connection:
            return connection.execute(statement.encode()).fetchall()
