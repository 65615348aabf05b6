"""The picture file and the agent's lock."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from console.domain.snapshot import AgentState
from console.errors import Unreachable
from console.journal.agent_lock import AgentLock, agent_alive
from console.journal.picture import PictureFile, from_json, to_json
from tests.unit.test_assemble import picture


def test_a_picture_comes_back_as_it_was(tmp_path: Path) -> None:
    snapshot = picture()
    pictures = PictureFile(tmp_path)

    pictures.write(snapshot)

    assert pictures.read() == snapshot
    assert PictureFile(tmp_path).read() == snapshot
    assert [p.name for p in tmp_path.iterdir()] == ["picture.json"]


def test_the_file_is_the_public_contract() -> None:
    told = json.loads(to_json(picture()))

    assert told["schema_version"] == 1
    assert told["overall"] == "healthy"
    assert told["agent"] == AgentState.ABSENT.value
    assert datetime.fromisoformat(told["taken_at"]).tzinfo is not None
    assert {"name", "role", "desired", "ready", "health", "reason", "replicas"} <= set(
        told["services"][0]
    )
    assert told["operation"] is None
    assert told["metrics"]["request_rate"] is None


def test_a_newer_picture_replaces_the_one_read_before(tmp_path: Path) -> None:
    pictures = PictureFile(tmp_path)
    pictures.write(picture())
    pictures.read()
    later = picture(now=datetime(2026, 3, 1, 13, tzinfo=UTC))

    PictureFile(tmp_path).write(later)

    assert pictures.read() == later


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b'{"schema_version": 1}', b"\xff\xfe"])
def test_a_damaged_picture_is_none(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "picture.json").write_bytes(raw)

    assert PictureFile(tmp_path).read() is None


def test_a_picture_of_another_schema_is_none() -> None:
    told = json.loads(to_json(picture())) | {"schema_version": 2}

    assert from_json(json.dumps(told).encode()) is None


def test_keys_that_a_newer_version_adds_do_no_harm() -> None:
    told = json.loads(to_json(picture())) | {"added_later": [1, 2]}

    assert from_json(json.dumps(told).encode()) == picture()


def test_without_a_directory_it_says_so(tmp_path: Path) -> None:
    pictures = PictureFile(tmp_path / "gone")

    assert pictures.read() is None
    assert not pictures.agent_alive()
    with pytest.raises(Unreachable, match="cannot write"):
        pictures.write(picture())


def test_one_agent_at_a_time(tmp_path: Path) -> None:
    first, second = AgentLock(tmp_path), AgentLock(tmp_path)

    assert first.take()
    assert not second.take()
    assert PictureFile(tmp_path).agent_alive()
    first.release()
    assert not agent_alive(tmp_path)
    assert second.take()
    second.release()


def test_asking_does_not_keep_an_agent_from_starting(tmp_path: Path) -> None:
    (tmp_path / "agent.lock").touch()
    asking = threading.Event()

    def ask() -> None:
        while not asking.is_set():
            agent_alive(tmp_path)

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    lock = AgentLock(tmp_path)
    try:
        for _ in range(20):
            assert lock.take()
            lock.release()
    finally:
        asking.set()
        for thread in threads:
            thread.join()


def test_the_lock_is_gone_with_its_process_and_not_inherited(tmp_path: Path) -> None:
    code = (
        "import subprocess, sys, pathlib;"
        "from console.journal.agent_lock import AgentLock;"
        "assert AgentLock(pathlib.Path(sys.argv[1])).take();"
        "subprocess.Popen(['sleep', '20']);"
        "print(subprocess.__name__, flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        held = agent_alive(tmp_path)
        process.kill()
        process.wait()
        after = agent_alive(tmp_path)
        os.killpg(process.pid, 9)

    assert held
    assert not after


def test_a_deleted_lock_file_is_noticed(tmp_path: Path) -> None:
    lock = AgentLock(tmp_path)
    assert lock.take()
    assert lock.still_ours()

    lock.path.unlink()

    assert not lock.still_ours()
    lock.release()
