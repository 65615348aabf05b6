"""
The product on a real Docker Engine, as the compose files run it; for tests.

One stack serves a whole test session (fixture ``compose_stack``).  A test that breaks
things makes its own :class:`ComposeStack`.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import httpx
import pytest

from console.runtimes.compose.build import RECIPES, build_images
from console.runtimes.compose.environment import prepare, read_env
from tests.servers import wait_until

PROJECT = Path(__file__).parents[1]
COMPOSE = PROJECT / "compose"
PRODUCTION = COMPOSE / "docker-compose.production.yml"
VERSION = (PROJECT / "VERSION").read_text().strip()

PORTS = (
    "HTTP_PORT", "HTTPS_PORT", "POSTGRES_PORT", "REDIS_PORT", "PROMETHEUS_PORT",
    "ALERTMANAGER_PORT", "GRAFANA_PORT", "TENSORBOARD_PORT", "APP_PORT",
)  # fmt: skip
#: Small enough to run beside others on two cores.
SMALL = {
    "LLM_WORKER_REPLICAS": "1",
    "RL_WORKER_REPLICAS": "1",
    "LLM_WORKER_CONCURRENCY": "1",
    "LOG_LEVEL": "INFO",
}


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on, all different."""
    with ExitStack() as held:
        probes = [held.enter_context(socket.create_server(("", 0))) for _ in range(count)]
        return [int(probe.getsockname()[1]) for probe in probes]


def own_environment() -> dict[str, str]:
    """Return what commands need of the environment; a shell's settings are none of it."""
    return {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}


def docker(*arguments: str, timeout: float = 60, check: bool = True) -> str:
    """Run one docker command and return its output."""
    done = subprocess.run(
        ["docker", *arguments], capture_output=True, text=True, timeout=timeout, check=False
    )
    assert not check or done.returncode == 0, f"docker {arguments}: {done.stderr[-3000:]}"
    return done.stdout.strip()


def copy_tree(place: Path) -> Path:
    """Copy what images are built from and stacks are run from, to be changed by a test."""
    place.mkdir()
    for name in ("VERSION", "pyproject.toml", "requirements-lock.txt", ".dockerignore"):
        shutil.copy2(PROJECT / name, place)
    for name in ("backend", "workers", "compose"):
        shutil.copytree(PROJECT / name, place / name, ignore=shutil.ignore_patterns("__pycache__"))
    (place / "console").mkdir()
    shutil.copy2(PROJECT / "console" / "install.py", place / "console")
    (place / ".wheelhouse").mkdir()
    for wheel in (PROJECT / ".wheelhouse").glob("*.whl"):
        (place / ".wheelhouse" / wheel.name).hardlink_to(wheel)
    return place


@dataclass
class ComposeStack:
    """
    One compose project of its own name, ports, state and volumes.

    Args:
        state: State directory; made here.
        name: Of the compose project, unique on this engine.
        variables: For the env file, over :data:`SMALL`.
        files: Compose files, the production one first.
    """

    state: Path
    name: str
    variables: Mapping[str, str] = field(default_factory=dict)
    files: tuple[Path, ...] = (PRODUCTION,)

    @property
    def directory(self) -> Path:
        """Where everything generated lies."""
        return self.state / "compose"

    @property
    def env(self) -> dict[str, str]:
        """The variables of the env file."""
        return read_env(self.directory / "env")

    def prepare(self) -> None:
        """Build what has changed and make the environment, as ``fragrance start`` does."""
        self.state.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not self.env:
            ports = dict(zip(PORTS, map(str, free_ports(len(PORTS))), strict=True))
            given = {**SMALL, **ports, **self.variables, "COMPOSE_PROJECT_NAME": self.name}
            with patch.dict(os.environ, {**own_environment(), **given}, clear=True):
                prepare(self.state, PROJECT, print)
        build_images(PROJECT, self.state, VERSION, [each.name for each in RECIPES], print)

    def command(self, *arguments: str) -> list[str]:
        """Return the command line of one compose command on this stack."""
        files = [part for file in self.files for part in ("--file", str(file))]
        env_file = str(self.directory / "env")
        return ["docker", "compose", "--env-file", env_file, *files, *arguments]

    def compose(
        self,
        *arguments: str,
        timeout: float = 120,
        check: bool = True,
        profiles: str = "*",
        environment: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run one compose command on this stack."""
        done = subprocess.run(
            self.command(*arguments), capture_output=True, text=True, timeout=timeout, check=False,
            env={**own_environment(), "COMPOSE_PROFILES": profiles, **(environment or {})},
        )  # fmt: skip
        assert not check or done.returncode == 0, f"{arguments}: {done.stderr[-4000:]}"
        return done

    def up(self, *services: str, profiles: str = "", timeout: float = 300) -> None:
        """Bring the stores, the schema and then everything (or some services) up, healthy."""
        self.compose("up", "--detach", "--wait", "postgres", "redis", timeout=timeout)
        self.compose("run", "--rm", "migrate", timeout=timeout)
        self.compose("up", "--detach", "--wait", *services, timeout=timeout, profiles=profiles)

    def close(self) -> None:
        """Remove everything this stack has on the engine."""
        if self.env:
            self.compose(
                "down", "--volumes", "--remove-orphans", "--timeout", "5", check=False, timeout=180
            )
        label = f"label=com.docker.compose.project={self.name}"
        left = docker("ps", "--all", "--quiet", "--filter", label).split()
        if left:
            docker("rm", "--force", "--volumes", *left)
        assert not docker("volume", "ls", "--quiet", "--filter", label)
        assert not docker("network", "ls", "--quiet", "--filter", label)

    def containers(self, service: str) -> list[dict[str, Any]]:
        """Return what the engine knows of a service's containers, by number."""
        ids = self.compose("ps", "--all", "--quiet", service).stdout.split()
        found: list[dict[str, Any]] = json.loads(docker("inspect", *ids)) if ids else []
        return sorted(found, key=lambda each: str(each["Name"]))

    def address(self, service: str, network: str = "data", index: int = 0) -> str:
        """Return the address of one container of a service on one of the networks."""
        networks = self.containers(service)[index]["NetworkSettings"]["Networks"]
        return str(networks[f"{self.name}_{network}"]["IPAddress"])

    def execute(self, service: str, *command: str, timeout: float = 60) -> str:
        """Run a command in the first container of a service and return its output."""
        return self.compose("exec", "-T", service, *command, timeout=timeout).stdout

    def logs(self, service: str) -> str:
        """Return what a service has said so far."""
        return self.compose("logs", "--no-log-prefix", "--no-color", service).stdout

    @property
    def url(self) -> str:
        """Where the public talks to it."""
        return f"https://localhost:{self.env['HTTPS_PORT']}"

    @property
    def plain_url(self) -> str:
        """Where it is sent on to TLS."""
        return f"http://localhost:{self.env['HTTP_PORT']}"

    def client(self, key: str | None = None, timeout: float = 20) -> httpx.Client:
        """Return a client that trusts this stack's own certificate and nothing else."""
        trusted = ssl.create_default_context(cafile=self.directory / "nginx/tls/fullchain.pem")
        headers = {"X-API-Key": key} if key else {}
        return httpx.Client(base_url=self.url, headers=headers, verify=trusted, timeout=timeout)

    def make_key(self, name: str) -> str:
        """Make an API key with the product's own command."""
        made = self.execute("app", "python", "-m", "backend", "keys", "create", name, "--json")
        return str(json.loads(made)["key"])

    def finished_job(self, client: httpx.Client, job_id: str, seconds: float = 90) -> Any:
        """Wait until a job has ended and return it."""
        seen: dict[str, Any] = {}

        def ended() -> bool:
            answer = client.get(f"/v1/jobs/{job_id}")
            assert answer.status_code == 200, answer.text
            seen.update(answer.json())
            return seen["state"] in {"succeeded", "failed", "cancelled"}

        wait_until(ended, seconds, f"job {job_id} ends")
        return seen


@pytest.fixture(scope="session")
def compose_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComposeStack]:
    """Give the core of the production stack, healthy, once for the session."""
    stack = ComposeStack(
        tmp_path_factory.mktemp("compose") / "state", f"fragrance-test-{os.getpid()}"
    )
    try:
        stack.prepare()
        stack.up()
        yield stack
    finally:
        stack.close()
