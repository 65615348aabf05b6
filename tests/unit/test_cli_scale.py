"""The command line of advice and of autoscale, on a fake runtime."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from console.cli import scale
from console.domain.decisions import Action, Decision
from console.domain.snapshot import AgentState
from console.journal.agent_lock import AgentLock
from console.settings import Settings
from tests.unit.test_advice import picture, queue, worker
from tests.unit.test_status import Bench


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setattr(scale, "MEASURE_SECONDS", 0.1)
    made = Bench(tmp_path)
    yield made
    made.engine.close()


@pytest.fixture
def flooded(bench: Bench) -> Iterator[Bench]:
    """The agent's picture of a backlog, with a decision in it."""
    lock = AgentLock(bench.settings.state)
    assert lock.take()
    now = datetime.now(UTC)
    bench.pictures.write(
        replace(
            picture(worker(2), queues=(queue(120, 48.0),)),
            taken_at=now,
            agent=AgentState.RUNNING,
            autoscale=(Decision("worker-llm", Action.HOLD, None, "for 4 of 30 s", now),),
        )
    )
    yield bench
    lock.release()


def test_advice_is_told_with_triggers_arithmetic_and_the_next_command(
    flooded: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    assert flooded.run("scale", "worker-llm") == 0

    told = capsys.readouterr().out
    assert told.startswith("worker-llm 2 → 4: scale up: 120 tasks wait, wait 48 s")
    assert "fires    120 tasks wait (limit 50)" in told
    assert "bound by ×2 step rule" in told
    assert "next     fragrance scale worker-llm=4" in told
    assert flooded.engine.operations() == []


def test_advice_as_json(flooded: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    assert flooded.run("scale", "--advice", "--json") == 0

    [one] = json.loads(capsys.readouterr().out)["advice"]
    assert (one["recommended"], one["direction"]) == (4, "up")
    assert one["triggers"][0] == {
        "name": "queue_depth", "value": 120.0, "threshold": 50.0, "unit": "tasks",
        "state": "fires", "words": "120 tasks wait (limit 50)",
    }  # fmt: skip


def test_without_an_agent_what_cannot_be_told_is_said(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench.run("scale", "worker-llm") == 0

    told = capsys.readouterr()
    assert "cannot be told" in told.out
    assert "no agent is running" in told.err
    assert bench.run("scale", "nonsense") == 2


def test_services_that_were_never_seen_are_not_called_absent(bench: Bench) -> None:
    bench.runtime.unreachable = "the engine does not answer"

    assert bench.run("scale", "--advice") == 5
    assert bench.run("autoscale", "on", "worker-llm", "--yes") == 5
    assert bench.run("autoscale", "status") == 0
    assert bench.engine.journal.changes() == []


def test_autoscale_is_turned_on_shown_and_turned_off(
    flooded: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    def status() -> dict[str, Any]:
        capsys.readouterr()
        assert flooded.run("autoscale", "status", "--json") == 0
        [one] = json.loads(capsys.readouterr().out)["services"]
        return dict(one)

    assert status()["on"] is False
    assert flooded.run("autoscale", "on", "--dry-run") == 0
    assert status()["on"] is False

    assert flooded.run("autoscale", "on", "worker-llm", "--yes", "--reason", "nights") == 0
    shown = status()
    assert (shown["on"], shown["actor"], shown["reason"]) == (True, "tester", "nights")
    assert (shown["minimum"], shown["maximum"]) == (1, 10)
    assert shown["decision"]["reason"] == "for 4 of 30 s"
    assert flooded.run("autoscale", "status") == 0
    assert "hold: for 4 of 30 s" in capsys.readouterr().out

    assert flooded.run("autoscale", "off", "--yes") == 0
    assert status()["on"] is False
    assert [c.outcome for c in flooded.engine.journal.changes()] == ["off", "on"]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("on", "nonsense", "--yes"), 2),
        (("on", "worker-llm"), 2),
        (("off", "nonsense", "--yes"), 2),
        (("status", "nonsense"), 2),
        (("sometimes",), 2),
    ],
)
def test_what_makes_no_sense_changes_nothing(
    flooded: Bench, words: tuple[str, ...], code: int
) -> None:
    assert flooded.run("autoscale", *words) == code
    assert flooded.engine.journal.changes() == []


def test_production_is_read_only_for_autoscale_too(
    flooded: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    production = replace(flooded.settings, environment="prod")
    monkeypatch.setattr(flooded.engine, "settings", production)
    assert isinstance(production, Settings)

    assert flooded.run("autoscale", "on", "worker-llm", "--yes", "--reason", "x") == 3
    assert flooded.engine.journal.changes() == []
