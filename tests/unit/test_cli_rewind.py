"""``status --at``: the picture of a moment, or one line why there is none."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from console.clock import SystemClock
from console.domain.policy import RewindPolicy
from console.domain.snapshot import Snapshot
from console.engine import Engine
from console.journal.film import FilmStore
from tests.unit.test_assemble import picture
from tests.unit.test_status import Bench

#: Long ago, and all of it on one day whenever the test runs.
BEGIN = datetime.now(UTC).replace(hour=3, minute=10, second=0, microsecond=0) - timedelta(days=2)


class Twin(Bench):
    """The command line of a stack with pictures of the past."""

    def __init__(self, state: Path) -> None:
        super().__init__(state)
        clock = SystemClock()
        self.film = FilmStore(state, clock, RewindPolicy(kept_hours=24 * 7))
        self.engine = Engine(
            settings=self.settings,
            runtime=self.runtime,
            collector=self.engine.collector,
            pictures=self.pictures,
            journal=self.engine.journal,
            history=self.engine._history,
            planners={},
            launch_runner=lambda *_: None,
            actor=self.engine.actor,
            clock=clock,
            film=self.film,
        )

    def shoot(self, seconds: float) -> Snapshot:
        taken = replace(picture(now=BEGIN + timedelta(seconds=seconds)), environment="then")
        self.film.append(taken)
        return taken


@pytest.fixture
def twin(tmp_path: Path) -> Iterator[Twin]:
    made = Twin(tmp_path)
    yield made
    made.film.close()
    made.engine.close()


def typed(seconds: float) -> str:
    return f"{BEGIN + timedelta(seconds=seconds):%Y-%m-%d %H:%M:%S}"


def test_the_picture_of_a_moment_is_told_as_one_of_the_past(
    twin: Twin, capsys: pytest.CaptureFixture[str]
) -> None:
    twin.shoot(0)
    taken = twin.shoot(10)

    assert twin.run("status", "--at", typed(14)) == 0
    first, second, *_ = capsys.readouterr().out.splitlines()
    assert first.startswith(f"as it was at {taken.taken_at:%Y-%m-%d %H:%M:%S} UTC, ")
    assert first.endswith(" ago: not the present")
    assert " then on " in second

    assert twin.run("status", "--json", "--at", typed(14)) == 0
    told = json.loads(capsys.readouterr().out)
    assert datetime.fromisoformat(told["taken_at"]) == taken.taken_at
    assert datetime.fromisoformat(told["asked_at"]) == BEGIN + timedelta(seconds=14)
    assert told["access"] is None
    assert told["schema_version"] == 1


def test_a_moment_of_which_nothing_was_kept(twin: Twin, capsys: pytest.CaptureFixture[str]) -> None:
    def refused(at: str) -> str:
        assert twin.run("status", "--at", at) == 5
        told = capsys.readouterr()
        assert told.out == ""
        first, following = told.err.splitlines()
        assert following.strip().startswith("next: ")
        return first.removeprefix("fragrance: ")

    assert refused("-20m") == "nothing was kept of the past: no agent has run here"
    twin.shoot(0)
    twin.shoot(600)
    assert refused(typed(300)) == (
        f"nothing was kept of {typed(300)} UTC: no agent ran from "
        f"{BEGIN:%H:%M:%S} to {BEGIN + timedelta(seconds=600):%H:%M:%S}"
    )
    assert refused(typed(-60)) == f"nothing was kept before {typed(1)} UTC"


@pytest.mark.parametrize("words", ["soon", "27:00", "2999-01-01", "-20", ""])
def test_what_is_no_moment_is_a_usage_error(
    twin: Twin, capsys: pytest.CaptureFixture[str], words: str
) -> None:
    assert twin.run("status", "--at", words) == 2
    first, following = capsys.readouterr().err.splitlines()
    assert words.lstrip("-") in first
    assert following == "  next: fragrance status --at 03:10  (or -20m)"
