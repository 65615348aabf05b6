"""The journal's files: who may read them, and what happens when they break."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from console.clock import SystemClock
from console.domain.operations import Actor, Change, OperationState
from console.domain.plans import Plan, Step
from console.errors import Busy, ConsoleError, Refused, Unreachable
from console.journal.store import JournalStore
from console.operations.lock import OperationLock
from tests.fakes.clock import FakeClock

ANNA = Actor("anna", 1000)
PLAN = Plan("scale", "w 1 → 2", (Step("start-w-2", "start_replica"),), expects={"w": ["w-1"]})


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def journal(state: Path) -> JournalStore:
    return JournalStore(state, FakeClock())


def change(what: str = "start") -> Change:
    return Change(FakeClock().now(), "anna", what, "done")


def test_reading_makes_no_file(state: Path, journal: JournalStore) -> None:
    assert journal.operations() == []
    assert not state.exists()


def test_nobody_else_may_read_it(state: Path, journal: JournalStore) -> None:
    old = os.umask(0)
    try:
        journal.submit(PLAN, ANNA, "")
        journal.record(change())
    finally:
        os.umask(old)

    assert state.stat().st_mode & 0o777 == 0o700
    modes = {p.name: p.stat().st_mode & 0o777 for p in state.iterdir()}
    assert set(modes.values()) == {0o600}, modes


def test_a_shared_directory_is_the_operators_groups(state: Path, journal: JournalStore) -> None:
    state.mkdir()
    state.chmod(0o2770)
    journal.record(change())

    assert (state / "journal.db").stat().st_mode & 0o777 == 0o660
    assert (state / "audit.jsonl").stat().st_mode & 0o777 == 0o660


def test_it_outlives_its_process_at_any_moment(state: Path) -> None:
    code = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from console.clock import SystemClock\n"
        "from console.domain.operations import Actor\n"
        "from console.domain.plans import Plan, Step\n"
        "from console.journal.store import JournalStore\n"
        "journal = JournalStore(Path(sys.argv[1]), SystemClock())\n"
        "print(journal.submit(Plan('scale', 'x', ()), Actor('a', 1), '').id, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(state)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == -9
    kept = JournalStore(state, SystemClock()).operation(done.stdout.strip())
    assert kept.state is OperationState.SUBMITTED


def test_of_many_submits_at_once_exactly_one_wins(state: Path) -> None:
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from console.clock import SystemClock\n"
        "from console.domain.operations import Actor\n"
        "from console.domain.plans import Plan, Step\n"
        "from console.errors import Busy\n"
        "from console.journal.store import JournalStore\n"
        "journal = JournalStore(Path(sys.argv[1]), SystemClock())\n"
        "print('ready', flush=True)\n"
        "sys.stdin.readline()\n"
        "try:\n"
        "    journal.submit(Plan('scale', 'x', ()), Actor('a', 1), '')\n"
        "except Busy as busy:\n"
        "    sys.exit(busy.exit_code)\n"
    )
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(state)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    for racer in racers:
        assert racer.stdout is not None
        racer.stdout.readline()
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    errors = [racer.communicate(timeout=60)[1] for racer in racers]

    assert sorted(racer.returncode for racer in racers) == [0, 3, 3, 3], errors
    assert len(JournalStore(state, SystemClock()).operations()) == 1


@pytest.mark.parametrize("damage", [b"not a database at all, but long enough" * 40, b"SQLite"])
def test_a_damaged_journal_says_what_still_works_and_what_to_do(
    state: Path, journal: JournalStore, damage: bytes
) -> None:
    journal.record(change())
    for name in ("journal.db-wal", "journal.db-shm"):
        (state / name).unlink(missing_ok=True)
    (state / "journal.db").write_bytes(damage)

    attempts = (
        journal.operations,
        journal.unfinished,
        journal.verify_audit,
        lambda: journal.submit(PLAN, ANNA, ""),
        lambda: journal.record(change()),
    )
    for attempt in attempts:
        with pytest.raises(Unreachable) as error:
            attempt()
        assert "damaged" in error.value.message
        assert "status and logs" in error.value.unchanged
        assert str(state / "journal.db") in error.value.remedy


def test_after_the_remedy_a_new_journal_goes_on_with_the_audit(
    state: Path, journal: JournalStore
) -> None:
    journal.record(change("first"))
    journal.record(change("second"))
    (state / "journal.db").rename(state / "journal.db.damaged")
    for name in ("journal.db-wal", "journal.db-shm"):
        (state / name).unlink(missing_ok=True)
    assert journal.verify_audit().valid

    journal.record(change("third"))

    verdict = journal.verify_audit()
    assert verdict.valid, verdict.reason
    assert verdict.entries == 3


def test_a_full_disk_refuses_a_new_operation_and_leaves_the_old_ones(
    state: Path, journal: JournalStore
) -> None:
    journal.record(change())
    biggest = max(path.stat().st_size for path in state.iterdir())
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    huge = Plan("scale", "x", (Step("s", "k", {"a": "x" * (biggest + 500_000)}),))
    resource.setrlimit(resource.RLIMIT_FSIZE, (biggest + 50_000, hard))
    try:
        with pytest.raises(ConsoleError) as error:
            journal.submit(huge, ANNA, "")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert isinstance(error.value, Refused)
    assert "cannot be written" in error.value.message
    assert "df -h" in error.value.remedy
    assert journal.operations() == []
    assert len(journal.changes()) == 1
    assert journal.submit(PLAN, ANNA, "").state is OperationState.SUBMITTED


def test_a_state_that_is_no_directory_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    journal = JournalStore(tmp_path / "state", FakeClock())

    with pytest.raises(Refused, match="cannot be written"):
        journal.submit(PLAN, ANNA, "")


def test_a_journal_of_a_newer_version_is_left_alone(state: Path, journal: JournalStore) -> None:
    import sqlite3

    journal.record(change())
    connection = sqlite3.connect(state / "journal.db")
    connection.execute("pragma user_version = 99")
    connection.close()

    with pytest.raises(Unreachable, match="schema 99"):
        journal.operations()
    with pytest.raises(Unreachable, match="schema 99"):
        journal.submit(PLAN, ANNA, "")


def test_a_recycled_pid_in_the_lock_file_is_nobodys_runner(
    state: Path, journal: JournalStore
) -> None:
    operation = journal.submit(PLAN, ANNA, "")
    lock = OperationLock(state, FakeClock())
    with lock.held(operation.id, ANNA):
        journal.claim(operation.id, "run")
        mine = lock.path.read_text()
    lock.path.write_text(mine)  # our own pid: alive, and not the runner any more

    assert json.loads(mine)["pid"] == os.getpid()
    assert journal.operation(operation.id).state is OperationState.INTERRUPTED
    assert lock.holder_pid() is None
    with pytest.raises(Busy, match="interrupted"):
        journal.submit(PLAN, ANNA, "")


def test_a_runner_that_ends_while_one_looks_is_not_called_gone(
    state: Path, journal: JournalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    operation = journal.submit(PLAN, ANNA, "")
    journal.claim(operation.id, "run")

    def ends_now(_: Path) -> bool:
        journal.set_state(operation.id, OperationState.DONE, exit_code=0)
        return False

    monkeypatch.setattr("console.journal.store.runner_is_alive", ends_now)

    assert journal.operation(operation.id).state is OperationState.DONE
