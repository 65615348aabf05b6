"""The runtimes that the contract suite is asked of, each with a small stack."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from console.capabilities import (
    HasMaintenance,
    RemovesReplica,
    RestartsReplica,
    StartsReplicas,
    StartsStack,
)
from console.clock import SystemClock
from console.domain.services import ReplicaFact, Role
from console.ports import ExecResult, Runtime
from console.runtimes.compose import ComposeRuntime
from console.runtimes.embedded import EmbeddedRuntime
from console.runtimes.embedded.blueprint import Progress, Site
from console.runtimes.embedded.layout import Layout
from console.runtimes.embedded.specs import Program, ServiceDefinition
from console.settings import Settings
from tests.fakes.runtime import FakeRuntime
from tests.servers import free_port
from tests.stack import wait_for


class FullRuntime(Runtime, StartsReplicas, RemovesReplica, RestartsReplica, StartsStack, Protocol):
    """A runtime with every capability."""


@dataclass(frozen=True)
class RuntimeUnderTest:
    """A runtime, and how a test makes things happen to it."""

    runtime: FullRuntime
    kill: Callable[[str], None]
    kill_supervision: Callable[[], None]
    #: Let a replica write a line (replica, text, level); returns a moment not before it.
    say: Callable[[str, str, str], datetime]
    expect_exec: Callable[[ExecResult], None]
    remove: Callable[[], None] = lambda: None
    python: str = "python"
    state: Path = Path()


#: Serves nothing, but ends at once when asked to, as servers do.
SERVE = (
    "import os, signal, sys\n"
    "signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))\n"
    "print('ready', flush=True)\n"
    "while True:\n"
    "    signal.pause()\n"
)


TOY = """
services:
  web:
    image: fragrance-base-python:local
    command:
      - python3
      - -c
      - |
        import http.server, signal, sys
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        print("ready", flush=True)
        http.server.test(http.server.SimpleHTTPRequestHandler, port=8000)
    restart: unless-stopped
    stop_grace_period: 5s
    deploy: {replicas: 2}
    environment: {GREETING: "100 $$ for ${WHOM:-all}", API_TOKEN: hush-hush}
    labels:
      console.role: app
      console.health.url: "http://{address}:8000/"
  job:
    image: fragrance-base-python:local
    command: [sh, -c, "trap 'exit 0' TERM; while :; do sleep 0.2; done"]
    restart: unless-stopped
    stop_grace_period: 5s
    labels:
      console.role: worker
"""


#: Of every service of the small stacks; one of them is nobody's business.
VARIABLES: Mapping[str, str] = {"GREETING": "100 $ for all", "API_TOKEN": "hush-hush"}


class SmallBlueprint:
    """Two services of tiny processes; ``web`` shares a socket as the application does."""

    release = "v0.0.1"
    free_bytes_needed = 1

    def __init__(self, programs: Mapping[str, str] | None = None) -> None:
        self.preferred_ports: Mapping[str, int] = {"web": free_port()}
        self.programs = programs or {}

    def endpoints(self, site: Site) -> dict[str, str]:
        return {"api": f"http://127.0.0.1:{site.ports['web']}"}

    def services(self, site: Site) -> tuple[ServiceDefinition, ...]:
        return (
            ServiceDefinition(
                name="web",
                role=Role.APP,
                replicas=2,
                labels={
                    "console.role": "app",
                    "console.health.url": "http://127.0.0.1:{port}/ready",
                },
                program=self.program(
                    "web", "{shared_fd}", "{private_fd}", port=site.ports["web"], grace=5
                ),
            ),
            ServiceDefinition(
                name="job",
                role=Role.WORKER,
                labels={"console.role": "worker"},
                program=self.program("job", grace=5),
                settings=("LOG_LEVEL",),
            ),
        )

    def program(
        self, name: str, *arguments: str, port: int | None = None, grace: float = 5
    ) -> Program:
        code = self.programs.get(name, SERVE)
        return Program(
            command=(sys.executable, "-S", "-c", code, *arguments),
            environment={"PATH": os.environ["PATH"], **VARIABLES},
            directory="/",
            grace_seconds=grace,
            shared_port=port,
            private_socket=port is not None,
        )

    def prepare(self, site: Site, progress: Progress) -> None:
        progress("prepared")

    def complete(self, site: Site, progress: Progress) -> None:
        progress("completed")


def embedded(state: Path, blueprint: SmallBlueprint | None = None) -> RuntimeUnderTest:
    """Return the real runtime on tiny processes, without an agent."""
    layout = Layout(state)
    runtime = EmbeddedRuntime(
        Settings(project=state, state=state),
        SystemClock(),
        blueprint or SmallBlueprint(),
        agent=False,
    )

    def kill(replica: str) -> None:
        for service in runtime.topology().services:
            for fact in service.replicas:
                if fact.name == replica and fact.pid is not None:
                    os.kill(fact.pid, signal.SIGKILL)

    def kill_supervision() -> None:
        os.kill(int(layout.supervisor_lock.read_text()), signal.SIGKILL)

    def say(replica: str, text: str, level: str) -> datetime:
        at = datetime.now(UTC)
        with layout.log(replica).open("a") as file:
            file.write(
                f'{{"timestamp": "{at.isoformat()}", "level": "{level}", "event": "{text}"}}\n'
            )
        return at

    return RuntimeUnderTest(runtime, kill, kill_supervision, say, lambda _: None, state=state)


def compose(state: Path, text: str = TOY) -> RuntimeUnderTest:
    """Return the real runtime on tiny containers of a project of their own, without an agent."""
    directory = state.parent / "project"
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / "compose.yaml"
    name = f"fragrance-test-{os.getpid()}-{secrets.token_hex(3)}"
    file.write_text(f"name: {name}\n{text}", encoding="utf-8")
    runtime = ComposeRuntime(
        Settings(project=directory, state=state, file=file), SystemClock(), agent=False
    )

    def replica(wanted: str) -> ReplicaFact:
        services = runtime.topology().services
        return next(r for s in services for r in s.replicas if r.name == wanted)

    def kill(wanted: str) -> None:
        pid = replica(wanted).pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)

    def kill_supervision() -> None:
        identities = [r.id for s in runtime.topology().services for r in s.replicas]
        docker("kill", *identities)

    def say(wanted: str, text: str, level: str) -> datetime:
        line = f'{{"level": "{level}", "event": "{text}"}}'
        docker("exec", replica(wanted).id, "sh", "-c", f"echo '{line}' >/proc/1/fd/1")
        return datetime.now(UTC)

    def remove() -> None:
        docker("compose", "--project-name", name, "down", "--volumes", "--timeout", "1")

    return RuntimeUnderTest(
        runtime, kill, kill_supervision, say, lambda _: None, remove, "python3", state
    )


def docker(*arguments: str) -> str:
    """Run one command of the docker CLI and return what it says."""
    done = subprocess.run(
        ["docker", *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def fake(state: Path) -> RuntimeUnderTest:
    """Return the fake."""
    del state
    runtime = FakeRuntime((("web", Role.APP, 2), ("job", Role.WORKER, 1)), up=False)

    def kill(replica: str) -> None:
        runtime.crash(replica)
        runtime.recover(replica)

    def expect_exec(result: ExecResult) -> None:
        runtime.default_answer = result

    def say(replica: str, text: str, level: str) -> datetime:
        at = datetime.now(UTC)
        runtime.say(replica, text, level=level, at=at)
        return at

    return RuntimeUnderTest(runtime, kill, runtime.kill_supervision, say, expect_exec)


def show_and_hide_the_page(runtime: Runtime) -> None:
    """Ask of a runtime whose stack has a maintenance page what every such one must do."""
    assert isinstance(runtime, HasMaintenance)
    assert runtime.has_maintenance()

    def shown() -> bool | None:
        page = runtime.topology().maintenance
        assert page is not None
        return page.shown if (page.since is not None) is page.shown else None

    assert "on" in runtime.maintenance_command(on=True)
    wait_for(lambda: shown() is False, 15, "the page is not shown")
    runtime.set_maintenance(on=True)
    wait_for(shown, 15, "the page is shown")
    since = runtime.topology().maintenance
    runtime.set_maintenance(on=True)
    assert runtime.topology().maintenance == since, "still since the first time"
    runtime.set_maintenance(on=False)
    runtime.set_maintenance(on=False)
    wait_for(lambda: shown() is False, 15, "the page is gone")
