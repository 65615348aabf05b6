"""What the console costs the Docker daemon, and what it tells of changes made behind its back."""

from __future__ import annotations

import contextlib
import os
import secrets
import shlex
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from console.runtimes.compose.wire import DEFAULT_HOST
from tests.contract.runtimes import TOY, compose, docker
from tests.interface.in_terminal import InTerminal
from tests.servers import wait_until
from tests.stack import wait_for
from tests.toy_compose import FileStack

pytestmark = pytest.mark.docker


class CountingSocket:
    """A socket before the daemon's that counts the requests which pass."""

    def __init__(self, path: Path) -> None:
        self.host = f"unix://{path}"
        self.requests = 0
        self._guard = threading.Lock()
        self._server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._server.bind(str(path))
        self._server.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._server.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._server.accept()
                with self._guard:
                    self.requests += 1  # a knock without a word costs the daemon too
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as daemon:
            real = os.environ.get("DOCKER_HOST") or DEFAULT_HOST
            daemon.connect(real.removeprefix("unix://"))
            back = threading.Thread(target=self._pass, args=(daemon, client, False), daemon=True)
            back.start()
            self._pass(client, daemon, True)
            back.join()

    def _pass(self, source: socket.socket, sink: socket.socket, counted: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if counted:
                    with self._guard:
                        self.requests += data.count(b" HTTP/1.")
                sink.sendall(data)
        for side in (source, sink):
            with contextlib.suppress(OSError):
                side.shutdown(socket.SHUT_RDWR if sink is side else socket.SHUT_RD)


@contextmanager
def counting(path: Path) -> Iterator[CountingSocket]:
    made = CountingSocket(path)
    try:
        yield made
    finally:
        made.close()


@pytest.mark.timeout(240)
def test_five_consoles_cost_the_daemon_no_more_than_one(tmp_path: Path) -> None:
    name = f"fragrance-test-{os.getpid()}-{secrets.token_hex(3)}"
    file = tmp_path / "compose.yaml"
    file.write_text(f"name: {name}\n{TOY}")
    # A socket's path is short by law: the directory of a test may be too deep for it.
    with ExitStack() as stack, tempfile_directory() as short:
        of_agent = stack.enter_context(counting(short / "agent"))
        of_consoles = stack.enter_context(counting(short / "consoles"))
        project = FileStack(tmp_path / "state", {"DOCKER_HOST": of_agent.host}, file=file)
        try:
            started = project.fragrance("start", "--detach", timeout=120)
            assert started.returncode == 0, started.stderr
            wait_until(lambda: agent_runs(project), 60)
            shown: list[InTerminal] = []

            def opened() -> InTerminal:
                console = stack.enter_context(
                    InTerminal(
                        size=(100, 30),
                        environ=project.environment(DOCKER_HOST=of_consoles.host, TERM="xterm"),
                        command=project.command()[:-1],
                        scene=str(file),
                    )
                )
                console.until(b"web", 60)
                shown.append(console)
                return console

            opened()
            with_one = of_consoles.requests
            for _ in range(4):
                opened()
            before = of_agent.requests
            # Until the agent has asked again a few times, everybody looks on.
            wait_until(lambda: drained(shown) and of_agent.requests >= before + 3, 60)
            assert of_consoles.requests == with_one == 0

            # Why? is asked once, and not at every picture.
            shown[0].type(b"i")
            shown[0].until(b"reached at", 30)
            asked = of_consoles.requests
            assert 0 < asked <= 20
            before = of_agent.requests
            wait_until(lambda: drained(shown) and of_agent.requests >= before + 3, 60)
            assert of_consoles.requests == asked
        finally:
            project.fragrance("stop", "--yes", timeout=60)
            docker("compose", "--project-name", name, "down", "--volumes", "--timeout", "1")


@contextmanager
def tempfile_directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="fr-") as directory:
        yield Path(directory)


def agent_runs(project: FileStack) -> bool:
    said = project.fragrance("status", "--json").stdout
    return '"agent": "running"' in said or '"agent":"running"' in said


def drained(consoles: list[InTerminal]) -> bool:
    """Read what the consoles have written, so that none of them is held up; True."""
    for console in consoles:
        console.read(0.02)
    return True


@pytest.mark.timeout(240)
def test_what_a_person_changes_behind_the_console_is_told_and_mended(tmp_path: Path) -> None:
    image = f"fragrance-drift-{os.getpid()}-{secrets.token_hex(3)}:local"
    docker("tag", "fragrance-base-python:local", image)
    made = compose(tmp_path / "state", TOY.replace("fragrance-base-python:local", image))
    runtime, file = made.runtime, tmp_path / "project" / "compose.yaml"

    def drift() -> list[tuple[str, str]]:
        web = runtime.topology().service("web")
        assert web is not None
        return [(one.what, one.mend) for one in web.drift]

    def told(words: str) -> str:
        wait_for(lambda: any(words in what for what, _ in drift()), 30, f"{words}: {drift()}")
        return next(mend for what, mend in drift() if words in what)

    def mended(command: str) -> None:
        done = subprocess.run(
            shlex.split(command), cwd=file.parent, capture_output=True, text=True, timeout=60,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        wait_for(lambda: drift() == [], 30, "it drifts no more")

    try:
        runtime.bring_up(lambda _: None)
        wait_for(lambda: drift() == [], 30, "what was just made drifts")

        file.write_text(file.read_text().replace("WHOM:-all", "WHOM:-nobody"))
        mend = told("web-1, web-2: made with another environment GREETING")
        assert "GREETING is 100 $ for all, the file says 100 $ for nobody" in (
            runtime.describe("web").drift[0].what  # type: ignore[attr-defined]
        )
        mended(mend)

        runtime.start_replica("web", "web-3", {})
        wait_for(lambda: drift() == [], 30, "what we start drifts")
        heard: list[tuple[str, str]] = []

        def hears() -> bool:
            events = runtime.events()  # type: ignore[attr-defined]
            heard.extend((event.replica, event.words) for event in events)
            return ("web-3", "started") in heard

        wait_for(hears, 30, "nothing is heard of web-3")
        docker("compose", "--project-name", made_name(file), "--file", str(file), "up", "--detach")
        assert told("web-3 is recorded and is not there") == "fragrance start --detach"
        runtime.bring_up(lambda _: None)  # which is what that command does
        wait_for(lambda: drift() == [], 30, "it drifts no more")

        docker("tag", "fragrance-base-services:local", image)
        told(f"runs an image that {image} no longer means")
        docker("tag", "fragrance-base-python:local", image)
        wait_for(lambda: drift() == [], 30, "the old image is meant again")
    finally:
        made.remove()
        docker("rmi", image)


def made_name(file: Path) -> str:
    return file.read_text().splitlines()[0].removeprefix("name: ")
