"""An engine that dies, hangs and comes back under a console that watches it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from console.bootstrap import build_engine
from console.domain.readings import SourceState, SourceStatus
from console.domain.services import Health, ReplicaState
from console.domain.snapshot import Snapshot
from console.engine import Engine
from console.errors import Unreachable
from console.settings import load_settings
from console.sources.runtime_state import RuntimeSource
from tests.stack import wait_for

pytestmark = [
    pytest.mark.docker,
    pytest.mark.slow,
    # The SDK leaves a socket to the garbage collector whenever a connection fails.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

IMAGE = "fragrance-base-python:local"
COMPOSE = f"""
name: fault
services:
  web:
    image: {IMAGE}
    command: [sleep, infinity]
    init: true
    network_mode: none
    restart: unless-stopped
    deploy: {{replicas: 2}}
    healthcheck: {{test: [CMD, "true"], interval: 1s}}
"""


class SecondEngine:
    """A Docker Engine of the test's own, beside the machine's."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.host = f"unix://{root / 's'}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        (self.root / "pid").unlink(missing_ok=True)
        with (self.root / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    # Without a bridge it takes docker0 away: from a network of its own.
                    *("unshare", "--net"),
                    *("dockerd", "--host", self.host, "--pidfile", str(self.root / "pid")),
                    *("--data-root", str(self.root / "d"), "--exec-root", str(self.root / "x")),
                    *("--bridge", "none", "--iptables=false", "--ip6tables=false"),
                ],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        wait_for(self._answers, 60, "the second engine answers")

    def _answers(self) -> bool:
        return self.docker("version", check=False).returncode == 0

    def docker(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            ["docker", "--host", self.host, *arguments],
            capture_output=True,
            timeout=120,
            check=check,
        )

    def signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.terminate()
            self._process.wait(60)
            self._process = None

    def close(self) -> None:
        if self._process is not None:
            with suppress(subprocess.SubprocessError, OSError):
                identities = self.docker("ps", "-aq").stdout.decode().split()
                if identities:
                    self.docker("rm", "-f", *identities)
        self.stop()
        # It mounts its data directory onto itself.
        subprocess.run(["umount", str(self.root / "d")], check=False, capture_output=True)


@pytest.fixture(scope="module")
def second() -> Iterator[SecondEngine]:
    root = Path(tempfile.mkdtemp(prefix="fe-"))  # short: the path of a socket is
    engine = SecondEngine(root)
    try:
        engine.start()
        archive = root / "image.tar"
        subprocess.run(["docker", "save", "-o", str(archive), IMAGE], check=True, timeout=120)
        engine.docker("load", "-i", str(archive))
        yield engine
    finally:
        engine.close()
        shutil.rmtree(root, ignore_errors=True)


@pytest.fixture
def console(
    second: SecondEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Engine]:
    monkeypatch.setenv("DOCKER_HOST", second.host)
    file = tmp_path / "compose.yaml"
    file.write_text(COMPOSE)
    up = ["docker", "compose", "--file", str(file), "up", "--detach", "--force-recreate"]
    subprocess.run(up, check=True, capture_output=True, timeout=120)
    engine = build_engine(load_settings(file=str(file), environ={}))
    engine.watch()
    seen(engine, healthy, "both are healthy")
    yield engine
    engine.close()


def seen(engine: Engine, what: Callable[[Snapshot], bool], message: str) -> Snapshot:
    found: list[Snapshot] = []

    def look() -> bool:
        found[:] = [engine.snapshot()]
        return what(found[0])

    wait_for(look, 40, message)
    return found[0]


def healthy(snapshot: Snapshot) -> bool:
    web = snapshot.service("web")
    return web is not None and web.ready == 2 and runtime_of(snapshot).state is SourceState.FRESH


def runtime_of(snapshot: Snapshot) -> SourceStatus:
    return next(s for s in snapshot.sources if s.name == "runtime")


def test_an_engine_that_ends_is_said_to_and_comes_back_by_itself(
    second: SecondEngine, console: Engine
) -> None:
    second.stop()
    gone = seen(
        console,
        lambda s: runtime_of(s).state is SourceState.FAILED,
        "the engine is said to be gone",
    )
    assert "the Docker Engine" in (runtime_of(gone).error or "")
    web = gone.service("web")
    assert web is not None
    assert [r.name for r in web.replicas] == ["web-1", "web-2"], "the last picture is kept"
    with pytest.raises(Unreachable):
        console.runtime.topology()
    blind = seen(
        console,
        lambda s: all(r.health is Health.UNKNOWN for v in s.services for r in v.replicas),
        "nothing is called healthy that cannot be seen",
    )
    assert (runtime_of(blind).age_seconds or 0) > 1

    second.start()

    back = seen(console, healthy, "it is seen again, by the same console")
    web = back.service("web")
    assert web is not None
    assert all(r.state is ReplicaState.RUNNING for r in web.replicas)


def test_an_engine_that_hangs_keeps_nobody_waiting(second: SecondEngine, console: Engine) -> None:
    second.signal(signal.SIGSTOP)
    try:
        hung = seen(
            console,
            lambda s: runtime_of(s).state is SourceState.FAILED,
            "the engine is said to hang",
        )
        assert "does not answer" in (runtime_of(hung).error or "")
        began = time.monotonic()
        console.snapshot()
        assert time.monotonic() - began < 3, "it is still stopped, and will not answer"
    finally:
        second.signal(signal.SIGCONT)

    seen(console, healthy, "it is seen again")


def test_a_death_is_seen_before_the_next_look(
    second: SecondEngine, console: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RuntimeSource, "interval_seconds", 600.0)
    time.sleep(1.5)  # the last look at the old interval
    web = console.snapshot().service("web")
    assert web is not None
    pid = web.replicas[1].pid
    assert pid is not None
    console.runtime.wait_for_change(0.1)
    os.kill(pid, signal.SIGKILL)

    told = seen(console, lambda s: bool(s.replica("web-2") and s.replica("web-2").restarts), "told")  # type: ignore[union-attr]
    replica = told.replica("web-2")
    assert replica is not None
    assert "killed by SIGKILL" in replica.reason
