"""The shop on a real engine, brought up as its author does, and watched by the console."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.contract.runtimes import docker
from tests.foreign.glass import Glass
from tests.servers import free_port
from tests.stack import PROJECT, Stack

SHOP = Path(__file__).parent / "shop"
SERVICES = {"web", "worker", "db", "cache", "proxy"}
#: Settings of a shell or of another test; none of them is this project's.
_NOT_OURS = re.compile(r"FRAGRANCE_|COMPOSE_|DOCKER_|APP_ENV$|NO_COLOR$|SSH_CONNECTION$|TERM$")


@dataclass
class Shop(Stack):
    """
    One copy of the shop; its state is where the console puts it by itself.

    Args:
        state: ``.fragrance`` in a directory that is made here and names the project.
    """

    runtime: str = "compose"
    port: int = field(default_factory=free_port)
    said: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        shutil.copytree(SHOP, self.directory)
        self.secrets = [secrets.token_hex(16), secrets.token_hex(16)]
        values = (self.directory / "env.example").read_text()
        values = values.replace("SHOP_PORT=8088", f"SHOP_PORT={self.port}")
        values = values.replace("change-me-too", self.secrets[0])
        (self.directory / ".env").write_text(values.replace("change-me", self.secrets[1]))

    @property
    def directory(self) -> Path:
        """Directory of the compose file."""
        return self.state.parent

    @property
    def file(self) -> Path:
        """The compose file."""
        return self.directory / "compose.yaml"

    @property
    def name(self) -> str:
        """Name of the project: that of its directory, as compose has it."""
        return self.directory.name

    def command(self, *arguments: str) -> list[str]:
        """Return the command line as the handbook has it: only the file is named."""
        return [*super().command(*arguments), "--file", str(self.file)]

    def environment(self, **extra: str) -> dict[str, str]:
        """Return an environment that names neither stack nor state."""
        kept = {name: value for name, value in os.environ.items() if not _NOT_OURS.match(name)}
        return kept | self.environ | extra

    def fragrance(
        self, *arguments: str, timeout: float = 60, **extra: str
    ) -> subprocess.CompletedProcess[str]:
        """Run one command to its end; what it says is kept."""
        done = super().fragrance(*arguments, timeout=timeout, **extra)
        self.said += [done.stdout, done.stderr]
        assert "Traceback" not in done.stderr, done.stderr
        return done

    @contextmanager
    def console(self) -> Iterator[Glass]:
        """Open the console in a terminal of its own."""
        with Glass(self.command(), self.environment(), PROJECT) as glass:
            try:
                yield glass
            finally:
                self.said.append(glass.everything)

    def compose(self, *arguments: str, timeout: float = 120) -> str:
        """Run a compose command as the author would."""
        done = subprocess.run(
            ["docker", "compose", *arguments], cwd=self.directory, env=self.environment(),
            capture_output=True, text=True, timeout=timeout, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    def containers(self, service: str) -> list[dict[str, Any]]:
        """Return what docker itself says of a service's containers."""
        ids = self.compose("ps", "--all", "--quiet", service).split()
        found: list[dict[str, Any]] = json.loads(docker("inspect", *ids)) if ids else []
        return sorted(found, key=lambda each: str(each["Name"]))

    def running(self, service: str) -> list[str]:
        """Return the names of a service's running containers."""
        return [each["Name"][1:] for each in self.containers(service) if each["State"]["Running"]]

    def remove(self) -> None:
        """Take everything away."""
        try:
            self.fragrance("stop", "--yes", timeout=120)
        finally:
            self.compose("--profile", "*", "down", "--volumes", "--timeout", "1")
