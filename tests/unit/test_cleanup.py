"""Cleanup: each thing with its size, only what nobody needs, and nothing the second time."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from console.domain.leftovers import Leftover, bytes_in_words, superseded
from console.domain.operations import OperationState
from console.errors import UsageError
from console.runtimes.old_logs import old_logs, remove_log
from tests.fakes.stack import MIB
from tests.unit.test_runner import Bench, boundaries
from workers.__main__ import main as workers_main

OLD = ("a/step-000000000001", "b/step-000000000002")


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return filled(Bench(tmp_path))


def filled(bench: Bench) -> Bench:
    bench.stack.images = {"fragrance-ai-app:v0.0.1": 3 * MIB, "sha256:" + "ab" * 32: MIB}
    bench.stack.rotated = {"runner.log.1": 2048}
    bench.stack.checkpoints = set(OLD)
    return bench


def test_each_thing_is_listed_with_its_size_and_then_gone(bench: Bench) -> None:
    plan = bench.stack.plan("cleanup", {})

    assert [s.name for s in plan.steps] == [
        "remove-image-fragrance-ai-app-v0.0.1",
        "remove-image-abababababab",
        "remove-logs",
        "archive-checkpoints",
    ]
    commands = " ".join(s.command for s in plan.steps)
    for words in ("v0.0.1: 3 MiB", "runner.log.1 (2 KiB)", f"{OLD[0]} (1 MiB)"):
        assert words in commands
    assert plan.summary.startswith("6 MiB: 2 images, 1 logs, 2 checkpoints")
    assert any("cannot be brought back" in warning for warning in plan.warnings)

    ended = bench.run(plan)

    assert (ended.state, ended.verified) == (OperationState.DONE, True), ended.outcome_message
    assert (bench.stack.images, bench.stack.rotated, bench.stack.checkpoints) == ({}, {}, set())
    again = bench.stack.plan("cleanup", {})
    assert (again.steps, again.summary) == ((), "there is nothing to clean up")


def test_the_undo_brings_checkpoints_back(bench: Bench) -> None:
    done = bench.run(bench.stack.plan("cleanup", {}))

    undone = bench.again(done, "undo")

    assert undone.state is OperationState.UNDONE
    assert bench.stack.checkpoints == set(OLD)
    assert bench.stack.rotated == {}


def test_a_crash_at_every_boundary_is_survived(bench: Bench) -> None:
    for at in boundaries(bench.stack.plan("cleanup", {}).steps):
        crashed = bench.crash(filled(bench).stack.plan("cleanup", {}), at)
        ended = bench.again(crashed, "run")
        assert (ended.state, ended.verified) == (OperationState.DONE, True), at
        assert (bench.stack.images, bench.stack.checkpoints) == ({}, set()), at
        crashed = bench.crash(filled(bench).stack.plan("cleanup", {}), at)
        assert bench.again(crashed, "undo").state is OperationState.UNDONE
        assert bench.stack.checkpoints == set(OLD), at


def test_the_build_cache_goes_only_when_asked_for(bench: Bench) -> None:
    bench.stack.cache = 5 * MIB
    assert "remove-build-cache" not in {s.name for s in bench.stack.plan("cleanup", {}).steps}
    plan = bench.stack.plan("cleanup", {"build_cache": True})
    assert any("every project" in warning for warning in plan.warnings)
    bench.run(plan)
    assert bench.stack.cache == 0


def test_a_worker_that_cannot_tell_is_no_obstacle_to_the_rest(bench: Bench) -> None:
    from console.ports import ExecResult

    bench.stack.default_answer = ExecResult(1, "no such command")
    plan = bench.stack.plan("cleanup", {})
    assert [s.kind for s in plan.steps] == ["remove_image", "remove_image", "remove_logs"]
    assert any("checkpoints were not looked at" in warning for warning in plan.warnings)


def test_releases_to_go_back_to_stay() -> None:
    there = ["v0.1.0", "v0.9.0", "v0.10.0", "v1.0.0", "v1.1.0", "latest"]
    assert superseded(there, ["v1.0.0"], 2) == {"v0.1.0"}
    assert superseded(there, ["v1.0.0", "v0.10.0"], 2) == set()
    assert superseded(there, ["latest"], 0) == set(), "without a present one nothing is old"


@pytest.mark.parametrize(
    ("size", "words"), [(0, "0 B"), (2048, "2 KiB"), (5 * MIB, "5 MiB"), (2**31, "2.0 GiB")]
)
def test_sizes_are_in_words(size: int, words: str) -> None:
    assert bytes_in_words(size) == words


def test_only_rotated_logs_of_long_ago_are_old(tmp_path: Path) -> None:
    logs = tmp_path / "embedded" / "logs"
    logs.mkdir(parents=True)
    now = time.time()
    for name, days in (("app-1.log", 9), ("app-1.log.1", 9), ("app-1.log.2", 1), ("x.txt.1", 9)):
        (logs / name).write_text("text")
        os.utime(logs / name, (now, now - days * 86400))
    (logs / "link.log.1").symlink_to("/etc/passwd")
    os.utime(logs / "link.log.1", (0, 0), follow_symlinks=False)

    assert old_logs(tmp_path, 7) == [Leftover("embedded/logs/app-1.log.1", 4)]
    remove_log(tmp_path, "embedded/logs/app-1.log.1")
    assert old_logs(tmp_path, 7) == []
    for name in ("embedded/logs/app-1.log", "../x.log.1", "journal.db"):
        with pytest.raises(UsageError):
            remove_log(tmp_path, name)


@pytest.fixture
def checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CHECKPOINT_DIR", str(tmp_path))
    for number in range(1, 6):
        path = tmp_path / f"job-{number}" / f"step-{number:012d}"
        path.mkdir(parents=True)
        (path / "state.safetensors").write_bytes(bytes([number]) * 1000)
        (path / "manifest.json").write_text("{}")
        age = time.time() - number * 4 * 86400
        os.utime(path, (age, age))
    return tmp_path


def listed(capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    assert workers_main(["checkpoints", "list", *words, "--json"]) == 0
    return [each["name"] for each in json.loads(capsys.readouterr().out)]


def test_the_product_packs_old_checkpoints_away_and_brings_them_back(
    checkpoints: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = listed(capsys, "--older-than-days", "7", "--keep", "3")
    assert old == ["job-5/step-000000000005", "job-4/step-000000000004"]
    assert listed(capsys, "--limit", "1") == old[:1]

    for _ in range(2):  # the second time it is so already
        assert workers_main(["checkpoints", "archive", *old]) == 0
    capsys.readouterr()
    assert listed(capsys, *old) == []
    packed = checkpoints / "archive" / "job-5.step-000000000005.tar.gz"
    assert Path(f"{packed}.sha256").read_text().split()[1] == packed.name
    assert not (checkpoints / old[0]).exists()
    assert len(listed(capsys)) == 3

    for _ in range(2):
        assert workers_main(["checkpoints", "restore", *old]) == 0
    capsys.readouterr()
    assert listed(capsys, *old) == old, "as old as before"
    assert (checkpoints / old[0] / "state.safetensors").read_bytes() == bytes([5]) * 1000
    assert not packed.exists()


def test_an_archive_that_is_damaged_replaces_nothing(
    checkpoints: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "job-5/step-000000000005"
    assert workers_main(["checkpoints", "archive", name]) == 0
    packed = checkpoints / "archive" / "job-5.step-000000000005.tar.gz"
    packed.write_bytes(packed.read_bytes()[:-1])
    assert workers_main(["checkpoints", "restore", name]) == 1
    assert "damaged" in capsys.readouterr().err
    assert workers_main(["checkpoints", "archive", "../../etc"]) == 1
