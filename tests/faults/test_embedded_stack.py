"""The product on the embedded runtime when its parts are killed: everything real."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from console.runtimes.embedded.launch import supervisor_pid
from console.runtimes.embedded.layout import Layout
from console.runtimes.embedded.leftovers import find_leftovers
from console.runtimes.locks import is_locked, lock_holder
from tests.stack import Stack, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.stack]

PRODUCT = {"app": 2, "worker-llm": 1, "worker-rl": 1, "postgres": 1, "redis": 1}


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Give a stack of this module's own, for it is ill-treated."""
    running = Stack(tmp_path_factory.mktemp("stack") / "state")
    try:
        started = running.fragrance("start", "--detach", timeout=240)
        assert started.returncode == 0, started.stderr
        yield running
    finally:
        running.fragrance("stop", timeout=180)


@pytest.fixture
def layout(own: Stack) -> Layout:
    """Give the paths of the stack, healthy at the beginning of each test."""
    for name, count in PRODUCT.items():
        own.wait_ready(name, count, 90)
    return Layout(own.state)


def pid_of(layout: Layout, replica: str) -> int:
    import json

    pid: int = json.loads((layout.run / f"{replica}.json").read_text())["pid"]
    return pid


def supervisor(layout: Layout) -> int:
    pid = supervisor_pid(layout)
    assert pid is not None
    return pid


def test_supervisor_and_agent_bring_each_other_back(own: Stack, layout: Layout) -> None:
    old = supervisor(layout)
    os.kill(old, signal.SIGKILL)
    wait_for(lambda: supervisor_pid(layout) not in (None, old), 5, "another supervisor")
    own.wait_ready("app", 2, 60)
    agent = lock_holder(layout.agent_lock)
    assert agent is not None
    os.kill(agent, signal.SIGKILL)
    wait_for(lambda: lock_holder(layout.agent_lock) not in (None, agent), 5, "another agent")


def test_start_brings_everything_back_after_both_were_killed(own: Stack, layout: Layout) -> None:
    agent = lock_holder(layout.agent_lock)
    assert agent is not None
    os.kill(agent, signal.SIGKILL)
    os.kill(supervisor(layout), signal.SIGKILL)
    started = own.fragrance("start", "--detach", timeout=240)
    assert started.returncode == 0, started.stderr
    for name, count in PRODUCT.items():
        own.wait_ready(name, count, 5)
    assert is_locked(layout.agent_lock)


@pytest.mark.parametrize("replica", ["postgres-1", "redis-1"])
def test_a_killed_server_is_back_with_its_data(own: Stack, layout: Layout, replica: str) -> None:
    key = own.json("keys", "create", f"before-{replica}")["key"]
    os.kill(pid_of(layout, replica), signal.SIGKILL)
    service = replica.removesuffix("-1")
    wait_for(
        lambda: (lambda s: s["ready"] == 1 and s["restarts"] >= 1)(own.service(service)),
        30,
        f"{service} is back",
    )
    own.wait_ready("app", 2, 60)
    answer = httpx.get(
        own.status()["endpoints"]["api"] + "/v1/formulas", headers={"X-API-Key": key}, timeout=10
    )
    assert answer.status_code == 200, "the key made before was kept"


def test_a_second_start_changes_nothing(own: Stack, layout: Layout) -> None:
    before = {path.name: path.read_text() for path in layout.run.glob("*.json")}
    again = own.fragrance("start", "--detach", timeout=60)
    assert again.returncode == 0
    assert "already running" in again.stdout
    assert {path.name: path.read_text() for path in layout.run.glob("*.json")} == before


def test_no_secret_stands_in_a_command_line_or_spec(layout: Layout) -> None:
    secrets = {
        (layout.secrets / name).read_text()
        for name in ("postgres_password", "redis_password", "secret_key")
    }
    told = [path.read_text() for path in layout.replicas.glob("*.json")]
    told += [path.read_text(errors="replace") for path in layout.logs.glob("*")]
    for left in find_leftovers(layout):
        told.append(Path(f"/proc/{left.pid}/cmdline").read_text(errors="replace"))
    assert not [s for s in secrets for text in told if s in text]
    for path in (layout.state, layout.root, layout.secrets):
        assert path.stat().st_mode & 0o077 == 0
    for path in layout.secrets.iterdir():
        assert path.stat().st_mode & 0o777 == 0o600


def test_stop_leaves_no_process_and_start_brings_the_same_back(own: Stack, layout: Layout) -> None:
    key = own.json("keys", "create", "kept")["key"]
    assert find_leftovers(layout)
    stopped = own.fragrance("stop", timeout=180)
    assert stopped.returncode == 0, stopped.stderr
    assert not find_leftovers(layout)
    assert not is_locked(layout.agent_lock)
    assert not is_locked(layout.supervisor_lock)
    assert own.fragrance("stop").returncode == 0, "stopping twice is no fault"
    started = own.fragrance("start", "--detach", timeout=240)
    assert started.returncode == 0, started.stderr
    answer = httpx.get(
        own.status()["endpoints"]["api"] + "/v1/formulas", headers={"X-API-Key": key}, timeout=10
    )
    assert answer.status_code == 200
