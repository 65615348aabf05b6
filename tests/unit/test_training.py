"""Running searches: told by the worker's children, read by the console, shown in words."""

from __future__ import annotations

import json
import multiprocessing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from console.cli.figures import duration
from console.cli.status_lines import status_lines
from console.domain.services import TaskInHand, Training
from console.domain.snapshot import Snapshot
from console.domain.training import newest_words, running_trainings, training_parts
from console.sources.broker_messages import decode_heartbeat
from tests.fakes import pictures
from tests.fakes.pictures import NOW
from workers.rl.board import Board, newest_checkpoint_at

RUNNING = Training("ppo", 1280.0, 20000.0, 0.6124, 0.00431, NOW - timedelta(seconds=12))


def training() -> Snapshot:
    """A picture with one search under way."""
    picture = pictures.normal()
    task = TaskInHand("job-7", "workers.rl.tasks.optimise", NOW - timedelta(minutes=3), RUNNING)
    return replace(
        picture,
        services=tuple(
            service
            if service.name != "worker-rl"
            else replace(
                service,
                replicas=tuple(
                    replace(r, tasks=(task,), active_tasks=1, newest_checkpoint_at=NOW)
                    for r in service.replicas
                ),
            )
            for service in picture.services
        ),
    )


def test_what_a_child_writes_the_parent_tells() -> None:
    board = Board(2, newest_at=1000.0)

    def child() -> None:
        board.begin(1, "job-7", "ppo", 20000)
        board.note(1, {"step": 1280.0, "reward": 0.5, "entropy": 0.004})
        board.kept(1, 2000.0)

    context = multiprocessing.get_context("fork")
    process = context.Process(target=child)
    process.start()
    process.join(30)

    assert process.exitcode == 0
    assert board.told({"job-7"}) == {
        "training": [
            {"task_id": "job-7", "method": "ppo", "steps": 20000.0, "step": 1280.0,
             "reward": 0.5, "entropy": 0.004, "checkpoint_at": 2000.0}
        ],
        "newest_checkpoint_at": 2000.0,
    }  # fmt: skip
    assert board.told({"another"})["training"] == []


def test_a_search_that_begins_tells_nothing_of_the_one_before() -> None:
    board = Board(1)
    assert board.told(set()) == {"training": [], "newest_checkpoint_at": None}
    board.begin(0, "old", "ppo", 10)
    board.note(0, {"step": 10.0, "reward": 1.0, "entropy": 0.1})
    board.kept(0, 3000.0)
    board.begin(0, "new", "genetic", 60)
    (row,) = board.told({"new"})["training"]
    assert (row["method"], row["steps"]) == ("genetic", 60.0)
    assert {row[name] for name in ("step", "reward", "entropy", "checkpoint_at")} == {None}
    board.note(0, {"step": 1.0, "reward": 2.0})  # the genetic search has no entropy
    assert board.told({"new"})["training"][0]["entropy"] is None
    board.kept(0, 2000.0)  # resumed from an old one: the newest is newer
    assert board.told({"new"})["newest_checkpoint_at"] == 3000.0
    json.dumps(board.told({"new"}), allow_nan=False)


def test_the_newest_checkpoint_of_any_job_is_found(tmp_path: Path) -> None:
    assert newest_checkpoint_at(tmp_path / "nowhere") is None
    for job, step in (("a", 1), ("b", 2)):
        (tmp_path / job / f"step-{step:012}").mkdir(parents=True)
    newest = (tmp_path / "b" / "step-000000000002").stat().st_mtime
    assert newest_checkpoint_at(tmp_path) == newest


def test_a_heartbeat_with_a_search_is_understood_and_nonsense_is_not_known() -> None:
    row = {"task_id": "job-7", "method": "p\x1bpo", "step": 5, "steps": 10, "reward": "much",
           "entropy": None, "checkpoint_at": 1_767_225_590.0}  # fmt: skip
    beat = {
        "replica": "worker-rl-1", "queue": "rl", "at": 1_767_225_600.0,
        "current": [{"task_id": "job-7", "name": "x", "seconds": 1}],
        "training": [row, 7, {"task_id": "gone"}], "newest_checkpoint_at": 1_767_225_590.0,
    }  # fmt: skip
    decoded = decode_heartbeat(json.dumps(beat).encode())
    assert decoded is not None
    at = datetime.fromtimestamp(1_767_225_590.0, UTC)
    assert [t.training for t in decoded.tasks] == [Training("ppo", 5.0, 10.0, checkpoint_at=at)]
    assert decoded.newest_checkpoint_at == at
    plain = decode_heartbeat(json.dumps({**beat, "training": "x"}).encode())
    assert plain is not None
    assert plain.tasks[0].training is None


def test_a_search_in_words() -> None:
    told = training_parts(RUNNING, NOW, duration)
    assert told == (
        "step 1280/20000", "reward 0.612", "entropy 0.0043", "checkpoint 12 s",
    )  # fmt: skip
    assert training_parts(Training("genetic"), NOW, duration) == (
        "at no step yet", "no checkpoint yet",
    )  # fmt: skip
    picture = training()
    assert [name for name, _, _ in running_trainings(picture)] == ["worker-rl-1"]
    assert newest_words(picture, NOW + timedelta(hours=3), duration) == (
        "newest checkpoint 3 h 0 min ago"
    )
    assert newest_words(pictures.normal(), NOW, duration) == ""
    assert "Training  worker-rl-1 step 1280/20000, reward 0.612" in "\n".join(status_lines(picture))
