"""
A light stack that is real: the embedded supervisor, the collector, runners of their own.

Its workers are a few lines that write heartbeats into files and can be drained by
the same command as the product's.  ``python -m tests.faults.toy_stack …`` is the
whole command line on it, and without a command the console.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from console.cli.main import SHOW_CONSOLE, main
from console.clock import SystemClock
from console.collector import Collector
from console.domain.readings import BrokerReading, QueueReading, Reading, WorkerHeartbeat
from console.domain.services import Role, Topology
from console.engine import Engine
from console.journal.history import HistoryStore
from console.journal.picture import PictureFile
from console.journal.store import JournalStore
from console.operations.actor import current_actor
from console.operations.launch import start_detached
from console.operations.table import OPERATIONS
from console.ports import Source
from console.runtimes.embedded import EmbeddedRuntime
from console.runtimes.embedded.blueprint import Progress, Site
from console.runtimes.embedded.specs import Program, ServiceDefinition
from console.settings import Settings
from console.sources.host import HostSource
from console.sources.journal_state import JournalSource
from console.sources.runtime_state import RuntimeSource
from screens.app import open_console
from tests.servers import wait_until

HEARTBEAT_SECONDS = 3.0

WORKER = """
import json, os, signal, sys, time
verb, name = sys.argv[1:3]
drained, beat = name + ".drained", name + ".beat"
if verb == "drain":
    open(drained, "w").close()
elif verb == "undrain":
    if os.path.exists(drained):
        os.unlink(drained)
else:
    going = True
    def stop(*_):
        global going
        going = False
    signal.signal(signal.SIGTERM, stop)
    if os.path.exists(drained):
        os.unlink(drained)
    while going:
        with open(beat + ".new", "w") as file:
            json.dump({"at": time.time(), "accepting": not os.path.exists(drained)}, file)
        os.replace(beat + ".new", beat)
        time.sleep(0.1)
    os.unlink(beat)
"""


class ToyBlueprint:
    """Two services: ``app`` that nobody probes, and ``worker-llm`` with heartbeats."""

    release = "v0.0.1"
    free_bytes_needed = 1
    preferred_ports: Mapping[str, int] = {}

    def endpoints(self, site: Site) -> dict[str, str]:
        return {}

    def services(self, site: Site) -> tuple[ServiceDefinition, ...]:
        directory = str(_directory(site.layout.root.parent))
        return (
            ServiceDefinition(
                name="app",
                role=Role.APP,
                replicas=2,
                labels={"console.role": "app", "console.drain": "http"},
                program=Program(command=("sleep", "86400"), directory=directory, grace_seconds=5),
                settings=("CACHE_TTL",),
            ),
            ServiceDefinition(
                name="worker-llm",
                role=Role.WORKER,
                labels={
                    "console.role": "worker",
                    "console.queue": "llm",
                    "console.drain": "celery",
                },
                program=Program(
                    command=(sys.executable, "-S", "-m", "workers", "serve", "{replica}"),
                    directory=directory,
                    grace_seconds=5,
                ),
                settings=("CACHE_TTL", "LLM_MAX_BATCH_SIZE"),
            ),
        )

    def prepare(self, site: Site, progress: Progress) -> None:
        package = _directory(site.layout.root.parent) / "workers"
        package.mkdir(parents=True, exist_ok=True)
        (package / "__init__.py").touch()  # else the product's own would be found
        (package / "__main__.py").write_text(WORKER)

    def complete(self, site: Site, progress: Progress) -> None:
        progress("completed")


class ToyBroker:
    """Reads the heartbeats."""

    name = "broker"
    interval_seconds = 0.5

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def read(self, topology: Topology | None) -> Reading:
        now = datetime.now(UTC)
        beats = []
        for path in self._directory.glob("*.beat"):
            raw = json.loads(path.read_text())
            at = datetime.fromtimestamp(raw["at"], UTC)
            if (now - at).total_seconds() < HEARTBEAT_SECONDS:
                beats.append(
                    WorkerHeartbeat(path.stem, "llm", at, 0, 0, 0, accepting=raw["accepting"])
                )
        return BrokerReading(self._queues(), tuple(beats), None, None)

    def _queues(self) -> tuple[QueueReading, ...]:
        """Return the queue that a test says has piled up, if it does."""
        try:
            depth = int((self._directory / "depth").read_text())
        except OSError:
            return ()
        return (QueueReading("llm", depth, 0, None, None, None),)


def _directory(state: Path) -> Path:
    return state / "toy"


def build_toy(settings: Settings) -> Engine:
    """Build the engine of the toy stack in ``settings.state``."""
    clock = SystemClock()
    runtime = EmbeddedRuntime(settings, clock, ToyBlueprint(), agent=False)
    journal = JournalStore(settings.state, clock)
    sources: list[Source] = [
        RuntimeSource(runtime),
        ToyBroker(_directory(settings.state)),
        HostSource(settings.state),
        JournalSource(journal),
    ]
    return Engine(
        settings=settings,
        runtime=runtime,
        collector=Collector(sources, settings, runtime, clock),
        pictures=PictureFile(settings.state),
        journal=journal,
        history=HistoryStore(settings.state, clock),
        planners=OPERATIONS,
        launch_runner=_launcher(settings),
        actor=current_actor(),
        clock=clock,
    )


@contextmanager
def running_toy(state: Path) -> Iterator[Engine]:
    """Run a toy stack on *state* while the block lasts; it begins when the workers registered."""
    engine = build_toy(Settings(project=state.parent, state=state))
    assert isinstance(engine.runtime, EmbeddedRuntime)
    engine.runtime.bring_up(lambda _: None)
    try:
        wait_until(
            lambda: all(r.accepting for r in engine.collector.collect().services[1].replicas),
            60,
            "the workers did not register",
        )
        yield engine
    finally:
        take_down(engine)


def take_down(engine: Engine) -> None:
    """End every process of a toy stack, within half a minute."""
    assert isinstance(engine.runtime, EmbeddedRuntime)
    engine.runtime.take_down(lambda _: None, 30)


def _launcher(settings: Settings) -> Callable[[str, str], None]:
    def launch(operation_id: str, mode: str) -> None:
        command = [sys.executable, "-m", "tests.faults.toy_stack", "operations", "_run"]
        command += [operation_id, "--mode", mode, "--state", str(settings.state)]
        start_detached(command, settings.state / "runner.log", operation_id)

    return launch


def run() -> int:
    """Run one command line, or show the console, as :mod:`console.__main__` does."""
    code, settings = main(sys.argv[1:], build_toy)
    return code if settings is None or code != SHOW_CONSOLE else open_console(build_toy(settings))


if __name__ == "__main__":
    sys.exit(run())
