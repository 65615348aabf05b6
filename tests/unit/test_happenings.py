"""What happened to a stack: told from two pictures, joined with what people did."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from console.domain.differences import happenings
from console.domain.happenings import Happening, Kind, concerning, merged
from console.domain.incidents import IncidentSummary, Severity
from console.domain.operations import Change, OperationState
from console.domain.services import Drift, Health
from console.journal.history import HistoryStore
from tests.fakes import operations, pictures
from tests.fakes.pictures import NOW
from tests.unit.test_status import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.engine.close()


def told(before: object, after: object) -> dict[str, Happening]:
    return {one.words: one for one in happenings(before, after)}  # type: ignore[arg-type]


def test_alerts_begin_and_end() -> None:
    begun = told(pictures.normal(), pictures.failed())
    alert = next(one for one in begun.values() if one.kind is Kind.ALERT)
    assert alert.words.startswith("alert HighErrorRate firing (critical): 5xx")
    assert alert.grave
    ended = told(pictures.failed(), pictures.normal())
    assert not ended["alert HighErrorRate is over"].grave


def test_a_restart_is_told_though_the_replica_is_well_again() -> None:
    before = pictures.normal()
    app = before.services[0]
    again = replace(app.replicas[0], restarts=1, pid=77)
    after = pictures.normal(
        services=(replace(app, replicas=(again, app.replicas[1])), *before.services[1:])
    )
    (one,) = happenings(before, after)
    assert one.words == "app-1 healthy → healthy; restarted, 1 times in all"
    assert one.grave
    assert one.subject == "app-1"


def test_settings_releases_drift_and_incidents_are_told() -> None:
    before = pictures.normal(settings={"LOG_LEVEL": "INFO", "CACHE_TTL": "60"})
    app = replace(before.services[0], release="1.4.3", drift=(Drift("another image", "up"),))
    after = pictures.normal(
        settings={"LOG_LEVEL": "DEBUG"},
        services=(app, *before.services[1:]),
        incident=IncidentSummary("inc-1", Severity.P1, "slow", "investigating", NOW),
    )
    words = told(before, after)
    assert words["setting LOG_LEVEL INFO → DEBUG"].kind is Kind.SETTING
    assert "setting CACHE_TTL 60 → its default" in words
    assert words["app release 1.4.2 → 1.4.3"].kind is Kind.RELEASE
    assert words["app drifts: another image"].grave
    assert words["incident P1 slow: investigating"].grave
    back = told(after, before)
    assert "app is again as it is written down" in back
    assert "incident slow is over" in back


def test_settings_that_cannot_be_read_were_not_taken_away() -> None:
    before = pictures.normal(settings={"LOG_LEVEL": "INFO"})
    assert not [o for o in happenings(before, pictures.blind(NOW)) if o.kind is Kind.SETTING]


def test_what_people_did_stands_among_it_in_order() -> None:
    crash = Happening(NOW - timedelta(minutes=5), Kind.REPLICA, "app-1", "app-1 crashed", True)
    step = Happening(NOW, Kind.OPERATION, "op-7", "operation scale op-7: running, step 1")
    changes = [
        Change(NOW - timedelta(minutes=9), "ana", "elevate 15 min", "done", "queue grows"),
        Change(NOW - timedelta(minutes=2), "ben", "restart app ×2", "reverted", "", "op-6"),
    ]
    running = operations.operation(OperationState.RUNNING)
    done = operations.operation(OperationState.DONE)

    found = merged([crash, step], changes, [running, done])

    assert [one.words for one in found] == [
        "restart app ×2 · reverted",
        "scale worker-llm 2 → 4 · running · queue growing",
        "app-1 crashed",
        "elevate 15 min · done · queue grows",
    ]
    assert [one.grave for one in found] == [True, False, True, False]
    assert [one.words for one in concerning(found, "app")] == [
        "restart app ×2 · reverted",
        "app-1 crashed",
    ]
    assert concerning(found, "ap") == []


def test_the_command_prints_it_oldest_first(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    now = datetime.now(UTC)
    history = HistoryStore(bench.settings.state, bench.engine.clock)
    history.note(
        [
            Happening(
                now - timedelta(minutes=5), Kind.REPLICA, "app-1", "app-1 \x1b[2J died", True
            ),
            Happening(now - timedelta(hours=3), Kind.ALERT, "Slow", "alert Slow is over"),
        ]
    )
    history.close()
    bench.engine.journal.record(Change(now, "tester", "start", "done", "first light"))

    assert bench.run("changes") == 0
    crash, start = capsys.readouterr().out.splitlines()
    assert "! replica   app-1 [2J died" in crash
    assert "\x1b" not in crash
    assert start.endswith("start · done · first light  by tester")

    assert bench.run("changes", "--since", "4h", "--json") == 0
    whole = json.loads(capsys.readouterr().out)
    assert [one["kind"] for one in whole["changes"]] == ["alert", "replica", "change"]
    assert whole["changes"][0]["actor"] is None

    assert bench.run("changes", "--service", "redis") == 0
    assert "nothing happened in the last 1h to redis" in capsys.readouterr().out
    assert bench.run("changes", "--since", "2d") == 2
    assert bench.run("changes", "--since", "soon") == 2


def test_the_worst_is_marked_grave() -> None:
    found = happenings(pictures.normal(), pictures.failed())
    llm = next(one for one in found if one.subject == "worker-llm")
    assert llm.grave
    assert Health.UNHEALTHY.value in llm.words


def test_the_words_of_the_engine_are_for_who_asks_why(bench: Bench) -> None:
    now = datetime.now(UTC)
    history = HistoryStore(bench.settings.state, bench.engine.clock)
    history.note([Happening(now, Kind.RUNTIME, "app-1", "app-1 out of memory", True)])
    history.close()
    assert bench.engine.happened(60) == []
    assert [one.words for one in bench.engine.happened(60, "app")] == ["app-1 out of memory"]
