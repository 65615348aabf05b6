"""The lock: a held flock means a live runner, and nothing else does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from console.clock import SystemClock
from console.domain.operations import Actor
from console.errors import Busy, Refused
from console.journal.liveness import runner_is_alive
from console.operations.lock import OperationLock
from tests.stack import wait_for

ANNA = Actor("anna", 1000)

HOLDER = (
    "import sys, time, signal, subprocess\n"
    "from pathlib import Path\n"
    "from console.clock import SystemClock\n"
    "from console.domain.operations import Actor\n"
    "from console.operations.lock import OperationLock\n"
    "if 'deaf' in sys.argv: signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "with OperationLock(Path(sys.argv[1]), SystemClock()).held('op-7', Actor('anna', 1)):\n"
    "    child = subprocess.Popen(['sleep', '60'])\n"
    "    print(child.pid, flush=True)\n"
    "    while True: time.sleep(1)\n"
)


@pytest.fixture
def lock(tmp_path: Path) -> OperationLock:
    return OperationLock(tmp_path / "state", SystemClock())


@contextmanager
def holder(lock: OperationLock, *words: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Run a process that holds *lock* and has a child; both are gone afterwards."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(lock.path.parent), *words],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    child = int(process.stdout.readline())
    try:
        yield process, child
    finally:
        process.kill()
        process.wait(10)
        process.stdout.close()
        os.kill(child, signal.SIGKILL)


def test_a_free_lock_can_be_taken_and_is_free_again(lock: OperationLock) -> None:
    assert not lock.is_held()
    with lock.held("op-1", ANNA) as owner:
        assert lock.is_held()
        assert runner_is_alive(lock.path.parent)
        assert lock.owner() == owner
        assert lock.holder_pid() == os.getpid()
    assert not lock.is_held()
    assert not runner_is_alive(lock.path.parent)
    assert lock.owner() is None
    assert lock.path.stat().st_mode & 0o777 == 0o600


def test_a_second_runner_waits_a_little_and_is_told_who_holds_it(lock: OperationLock) -> None:
    with (
        lock.held("op-1", ANNA),
        pytest.raises(Busy, match="op-1"),
        lock.held("op-2", ANNA, timeout_seconds=0.1),
    ):
        raise AssertionError("held twice")


def test_the_death_of_the_holder_frees_it_though_its_children_live(lock: OperationLock) -> None:
    with holder(lock) as (process, child):
        assert lock.is_held()
        process.kill()
        process.wait(10)

        assert not lock.is_held()
        os.kill(child, 0)
        assert lock.owner() is not None  # what it wrote stays, and proves nothing
        assert lock.holder_pid() is None
        with lock.held("op-8", ANNA, timeout_seconds=1):
            assert lock.owner() is not None


@pytest.mark.parametrize("words", [(), ("deaf",)])
def test_a_hung_runner_can_be_ended(lock: OperationLock, words: tuple[str, ...]) -> None:
    with holder(lock, *words) as (process, _):
        assert lock.holder_pid() == process.pid

        assert lock.break_hold(timeout_seconds=2) == process.pid

        wait_for(lambda: process.poll() is not None, 5, "the runner lives")
        assert not lock.is_held()


def test_a_free_lock_is_not_broken(lock: OperationLock) -> None:
    with pytest.raises(Refused, match="free"):
        lock.break_hold()


def test_a_holder_that_cannot_be_proven_is_not_killed(lock: OperationLock) -> None:
    victim = subprocess.Popen(["sleep", "60"])
    try:
        with holder(lock) as (process, _):
            text = lock.path.read_text().replace(f'"pid": {process.pid}', f'"pid": {victim.pid}')
            lock.path.write_text(text)

            with pytest.raises(Refused, match="cannot be told"):
                lock.break_hold(timeout_seconds=1)

            assert victim.poll() is None
            assert process.poll() is None
    finally:
        victim.kill()
        victim.wait(10)


@pytest.mark.parametrize("content", ["", "rubbish", "[]", '{"pid": "x"}', "\x00\xff"])
def test_rubbish_in_the_file_is_no_owner(lock: OperationLock, content: str) -> None:
    lock.path.parent.mkdir()
    lock.path.write_text(content)

    assert lock.owner() is None
    assert lock.holder_pid() is None
    with lock.held("op-1", ANNA):
        assert lock.is_held()


def test_the_number_of_a_dead_holder_that_another_process_carries_now_is_nobody(
    lock: OperationLock,
) -> None:
    stranger = subprocess.Popen(["sleep", "60"])
    try:
        with holder(lock) as (process, _):
            dead = process.pid
            process.kill()
            process.wait(10)
        # What it wrote stays, and its pid is a living process's by now: recycled.
        lock.path.write_text(
            lock.path.read_text().replace(f'"pid": {dead}', f'"pid": {stranger.pid}')
        )
        assert lock.holder_pid() is None
        with pytest.raises(Refused, match="free"):
            lock.break_hold()

        with lock.held("op-8", ANNA, timeout_seconds=1):
            assert lock.left_behind is not None
            assert (lock.left_behind.pid, lock.left_behind.operation_id) == (stranger.pid, "op-7")
            assert lock.holder_pid() == os.getpid()
        with lock.held("op-9", ANNA, timeout_seconds=1):
            assert lock.left_behind is None  # who ends well leaves nothing

        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait(10)
