"""A real SSH server at the end of a slow, lossy line: usable, and nothing left when it drops."""

from __future__ import annotations

import os
import shlex
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from console.domain.operations import OperationState
from console.engine import Engine
from console.operations.lock import OperationLock
from tests.conftest import ENGINE_REQUIRED
from tests.faults.toy_stack import running_toy
from tests.interface.in_terminal import InTerminal
from tests.servers import wait_until
from tests.slow_line import SlowLine, missing, processes_at, slow_line, ssh_server
from tests.stack import PROJECT, wait_for

#: A round trip takes 200 ms and more, and what is lost is sent again: nothing here is quick.
PATIENT = 120.0


@pytest.fixture
def line() -> Iterator[SlowLine]:
    """Give a line with a round trip of 200 ms that loses 1 % of its packets."""
    lacking = missing()
    if lacking and os.environ.get(ENGINE_REQUIRED):
        pytest.fail(lacking)
    if lacking:
        pytest.skip(lacking)
    with slow_line(delay_seconds=0.1, loss=0.01) as made:
        yield made


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """Give a light stack that runs here, outside of the line's namespaces."""
    with running_toy(tmp_path / "state") as engine:
        yield engine


def console_over(login: list[str], engine: Engine, home: Path) -> InTerminal:
    """Log in and open the console on the stack, as a person would."""
    variables = {
        "FRAGRANCE_STATE": str(engine.settings.state),
        "XDG_STATE_HOME": str(home),
        "PYTHONUTF8": "1",
    }
    words = " ".join(f"{name}={shlex.quote(value)}" for name, value in variables.items())
    place, python = shlex.quote(str(PROJECT)), shlex.quote(sys.executable)
    command = f"cd {place} && {words} {python} -m tests.faults.toy_stack"
    return InTerminal("", command=[*login, command])


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_dropped_connection_leaves_the_operation_and_nothing_else(
    line: SlowLine, engine: Engine, tmp_path: Path
) -> None:
    supervisor = int((engine.settings.state / "embedded" / "supervisor.lock").read_text())
    lock = OperationLock(engine.settings.state, engine.clock)
    with ssh_server(line, tmp_path) as login:
        server = set(processes_at(line.far))
        runner = None
        try:
            with console_over(login, engine, tmp_path) as console:
                console.until(b"2 of 2 services ready", PATIENT)
                console.type(b"G")
                console.type(b"+")
                console.until(b"plan worker-llm 1", PATIENT)
                console.type(b"\r")
                console.until(b"exact commands", PATIENT)
                os.kill(supervisor, signal.SIGSTOP)  # it cannot be over before it is looked at
                # A dialog swallows what was typed before it could be read; a person tries again.
                begun = len(console.written)
                while lock.holder_pid() is None and len(console.written) < begun + 10**6:
                    console.type(b"y")
                    console.read(1.0)
                runner = wait_for(lock.holder_pid, PATIENT, "no runner came")
                wait_until(
                    lambda: engine.operations()[0].state is OperationState.RUNNING,
                    PATIENT,
                    "it runs",
                )
                os.kill(runner, signal.SIGSTOP)
                os.kill(supervisor, signal.SIGCONT)
                assert len(processes_at(line.far)) > len(server) + 1  # shell, console and runner
                line.cut.set()
                wait_until(
                    lambda: set(processes_at(line.far)) == server | {runner},
                    PATIENT,
                    "something is left behind of the login",
                )
                assert lock.is_held()
            line.cut.clear()
            with console_over(login, engine, tmp_path) as again:
                again.until(b"scale running", PATIENT)
                os.kill(runner, signal.SIGCONT)
                wait_until(lambda: engine.operations()[0].finished, PATIENT, "it ends")
                again.until(b"done", PATIENT)
                again.type(b"q")
                assert again.end(PATIENT) == 0
        finally:
            os.kill(supervisor, signal.SIGCONT)
            if runner is not None and lock.holder_pid() == runner:
                os.kill(runner, signal.SIGCONT)
        (operation,) = engine.operations()
        assert operation.state is OperationState.DONE
        assert operation.actor.origin.startswith("ssh 10.")
        wait_until(lambda: set(processes_at(line.far)) == server, PATIENT, "the runner has ended")
    assert line.lost > 0
