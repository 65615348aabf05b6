"""The journal broken or its disk full: it is said, reading goes on, and --no-journal acts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from console.engine import Engine
from console.operations.lock import OperationLock
from console.settings import Settings
from tests.faults.toy_stack import build_toy, running_toy, take_down
from tests.stack import PROJECT, wait_for

RESTART = ("restart", "app", "--yes", "--reason", "stuck")
UP = ("scale", "worker-llm=2", "--yes", "--reason", "many briefs", "--json")
MORE = ("scale", "worker-llm=3", "--yes", "--reason", "more yet")
DOWN = ("scale", "worker-llm=1", "--yes", "--reason", "fewer briefs")


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """Give a light stack that runs; each test breaks its journal."""
    with running_toy(tmp_path / "state") as engine:
        yield engine


def workers(engine: Engine) -> list[str]:
    service = engine.collector.collect().service("worker-llm")
    return [] if service is None else [r.name for r in service.replicas if r.accepting]


def fragrance(state: Path, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.faults.toy_stack", *words],
        cwd=PROJECT,
        env=os.environ | {"FRAGRANCE_STATE": str(state)} | environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_while_the_journal_works_nothing_goes_past_it(engine: Engine) -> None:
    refused = fragrance(engine.settings.state, *RESTART, "--no-journal")

    assert refused.returncode == 3
    assert "the journal works" in refused.stderr
    assert engine.journal.changes(1)[0].outcome == "refused"


def test_a_damaged_journal_is_said_and_acted_without_and_recorded_when_it_is_back(
    engine: Engine,
) -> None:
    state = engine.settings.state
    journal = state / "journal.db"
    journal.write_bytes(b"rubbish " * 1000)

    refused = fragrance(state, *RESTART)
    assert refused.returncode == 5
    assert "damaged" in refused.stderr
    assert "--no-journal" in refused.stderr
    status = json.loads(fragrance(state, "status", "--json").stdout)
    assert {s["name"]: s["state"] for s in status["sources"]}["journal"] == "failed"
    for words in (
        ("restart", "app", "--yes", "--no-journal"),
        ("restart", "app", "--reason", "x", "--no-journal"),
    ):
        assert fragrance(state, *words).returncode == 2

    done = fragrance(state, *UP, "--no-journal")

    assert done.returncode == 0, done.stderr
    assert "start-worker-llm-2 done" in done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["event"] for line in lines][:2] == ["plan", "step"]
    end = lines[-1]
    assert (end["operation_id"], end["outcome"], end["verified"]) == (None, "done", True)
    assert "not recorded" in end["message"]
    assert workers(engine) == ["worker-llm-1", "worker-llm-2"]

    # As the error said: put aside, and a new one begins. Here it happens half way.
    supervisor = int((state / "embedded" / "supervisor.lock").read_text())
    os.kill(supervisor, signal.SIGSTOP)  # it cannot be over before that
    running = subprocess.Popen(
        [sys.executable, "-m", "tests.faults.toy_stack", *MORE, "--no-journal"],
        cwd=PROJECT,
        env=os.environ | {"FRAGRANCE_STATE": str(state)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert running.stderr is not None
    try:
        assert any(" intent" in line for line in running.stderr)
        journal.replace(journal.with_suffix(".damaged"))
        running.send_signal(signal.SIGHUP)  # a lost connection changes nothing
    finally:
        os.kill(supervisor, signal.SIGCONT)
    _, told = running.communicate(timeout=120)

    assert running.returncode == 0, told
    assert "the journal is back: recorded" in told
    entry = engine.audit(1)[0]
    assert entry["what"] == "scale worker-llm 2 → 3, without the journal"
    assert entry["reason"] == "more yet"
    assert "damaged" in str(entry["details"])
    assert engine.verify_audit().valid
    assert len(workers(engine)) == 3


def test_in_production_it_takes_an_emergency(engine: Engine) -> None:
    state = engine.settings.state
    (state / "journal.db").write_bytes(b"rubbish " * 1000)

    refused = fragrance(state, *RESTART, "--no-journal", APP_ENV="production")
    assert refused.returncode == 3
    assert "add --emergency" in refused.stderr
    done = fragrance(state, *RESTART, "--no-journal", "--emergency", APP_ENV="production")
    assert done.returncode == 0, done.stderr
    assert "without the journal" in done.stderr


def test_a_live_runner_is_not_run_over(engine: Engine) -> None:
    state = engine.settings.state
    (state / "journal.db").write_bytes(b"rubbish " * 1000)

    with OperationLock(state, engine.clock).held("op-7", engine.actor):
        refused = fragrance(state, *RESTART, "--no-journal")

    assert refused.returncode == 3, refused.stderr
    assert "op-7 holds the lock" in refused.stderr


def fill(disk: Path) -> None:
    filled = subprocess.run(
        ["dd", "if=/dev/zero", f"of={disk / 'ballast'}", "bs=4k"],
        check=False,
        capture_output=True,
    )
    assert b"No space left" in filled.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting takes root")
def test_a_full_disk_ends_no_supervisor_and_no_replica_that_writes_nothing(tmp_path: Path) -> None:
    """All of the stack on one disk: a worker that must write dies, and comes back with room."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(disk)], check=True)
    state = disk / "state"
    engine = build_toy(Settings(project=tmp_path, state=state))
    try:
        started = fragrance(state, "start", "--detach", "--runtime", "embedded")
        assert started.returncode == 0, started.stderr
        wait_for(lambda: workers(engine) == ["worker-llm-1"], 30, "no worker")
        before = pids(engine, "app")
        worker = pids(engine, "worker-llm")["worker-llm-1"]
        assert worker is not None
        fill(disk)
        with suppress(ProcessLookupError):
            os.kill(worker, signal.SIGKILL)
        wait_for(lambda: not Path(f"/proc/{worker}").exists(), 30, "the worker was not reaped")
        assert pids(engine, "app") == before
        (disk / "ballast").unlink()
        wait_for(lambda: workers(engine) == ["worker-llm-1"], 90, "the worker did not come back")
        assert pids(engine, "app") == before

        fill(disk)
        stopped = fragrance(state, "stop")
        assert stopped.returncode == 0, stopped.stderr
        assert "not recorded" in stopped.stderr
    finally:
        (disk / "ballast").unlink(missing_ok=True)
        take_down(engine)
        subprocess.run(["umount", "--lazy", str(disk)], check=False)


def pids(engine: Engine, service: str) -> dict[str, int | None]:
    found = engine.collector.collect().service(service)
    assert found is not None
    return {replica.name: replica.pid for replica in found.replicas}


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting takes root")
def test_a_full_disk_is_said_and_acted_without(tmp_path: Path) -> None:
    """Journal, audit and logs on a disk with no byte left; what the replicas need elsewhere."""
    disk, roomy = tmp_path / "disk", tmp_path / "roomy"
    state = disk / "state"
    for place in (disk, roomy / "embedded", roomy / "toy"):
        place.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(disk)], check=True)
    engine = build_toy(Settings(project=tmp_path, state=state))
    try:
        state.mkdir(mode=0o700)
        for name in ("embedded", "toy"):
            (state / name).symlink_to(roomy / name)
        started = fragrance(state, "start", "--detach", "--runtime", "embedded")
        assert started.returncode == 0, started.stderr
        fill(disk)

        refused = fragrance(state, *RESTART)
        assert refused.returncode in {3, 5}, refused.stderr
        assert "journal" in refused.stderr
        assert "--no-journal" in refused.stderr
        assert "Traceback" not in refused.stderr
        status = fragrance(state, "status", "--json")
        assert status.returncode == 0, status.stderr
        services = {s["name"]: s["ready"] for s in json.loads(status.stdout)["services"]}
        assert services == {"app": 2, "worker-llm": 1}

        done = fragrance(state, *UP, "--no-journal")

        assert done.returncode == 0, done.stderr
        assert "not recorded, write it down: scale worker-llm 1 → 2" in done.stdout
        assert workers(engine) == ["worker-llm-1", "worker-llm-2"]

        (disk / "ballast").unlink()
        back = fragrance(state, *DOWN)
        assert back.returncode == 0, back.stderr
        assert engine.verify_audit().valid
    finally:
        take_down(engine)
        subprocess.run(["umount", "--lazy", str(disk)], check=False)
