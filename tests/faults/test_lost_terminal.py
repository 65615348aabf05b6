"""The connection drops and the console is killed while an operation runs: it goes on."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from console.engine import Engine
from console.operations.lock import OperationLock
from tests.faults.toy_stack import running_toy
from tests.stack import PROJECT, wait_for

#: The address that sshd would have named.
FROM = "192.0.2.7"


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """Give a light stack that runs."""
    with running_toy(tmp_path / "state") as engine:
        yield engine


def environment(engine: Engine, **more: str) -> dict[str, str]:
    return os.environ | {"FRAGRANCE_STATE": str(engine.settings.state)} | more


def ask(engine: Engine, *words: str) -> str:
    """Return what another console, begun afterwards, says."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.toy_stack", *words],
        cwd=PROJECT,
        env=environment(engine),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def session_of(pid: int) -> int | None:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return int(fields[3])


def kill_session(session: int) -> list[int]:
    """Kill -9 every process of a session, as logind does; return which."""
    killed = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and session_of(int(entry.name)) == session:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(entry.name), signal.SIGKILL)
                killed.append(int(entry.name))
    return killed


def read_until(master: int, word: bytes) -> bytes:
    said = b""
    while word not in said:
        chunk = os.read(master, 4096)
        assert chunk, said
        said += chunk
    return said


def test_an_operation_outlives_its_connection_and_every_process_of_its_login(
    engine: Engine,
) -> None:
    state = engine.settings.state
    lock = OperationLock(state, engine.clock)
    supervisor = int((state / "embedded" / "supervisor.lock").read_text())
    master, slave = pty.openpty()
    # A login of its own, with this terminal: a shell, and the console under it.
    console = f"{sys.executable} -m tests.faults.toy_stack scale worker-llm=2 --reason dropped"
    login = subprocess.Popen(
        ["setsid", "--ctty", "--wait", "sh", "-c", f"{console}; true"],
        cwd=PROJECT,
        env=environment(engine, SSH_CONNECTION=f"{FROM} 50000 192.0.2.1 22"),
        stdin=slave,
        stdout=slave,
        stderr=slave,
    )
    os.close(slave)
    runner = None
    try:
        read_until(master, b"anything else stops: ")
        os.kill(supervisor, signal.SIGSTOP)  # it cannot be over before it is looked at
        os.write(master, b"y\n")
        read_until(master, b"operations follow op-")
        runner = wait_for(lock.holder_pid, 60, "no runner came")
        os.kill(runner, signal.SIGSTOP)  # half way, for as long as this takes
        os.kill(supervisor, signal.SIGCONT)
        session = session_of(_child_of(login.pid))
        assert session is not None
        assert session_of(runner) != session
        os.close(master)  # the connection is gone: the kernel hangs up
        kill_session(session)
        login.kill()
        login.wait(30)

        assert lock.is_held()
        running = json.loads(ask(engine, "status", "--json"))["operation"]
        assert (running["verb"], running["state"]) == ("scale", "running")
        assert FROM in running["actor"]
    finally:
        os.kill(supervisor, signal.SIGCONT)
        if runner is not None:
            os.kill(runner, signal.SIGCONT)
    follower = ask(engine, "operations", "follow", running["id"], "--json")
    end = json.loads(follower.splitlines()[-1])
    assert (end["outcome"], end["verified"]) == ("done", True)
    (listed,) = json.loads(ask(engine, "operations", "list", "--json"))
    assert (listed["state"], listed["reason"]) == ("done", "dropped")
    workers = engine.collector.collect().service("worker-llm")
    assert workers is not None
    assert len(workers.replicas) == 2
    assert json.loads(ask(engine, "audit", "verify", "--json"))["valid"] is True


def _child_of(pid: int) -> int:
    """Return the process that ``setsid`` forked, which leads the session; else itself."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(children[0]) if children else pid
