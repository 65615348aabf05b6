"""What a plan is made from: the agent's picture where it is of now, else one taken now."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from console.domain.operations import Actor
from console.domain.plans import Plan
from console.domain.readings import SourceState, SourceStatus
from console.domain.services import Limits
from console.domain.snapshot import AgentState, Snapshot
from console.engine import PLANNED_FROM_SECONDS, Engine
from console.operations.request import PlanRequest
from console.settings import load_settings
from tests.fakes.clock import FakeClock
from tests.fakes.journal import FakeJournal
from tests.fakes.stack import ModelStack

ALL = None
RUNTIME_ONLY = frozenset({"runtime"})


class Bench:
    """A stack, the agent's picture of it, and an engine that says what it asked and used."""

    def __init__(self, state: Path) -> None:
        self.clock = FakeClock()
        self.stack = ModelStack(self.clock)
        self.stack.page = True
        self.picture: Snapshot | None = self.stack.snapshot()
        self.alive = True
        self.asked: list[frozenset[str] | None] = []
        self.used: list[Snapshot] = []
        self.engine = Engine(
            settings=load_settings(state=str(state)),
            runtime=self.stack,
            collector=cast(Any, self),
            pictures=cast(Any, self),
            journal=FakeJournal(self.clock),
            history=cast(Any, None),
            planners={"look": self._plan},
            launch_runner=lambda *_: None,
            actor=Actor("anna", 1000),
            clock=self.clock,
        )

    def collect(self, names: Collection[str] | None = None) -> Snapshot:
        self.asked.append(None if names is None else frozenset(names))
        return replace(self.stack.snapshot(names), agent=AgentState.ABSENT)

    def agent_alive(self) -> bool:
        return self.alive

    def read(self) -> Snapshot | None:
        return self.picture

    def _plan(self, request: PlanRequest) -> Plan:
        self.used.append(request.snapshot)
        return Plan("look", "at it", ())

    def plan(self) -> Snapshot:
        self.asked.clear()
        self.engine.plan("look", {})
        return self.used[-1]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_the_agents_picture_serves_while_the_runtime_tells_the_same(bench: Bench) -> None:
    assert bench.plan() is bench.picture
    assert bench.asked == [RUNTIME_ONLY]


@pytest.mark.parametrize(
    "change",
    [
        lambda stack: stack.start_replica("app", "app-9", {}),
        lambda stack: stack.remove_replica("app-1", 1.0),
        lambda stack: stack.restart_replica("app-1", 1.0),
        lambda stack: stack.set_limits("app-1", Limits(cpu_cores=0.5)),
        lambda stack: stack.write_settings({"LOG_LEVEL": "DEBUG"}),
        lambda stack: stack.set_maintenance(on=True),
    ],
    ids=["started", "leaving", "restarted", "limited", "set", "maintenance"],
)
def test_what_changed_since_the_picture_is_planned_with(
    bench: Bench, change: Callable[[ModelStack], None]
) -> None:
    change(bench.stack)

    used = bench.plan()

    assert bench.asked == [RUNTIME_ONLY, ALL]
    assert used == replace(bench.stack.snapshot(), agent=AgentState.RUNNING)


def test_an_older_picture_is_taken_anew(bench: Bench) -> None:
    bench.clock.advance(PLANNED_FROM_SECONDS + 0.1)

    assert bench.plan().taken_at == bench.clock.now()
    assert bench.asked[-1] is ALL


def test_a_picture_with_a_source_that_fails_is_taken_anew(bench: Bench) -> None:
    assert bench.picture is not None
    failed = SourceStatus("broker", SourceState.FAILED, None, "no answer")
    bench.picture = replace(bench.picture, sources=(*bench.picture.sources, failed))

    bench.plan()

    assert bench.asked == [ALL]


def test_without_an_agent_everything_is_asked(bench: Bench) -> None:
    bench.alive = False

    assert bench.plan().agent is AgentState.ABSENT
    assert bench.asked == [ALL]
