"""The runtimes that the contract suite is asked of, each with a small stack."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from console.clock import SystemClock
from console.domain.services import Role
from console.ports import (
    ExecResult,
    RemovesReplica,
    RestartsReplica,
    Runtime,
    StartsReplicas,
    StartsStack,
)
from console.runtimes.embedded import EmbeddedRuntime
from console.runtimes.embedded.blueprint import Progress, Site
from console.runtimes.embedded.layout import Layout
from console.runtimes.embedded.specs import Program, ServiceDefinition
from console.settings import Settings
from tests.fakes.runtime import FakeRuntime
from tests.servers import free_port


class FullRuntime(Runtime, StartsReplicas, RemovesReplica, RestartsReplica, StartsStack, Protocol):
    """A runtime with every capability."""


@dataclass(frozen=True)
class RuntimeUnderTest:
    """A runtime, and how a test makes things happen to it."""

    runtime: FullRuntime
    kill: Callable[[str], None]
    kill_supervision: Callable[[], None]
    say: Callable[[str, str, str, datetime], None]
    expect_exec: Callable[[ExecResult], None]


#: Serves nothing, but ends at once when asked to, as servers do.
SERVE = (
    "import os, signal, sys\n"
    "signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))\n"
    "print('ready', flush=True)\n"
    "while True:\n"
    "    signal.pause()\n"
)


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
            ),
        )

    def program(
        self, name: str, *arguments: str, port: int | None = None, grace: float = 5
    ) -> Program:
        code = self.programs.get(name, SERVE)
        return Program(
            command=(sys.executable, "-S", "-c", code, *arguments),
            environment={"PATH": os.environ["PATH"]},
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

    def say(replica: str, text: str, level: str, at: datetime) -> None:
        with layout.log(replica).open("a") as file:
            file.write(
                f'{{"timestamp": "{at.isoformat()}", "level": "{level}", "event": "{text}"}}\n'
            )

    return RuntimeUnderTest(runtime, kill, kill_supervision, say, lambda _: None)


def fake(state: Path) -> RuntimeUnderTest:
    """Return the fake."""
    del state
    runtime = FakeRuntime((("web", Role.APP, 2), ("job", Role.WORKER, 1)), up=False)

    def kill(replica: str) -> None:
        runtime.crash(replica)
        runtime.recover(replica)

    def expect_exec(result: ExecResult) -> None:
        runtime.default_answer = result

    def say(replica: str, text: str, level: str, at: datetime) -> None:
        runtime.say(replica, text, level=level, at=at)

    return RuntimeUnderTest(runtime, kill, runtime.kill_supervision, say, expect_exec)
