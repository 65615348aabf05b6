"""``queues``: the verdict on each, in words and as JSON."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from console.domain.readings import SourceState, SourceStatus
from console.domain.snapshot import AgentState, Snapshot
from console.journal.agent_lock import AgentLock
from console.sources.broker_messages import decode_heartbeat
from tests.fakes import pictures
from tests.unit.test_status import Bench

Captured = pytest.CaptureFixture[str]


def run(bench: Bench, picture: Snapshot, *words: str) -> int:
    lock = AgentLock(bench.settings.state)
    assert lock.take()
    bench.pictures.write(replace(picture, taken_at=datetime.now(UTC), agent=AgentState.RUNNING))
    code = bench.run("queues", *words)
    lock.release()
    return code


def test_it_says_whether_and_when_and_what_would_help(tmp_path: Path, capsys: Captured) -> None:
    assert run(Bench(tmp_path), pictures.failed()) == 0
    out = capsys.readouterr().out
    assert "llm: 340 wait; grows by 30/min: never at this rate" in out
    assert "more workers would drain it in" in out
    assert "worker-llm-1     healthy    runs 1 of 1, holds ?, takes work, heartbeat" in out
    assert "worker-llm-2     unhealthy  no heartbeat" in out
    assert "rl: ? wait; how much waits is unknown" in out


def test_json_has_the_same_and_unknown_is_null(tmp_path: Path, capsys: Captured) -> None:
    assert run(Bench(tmp_path), pictures.failed(), "--json") == 0
    told = json.loads(capsys.readouterr().out)
    llm, rl = told["queues"]
    assert (llm["name"], llm["depth"], llm["drains"], llm["drain_seconds"]) == (
        "llm", 340, False, None,
    )  # fmt: skip
    assert llm["wait_seconds"] == pytest.approx(850)
    assert llm["replicas"][0]["tasks"][0]["name"] == "workers.llm.tasks.compose_brief"
    assert (rl["depth"], rl["drains"], rl["wait_seconds"]) == (None, None, None)


def test_a_broker_that_does_not_answer_is_told(tmp_path: Path, capsys: Captured) -> None:
    sources = pictures.normal().sources
    gone = SourceStatus("broker", SourceState.FAILED, 40.0, "connection refused")
    picture = pictures.normal(queues=(), sources=(sources[0], gone))
    assert run(Bench(tmp_path), picture) == 0
    assert "connection refused" in capsys.readouterr().out


def test_what_a_worker_says_it_runs_is_understood_and_nonsense_left_out() -> None:
    beat = {
        "replica": "worker-llm-1", "queue": "llm", "at": 1_767_225_600.0,
        "current": [
            {"task_id": "a\u202e1", "name": "x.compose", "seconds": 12.5},
            {"task_id": "b", "name": "x.compose", "seconds": "long"},
            {"task_id": "c", "name": "x.compose", "seconds": 1e300}, 7, None,
        ],
    }  # fmt: skip
    decoded = decode_heartbeat(json.dumps(beat).encode())
    assert decoded is not None
    assert [(t.task_id, t.name) for t in decoded.tasks] == [("a1", "x.compose")]
    assert decoded.at - decoded.tasks[0].started_at == timedelta(seconds=12.5)
    for nonsense in ("x", 3, {"a": 1}, None):
        other = decode_heartbeat(json.dumps({**beat, "current": nonsense}).encode())
        assert other is not None
        assert other.tasks == ()
