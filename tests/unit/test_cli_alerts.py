"""``metrics`` and ``alerts`` as they are typed: lines, JSON and exit codes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from console.settings import PROJECT
from tests.fakes import pictures
from tests.unit.test_status import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    shutil.copy(PROJECT / "RUNBOOK.md", tmp_path)
    made = Bench(tmp_path)
    yield made
    made.engine.close()


def read(bench: Bench, capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    assert bench.run(*words, "--json") == 0
    return json.loads(capsys.readouterr().out)


def test_a_range_is_told_as_curves(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    bench.engine._history.append(pictures.normal(taken_at=datetime.now(UTC)))

    told = read(bench, capsys, "metrics", "--since", "1h")

    curves = {curve["name"]: curve for curve in told["curves"]}
    assert (told["schema_version"], told["step_seconds"]) == (1, 15.0)
    assert curves["host_disk_ratio"]["limit"] == 0.85
    assert curves["host_disk_ratio"]["origin"] == "agent"
    assert len(curves["host_disk_ratio"]["values"]) == 240
    assert curves["request_rate"]["values"][0] is None
    assert bench.run("metrics", "--since", "1h") == 0
    assert "from the agent's history" in capsys.readouterr().out


@pytest.mark.parametrize("since", ["5", "yesterday", "1s", "400d"])
def test_a_range_that_makes_no_sense_is_a_usage_error(bench: Bench, since: str) -> None:
    assert bench.run("metrics", "--since", since) == 2


def test_a_silence_is_made_listed_ended_and_recorded(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    done = read(
        bench, capsys, "alerts", "silence", "DiskSpace", "--for", "2h", "--reason", "swap", "--yes"
    )
    assert (done["event"], done["outcome"], done["exit_code"]) == ("end", "done", 0)
    (change,) = bench.engine.journal.changes(1)
    assert (change.what, change.actor, change.reason) == ("silence DiskSpace", "tester", "swap")

    assert bench.run("alerts", "unsilence", "DiskSpace", "--reason", "done", "--yes") == 0
    assert "no longer silenced" in capsys.readouterr().out
    assert bench.run("alerts", "unsilence", "DiskSpace", "--reason", "done", "--yes") == 3
    assert "is not silenced" in capsys.readouterr().err


def test_without_a_reason_a_name_or_a_confirmation_nothing_happens(bench: Bench) -> None:
    silence = ("alerts", "silence")
    assert bench.run(*silence, "DiskSpace", "--for", "1h", "--yes") == 2
    assert bench.run(*silence, "Nope", "--for", "1h", "--reason", "x", "--yes") == 2
    assert bench.run(*silence, "DiskSpace", "--for", "8d", "--reason", "x", "--yes") == 2
    assert bench.run(*silence, "DiskSpace", "--for", "soon", "--reason", "x", "--yes") == 2
    assert bench.run(*silence, "DiskSpace", "--reason", "x") == 2  # no terminal
    assert bench.run(*silence, "DiskSpace", "--dry-run") == 0
    assert bench.engine.journal.changes() == []


def test_in_production_it_needs_write_access(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.engine.settings = replace(bench.settings, environment="production")

    assert bench.run("alerts", "silence", "DiskSpace", "--reason", "x", "--yes") == 3
    assert "fragrance elevate" in capsys.readouterr().err
    assert bench.run("alerts", "unsilence", "DiskSpace", "--reason", "x", "--yes") == 3
    assert bench.engine.journal.changes() == []


def test_the_procedure_of_an_alert_can_be_read(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench.run("alerts", "show", "HighErrorRate") == 0
    assert "    fragrance logs app --errors" in capsys.readouterr().out
    assert read(bench, capsys, "alerts", "show", "higherrorrate")["title"] == "High error rate"
    assert bench.run("alerts", "show", "Nope") == 2


def test_all_alerts_are_told_with_silences_and_what_is_over(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    told = read(bench, capsys, "alerts")

    assert {"alerts", "silences", "ended_alerts", "sources", "taken_at"} <= told.keys()
