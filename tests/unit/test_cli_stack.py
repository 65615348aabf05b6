"""``start`` and ``stop`` as the operator meets them, on a runtime in memory."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import pytest

from console.cli.main import main
from console.domain.metrics import Metrics
from console.domain.operations import Actor, Change, Operation, OperationState
from console.domain.plans import Plan
from console.domain.services import Health, Role, Service, Topology
from console.domain.snapshot import AgentState, Overall, Snapshot
from console.engine import Engine
from console.errors import ConsoleError, ReadOnly
from console.ports import LogRequest
from console.settings import Settings
from tests.fakes.runtime import FakeRuntime

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Time:
    at: datetime = NOW

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return 0.0

    def sleep(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


@dataclass
class Notes:
    """The part of a journal that these commands use."""

    changes: list[Change] = field(default_factory=list)
    open: Operation | None = None
    broken: bool = False
    noted: dict[str, str] = field(default_factory=dict)

    def record(self, change: Change, note: tuple[str, str] | None = None) -> None:
        if self.broken:
            raise ConsoleError("the journal is full")
        self.changes.append(change)
        self.noted |= dict([note] if note else [])

    def note(self, key: str) -> str | None:
        return self.noted.get(key)

    def unfinished(self) -> Operation | None:
        return self.open


class Bench:
    """The engine as far as these commands use it."""

    def __init__(self, state: Path) -> None:
        self.settings = Settings(project=state, state=state)
        self.runtime = FakeRuntime((("app", Role.APP, 1),), up=False)
        self.clock = Time()
        self.journal = Notes()
        self.actor = Actor("kim", 1000)
        self.write = True
        #: Health told by one snapshot after the other; the last one stays.
        self.healths = [Health.HEALTHY]

    def snapshot(self) -> Snapshot:
        health = self.healths.pop(0) if len(self.healths) > 1 else self.healths[0]
        topology = self.runtime.topology()
        return Snapshot(
            taken_at=self.clock.now(),
            environment="dev",
            runtime="fake",
            release=None,
            overall=Overall.HEALTHY,
            endpoints=topology.endpoints,
            agent=AgentState.ABSENT,
            services=tuple(
                Service(
                    name=fact.name,
                    role=fact.role,
                    desired=fact.desired,
                    ready=fact.desired if health is Health.HEALTHY else 0,
                    health=health,
                    reason="" if health is Health.HEALTHY else "loading for 3 s",
                    release=None,
                    cpu_cores=None,
                    cpu_ratio=None,
                    memory_bytes=None,
                    memory_limit_bytes=None,
                    restarts=0,
                    replicas=(),
                )
                for fact in topology.services
            ),
            queues=(),
            metrics=Metrics(),
            sources=(),
        )

    def logs(self, request: LogRequest) -> object:
        return self.runtime.logs(request)

    def require_write(self) -> None:
        if not self.write:
            raise ReadOnly("read-only: this is prod")

    def run(self, *arguments: str) -> int:
        def build(settings: Settings) -> Engine:
            self.settings = settings
            return cast("Engine", self)

        return main(["--state", str(self.settings.state), *arguments], build)[0]


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.delenv("APP_ENV", raising=False)
    monkeypatch.setattr("console.cli.stack.HEALTHY_SECONDS", 0.0)
    return Bench(tmp_path)


def test_the_first_start_turns_the_autoscaler_on_where_the_settings_say_so(
    bench: Bench, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = bench.runtime.topology

    def with_settings() -> Topology:
        return replace(seen(), settings={"AUTO_SCALING": "true"})

    assert bench.run("start", "--detach") == 0
    assert bench.journal.noted == {}
    monkeypatch.setattr(bench.runtime, "topology", with_settings)
    assert bench.run("start", "--detach") == 0
    assert "autoscaling is on: app, worker-llm, worker-rl" in capsys.readouterr().err
    assert json.loads(bench.journal.noted["autoscale"]).keys() == {"app", "worker-llm", "worker-rl"}
    bench.journal.noted["autoscale"] = "{}"  # somebody has turned it off since
    assert bench.run("start", "--detach") == 0
    assert bench.journal.noted["autoscale"] == "{}"


def test_start_says_where_it_is_and_is_recorded(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench.run("start", "--detach", "--reason", "demo") == 0
    told = capsys.readouterr()
    assert "http://127.0.0.1:8000" in told.out
    assert "fragrance status" in told.out
    assert "started" in told.err
    (change,) = bench.journal.changes
    assert (change.what, change.outcome, change.reason) == ("start", "done", "demo")
    assert (bench.settings.state / "environment").read_text() == "dev\n"


def test_a_second_start_changes_and_records_nothing(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.run("start", "--detach")
    capsys.readouterr()
    assert bench.run("start", "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["event"], answer["outcome"]) == ("end", "done")
    assert answer["message"] == "already running"
    assert answer["endpoints"] == {"api": "http://127.0.0.1:8000"}
    assert len(bench.journal.changes) == 1


def test_a_start_after_a_crash_says_what_it_brings_back_and_records_it(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.run("start", "--detach")
    bench.runtime.crash("app-1")
    capsys.readouterr()

    assert bench.run("start", "--json", "--reason", "host died") == 0

    told = capsys.readouterr()
    assert "should run and does not: app-1 (killed by SIGKILL)" in told.err
    assert json.loads(told.out)["message"] == "brought back app-1"
    change = bench.journal.changes[-1]
    assert (change.what, change.outcome) == ("start: brought back app-1", "done")
    assert change.reason == "host died"


def test_a_start_after_a_stop_brings_nothing_back_that_was_lost(bench: Bench) -> None:
    bench.run("start", "--detach")
    bench.run("stop")

    assert bench.run("start", "--json") == 0

    assert [change.what for change in bench.journal.changes] == ["start", "stop", "start"]


def test_a_start_that_does_not_get_healthy_says_what_and_fails(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.healths = [Health.STARTING]
    assert bench.run("start", "--detach") == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert "app 0/1 starting (loading for 3 s)" in told.err
    assert "next: fragrance logs app" in told.err
    assert bench.journal.changes[0].outcome.startswith("failed: not healthy")


def test_a_broken_journal_does_not_keep_the_stack_down(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.journal.broken = True
    assert bench.run("start", "--detach") == 0
    assert "not recorded in the journal: the journal is full" in capsys.readouterr().err


def test_stop_stops_and_again_is_no_fault(bench: Bench) -> None:
    bench.run("start", "--detach")
    assert bench.run("stop") == 0
    assert not bench.runtime.topology().running
    assert bench.run("stop") == 0
    assert [change.what for change in bench.journal.changes] == ["start", "stop"]


def test_production_is_not_stopped_without_write_access_nor_without_a_word(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("APP_ENV", "prod")
    assert bench.run("start", "--detach") == 0, "starting needs no leave: production is down"
    bench.write = False
    assert bench.run("stop", "--yes") == 3
    bench.write = True
    assert bench.run("stop") == 2
    assert "--yes" in capsys.readouterr().err
    assert bench.runtime.topology().running
    assert bench.run("stop", "--yes") == 0


def test_stop_waits_for_no_running_operation_but_refuses(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.run("start", "--detach")
    plan = Plan("scale", "app 1 → 2", ())
    operation = Operation("op-1", "scale", bench.actor, "", OperationState.RUNNING, plan, NOW)
    bench.journal.open = operation
    assert bench.run("stop") == 3
    assert "op-1" in capsys.readouterr().err
    bench.journal.open = replace(operation, state=OperationState.INTERRUPTED)
    assert bench.run("stop") == 0


def test_an_environment_is_not_changed_by_slip(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.run("start", "--detach")
    monkeypatch.setenv("APP_ENV", "staging")
    assert bench.run("start", "--detach") == 3
    assert "runs as dev" in capsys.readouterr().err
    bench.run("stop")
    assert bench.run("start", "--detach") == 0
    assert (bench.settings.state / "environment").read_text() == "staging\n"
    bench.run("stop")
    (bench.settings.state / "environment").write_text("prod\n")
    assert bench.run("start", "--detach") == 3
    assert "this stack is prod and APP_ENV says staging" in capsys.readouterr().err


def test_a_runtime_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    from console.bootstrap import build_engine

    arguments = ["--state", str(tmp_path), "start", "--detach", "--runtime", "swarm"]
    assert main(arguments, build_engine)[0] == 3


def test_a_stack_that_runs_is_not_started_on_another_runtime(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.run("start", "--detach")
    assert (bench.settings.state / "runtime").read_text() == "fake\n"
    assert bench.run("start", "--detach", "--runtime", "compose") == 3
    assert "this stack runs on fake" in capsys.readouterr().err
    bench.run("stop")
    assert bench.run("start", "--detach", "--runtime", "compose") == 0
