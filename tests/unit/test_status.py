"""``status`` and its parts: what an operator reads, and what a script may rely on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from console.cli.figures import duration, number, percent, size
from console.cli.main import main
from console.cli.status_lines import alert_lines, metric_lines, queue_lines, status_lines
from console.clock import SystemClock
from console.collector import Collector
from console.domain.alerts import Alert, AlertSeverity, AlertState
from console.domain.differences import differences
from console.domain.operations import (
    Actor,
    Change,
    OpenQuestion,
    OperationState,
    OperationSummary,
)
from console.domain.queues import Queue
from console.domain.readings import SourceState, SourceStatus
from console.domain.services import Health, ReplicaState, Role
from console.domain.snapshot import AgentState, Snapshot
from console.engine import Engine
from console.journal.agent_lock import AgentLock
from console.journal.history import HistoryStore
from console.journal.picture import PictureFile
from console.journal.store import JournalStore
from console.settings import PROJECT, Settings
from console.sources.runtime_state import RuntimeSource
from tests.fakes.runtime import FakeRuntime
from tests.unit.test_assemble import (
    NOW,
    everything,
    picture,
    product,
    replica,
    running,
    service,
)

KEYS = {
    "schema_version", "taken_at", "environment", "runtime", "release", "overall", "endpoints",
    "agent", "services", "queues", "metrics", "sources", "alerts", "operation", "incident",
}  # fmt: skip
SERVICE_KEYS = {
    "name", "role", "desired", "ready", "health", "reason", "release", "cpu_cores", "cpu_ratio",
    "memory_bytes", "memory_limit_bytes", "restarts", "replicas",
}  # fmt: skip
REPLICA_KEYS = {
    "id", "name", "state", "health", "reason", "release", "started_at", "cpu_ratio",
    "memory_bytes", "restarts", "health_output",
}  # fmt: skip
QUEUE_KEYS = {
    "name", "depth", "in_flight", "oldest_age_seconds", "arrived_per_second",
    "completed_per_second", "workers", "busy_average", "failed_per_second",
}  # fmt: skip
METRIC_KEYS = {
    "request_rate", "error_ratio", "p50_seconds", "p95_seconds", "p99_seconds",
    "requests_in_flight",
    "database_connections", "database_connections_max", "redis_memory_bytes", "host_cpu_ratio",
    "host_memory_ratio", "host_disk_ratio",
}  # fmt: skip


class Bench:
    """An engine on a fake runtime, and the command line in front of it."""

    def __init__(self, state: Path) -> None:
        self.settings = Settings(project=state, state=state)
        self.runtime = FakeRuntime(clock=lambda: datetime.now(UTC))
        self.pictures = PictureFile(state)
        clock = SystemClock()
        self.engine = Engine(
            settings=self.settings,
            runtime=self.runtime,
            collector=Collector([RuntimeSource(self.runtime)], self.settings, self.runtime, clock),
            pictures=self.pictures,
            journal=JournalStore(state, clock),
            history=HistoryStore(state, clock),
            planners={},
            launch_runner=lambda *_: None,
            actor=Actor("tester", 0),
            clock=clock,
        )

    def run(self, *words: str) -> int:
        return main([*words, "--state", str(self.settings.state)], lambda _: self.engine)[0]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.engine.close()


def sick() -> Snapshot:
    dead = replica("app-1", ReplicaState.BACKOFF, exit_reason="killed by SIGKILL", restarts=3)
    return picture(
        everything(runtime=running(product(app=service("app", Role.APP, dead, replica("app-2")))))
    )


class TestLines:
    def test_the_whole_in_one_word_comes_first_and_the_worst_service_next(self) -> None:
        lines = status_lines(sick())

        assert lines[0].startswith("DEGRADED  dev on fake, release v1")
        first = next(line for n, line in enumerate(lines) if lines[n - 1].startswith("Service"))
        assert first.startswith("app ")
        assert "1 of 2 ready: app-1: killed by SIGKILL, restarted 3 times" in first
        assert "    app-1: unhealthy, killed by SIGKILL, restarted 3 times" in lines

    def test_a_source_that_fails_while_the_stack_runs_is_named(self) -> None:
        failed = SourceStatus("database", SourceState.FAILED, None, "no answer within 2 s")

        lines = status_lines(replace(sick(), sources=(failed,)))

        assert "source database: failed, no answer within 2 s" in lines

    def test_what_the_project_gives_nothing_to_ask_for_is_no_trouble(self) -> None:
        words = "no database service with a known address"
        absent = SourceStatus("database", SourceState.FAILED, None, words, configured=False)

        lines = status_lines(replace(sick(), sources=(absent,)))

        assert not [line for line in lines if line.startswith("source ")]
        assert differences(replace(sick(), sources=()), replace(sick(), sources=(absent,))) == []

    def test_what_cannot_be_seen_is_not_called_stopped(self) -> None:
        blind = SourceStatus("runtime", SourceState.FAILED, None, "the engine is away")

        lines = status_lines(replace(sick(), services=(), running=False, sources=(blind,)))

        assert "what runs cannot be seen" in lines[0]
        assert "source runtime: failed, the engine is away" in lines
        assert "not running" not in lines[0]
        assert "next: fragrance start" not in lines

    def test_what_may_be_ready_is_not_counted_as_down(self) -> None:
        whole = picture().service("app")
        assert whole is not None
        lost = replace(whole.replicas[0], health=Health.UNKNOWN)

        some = replace(whole, ready=1, replicas=(lost, whole.replicas[1]))
        none = replace(whole, ready=0, replicas=(lost, lost))
        down = replace(
            none, replicas=tuple(replace(lost, health=Health.UNHEALTHY) for _ in range(2))
        )

        told = [service.ready_words for service in (whole, some, none, down)]
        assert told == ["2/2", "≥1/2", "?/2", "0/2"]

    def test_unknown_is_never_drawn_as_0(self) -> None:
        text = "\n".join(status_lines(picture({"runtime": everything()["runtime"]})))

        assert "Database  ? of ? connections" in text
        assert "cpu ?, memory ?, disk ?" in text
        assert " 0 %" not in text

    def test_an_absent_agent_and_a_silent_source_are_said(self) -> None:
        observations = everything()
        del observations["database"]
        lines = status_lines(picture(observations | {"database": everything()["host"]}))
        absent = [line for line in lines if line.startswith("agent: absent")]

        assert len(absent) == 1
        gone = replace(picture(), agent=AgentState.RUNNING)
        assert not [line for line in status_lines(gone) if "absent" in line]

    def test_a_running_operation_is_said(self) -> None:
        operation = OperationSummary(
            "op1", "scale", OperationState.RUNNING, "start-app-3", NOW, "kim"
        )

        lines = status_lines(replace(picture(), operation=operation))

        assert "operation: scale running at start-app-3, by kim (op1)" in lines

    def test_what_an_operation_asks_is_said_with_the_command(self) -> None:
        choices = {"yes": "on", "no": "back"}
        asked = OpenQuestion("watch-app-at-2", "go on?", "60 tasks wait", choices, NOW, NOW)
        operation = OperationSummary(
            "op1", "scale", OperationState.RUNNING, "watch-app-at-2", NOW, "kim", asked
        )
        lines = status_lines(replace(picture(), operation=operation))

        assert "question: go on? (fragrance operations answer op1 yes|no)" in lines

    def test_a_queue_says_whether_it_drains(self) -> None:
        queues = (
            Queue("llm", 120, 4, 65.0, 1.0, 2.0, 3),
            Queue("rl", 3, 0, None, 0.1, 0.0, 0),
            Queue("new", None, None, None, None, None, None),
            Queue("idle", 0, 0, None, 0.0, 0.0, 1),
        )

        rows = [line.split("  ") for line in queue_lines(replace(picture(), queues=queues))]
        cells = [[cell.strip() for cell in row if cell.strip()] for row in rows]

        assert cells[1] == ["llm", "120", "4", "1 min 5 s", "1", "2", "3", "2 min 0 s"]
        assert cells[2] == ["rl", "3", "0", "?", "0.1", "0", "0", "never"]
        assert cells[3] == ["new", "?", "?", "?", "?", "?", "?", "?"]
        assert cells[4] == ["idle", "0", "0", "-", "0", "0", "1", "-"]

    def test_alerts_name_their_procedure(self) -> None:
        alert = Alert(
            "HighErrorRate",
            AlertSeverity.CRITICAL,
            AlertState.FIRING,
            NOW - timedelta(minutes=5),
            "higherrorrate",
            "7 % of requests fail",
        )

        assert alert_lines(replace(picture(), alerts=(alert,))) == [
            "firing critical HighErrorRate for 5 min 0 s: 7 % of requests fail",
            "  procedure: RUNBOOK.md#higherrorrate",
        ]
        assert alert_lines(picture()) == ["No alerts."]

    def test_a_quiet_minute_has_no_percentiles_rather_than_unknown_ones(self) -> None:
        quiet = replace(picture(), metrics=replace(picture().metrics, request_rate=0.0))

        assert metric_lines(quiet)[:2] == ["Requests  0 /s, 5xx -", "          p50 -, p95 -, p99 -"]

    def test_text_from_outside_cannot_steer_the_terminal(self) -> None:
        evil = replica("app-1", ReplicaState.BACKOFF, exit_reason="\x1b[2Jgone\nfine")
        snapshot = picture(everything(runtime=running(product(app=service("app", Role.APP, evil)))))

        assert all(line.isprintable() for line in status_lines(snapshot))

    @pytest.mark.parametrize(
        ("told", "meant"),
        [
            (number(None), "?"),
            (number(3.0, "/s"), "3 /s"),
            (number(0.25, digits=2), "0.25"),
            (percent(0.955), "96 %"),
            (size(1536 * 1024**2), "1.5 GiB"),
            (duration(0.25), "250 ms"),
            (duration(7500), "2 h 5 min"),
            (duration(float("inf")), "never"),
        ],
    )
    def test_figures_are_words_of_fixed_meaning(self, told: str, meant: str) -> None:
        assert told == meant


class TestDifferences:
    def test_only_changes_of_state_are_told(self) -> None:
        calm = picture()
        busier = replace(calm, metrics=replace(calm.metrics, request_rate=9.0), taken_at=NOW)

        assert differences(calm, busier) == []
        told = differences(calm, sick())
        assert told[0] == "overall healthy → degraded"
        assert "app-1 healthy → unhealthy: killed by SIGKILL, restarted 3 times" in told

    def test_what_comes_and_goes_is_told(self) -> None:
        more = picture(
            everything(
                runtime=running(
                    product(app=service("app", Role.APP, *(replica(f"app-{n}") for n in (1, 2, 3))))
                )
            )
        )

        assert any(line.startswith("app-3 appeared") for line in differences(picture(), more))
        assert "app-3 is gone" in differences(more, picture())


class TestCommand:
    def read(self, bench: Bench, capsys: pytest.CaptureFixture[str], *words: str) -> Any:
        assert bench.run(*words) == 0
        return json.loads(capsys.readouterr().out)

    def test_json_is_the_contract(self, bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
        told = self.read(bench, capsys, "status", "--json")

        assert set(told) >= KEYS
        assert set(told["services"][0]) >= SERVICE_KEYS
        assert set(told["services"][0]["replicas"][0]) >= REPLICA_KEYS
        assert set(told["metrics"]) >= METRIC_KEYS
        assert told["agent"] == "absent"
        assert told["metrics"]["database_connections"] is None

    def test_with_an_agent_its_picture_is_shown(
        self, bench: Bench, capsys: pytest.CaptureFixture[str]
    ) -> None:
        lock = AgentLock(bench.settings.state)
        assert lock.take()
        bench.pictures.write(
            replace(picture(), taken_at=datetime.now(UTC), agent=AgentState.RUNNING)
        )
        bench.runtime.unreachable = "nobody should ask"

        told = self.read(bench, capsys, "status", "--json")
        lock.release()

        assert told["agent"] == "running"
        assert set(told["queues"][0]) == QUEUE_KEYS

    def test_a_picture_that_does_not_know_of_the_last_change_is_waited_out(
        self, bench: Bench, capsys: pytest.CaptureFixture[str]
    ) -> None:
        lock = AgentLock(bench.settings.state)
        assert lock.take()
        now = datetime.now(UTC)
        before = replace(picture(), taken_at=now, agent=AgentState.RUNNING)
        change = Change(now, "kim", "keys revoke old", "done")
        bench.pictures.write(before)
        bench.engine.journal.record(change)
        later = threading.Timer(
            0.3, lambda: bench.pictures.write(replace(before, changes=(change,)))
        )
        later.start()

        told = self.read(bench, capsys, "status", "--json")
        later.join()

        assert [c["what"] for c in told["changes"]] == ["keys revoke old"]
        assert told["release"] == before.release  # the agent's own, not one collected here

        bench.pictures.write(before)
        alone = self.read(bench, capsys, "status", "--json")
        lock.release()

        assert alone["services"][0]["name"] == bench.runtime.topology().services[0].name
        assert alone["agent"] == "running"

    def test_a_picture_of_a_dead_agent_is_not(
        self, bench: Bench, capsys: pytest.CaptureFixture[str]
    ) -> None:
        bench.pictures.write(
            replace(picture(), taken_at=datetime.now(UTC), agent=AgentState.RUNNING)
        )

        assert self.read(bench, capsys, "status", "--json")["agent"] == "absent"

    @pytest.mark.parametrize("part", ["queues", "metrics", "alerts"])
    def test_parts_can_be_read_alone(
        self, bench: Bench, capsys: pytest.CaptureFixture[str], part: str
    ) -> None:
        assert part in self.read(bench, capsys, part, "--json")
        assert bench.run(part) == 0
        assert capsys.readouterr().out

    def test_bad_health_is_no_failure_of_the_command(
        self, bench: Bench, capsys: pytest.CaptureFixture[str]
    ) -> None:
        bench.runtime.crash("postgres-1")

        assert bench.run("status") == 0
        assert capsys.readouterr().out.startswith("UNHEALTHY")

    def test_where_nothing_runs_that_is_said_once_and_not_per_source(
        self, bench: Bench, tmp_path: Path
    ) -> None:
        code = (
            "import sys\n"
            "from console.bootstrap import build_engine\n"
            "from console.cli.main import main\n"
            "main(['status', '--state', sys.argv[1]], build_engine)\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path)],
            cwd=PROJECT,
            env=os.environ | {"DOCKER_HOST": "unix:///nowhere"},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

        assert done.stdout.startswith("UNKNOWN  dev on embedded, not running")
        assert "next: fragrance start" in done.stdout
        assert "source" not in done.stdout
        assert done.stderr == ""

    def test_5_when_nothing_could_be_read(
        self, bench: Bench, capsys: pytest.CaptureFixture[str]
    ) -> None:
        bench.runtime.unreachable = "the supervisor is gone"

        assert bench.run("status", "--json") == 5

        said = capsys.readouterr()
        assert json.loads(said.out)["overall"] == "unknown"
        assert "nothing could be read: the supervisor is gone" in said.err

    def test_a_query_without_prometheus_is_refused(
        self, bench: Bench, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert bench.run("metrics", "up") == 3
        assert "no Prometheus" in capsys.readouterr().err

    def test_watch_tells_each_change_once(
        self, bench: Bench, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        looks = iter(range(100))

        def sleep(_: float) -> None:
            look = next(looks)
            if look == 2:
                bench.runtime.crash("app-1")
            if look == 6:
                raise KeyboardInterrupt
            bench.engine.collector.collect()

        monkeypatch.setattr(bench.engine.clock, "sleep", sleep)

        assert bench.run("watch") == 130

        lines = capsys.readouterr().out.splitlines()
        assert "overall" in lines[0]
        told = [
            line
            for line in lines
            if " app-1 unknown → unhealthy" in line or " app-1 starting → unhealthy" in line
        ]
        assert len(told) == 1
        assert told[0].endswith("killed by SIGKILL")


def test_watch_tells_programs_what_each_change_is_about(
    bench: Bench, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = iter(range(100))

    def sleep(_: float) -> None:
        look = next(looks)
        if look == 2:
            bench.runtime.crash("app-1")
        if look == 6:
            raise KeyboardInterrupt
        bench.engine.collector.collect()

    monkeypatch.setattr(bench.engine.clock, "sleep", sleep)

    assert bench.run("watch", "--json") == 130

    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert told[0]["change"].startswith("overall")
    crash = next(one for one in told if one.get("subject") == "app-1")
    assert (crash["kind"], crash["grave"]) == ("replica", True)
    assert "killed by SIGKILL" in crash["change"]


def test_a_status_from_the_picture_loads_no_vendor(tmp_path: Path) -> None:
    lock = AgentLock(tmp_path)
    assert lock.take()
    file, ended = PictureFile(tmp_path), threading.Event()

    def keep_fresh() -> None:  # as an agent does: the interpreter may take its time to start
        while True:
            file.write(replace(picture(), taken_at=datetime.now(UTC), agent=AgentState.RUNNING))
            if ended.wait(0.5):
                return

    agent = threading.Thread(target=keep_fresh)
    agent.start()
    code = (
        "import sys\n"
        "from console.bootstrap import build_engine\n"
        "from console.cli.main import main\n"
        "code, _ = main(['status', '--state', sys.argv[1]], build_engine)\n"
        "heavy = ['docker', 'redis', 'psycopg', 'httpx', 'h11', 'textual', 'psutil', 'asyncio']\n"
        "print(code, [name for name in heavy if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    ended.set()
    agent.join()
    lock.release()

    assert done.stdout.splitlines()[-1] == "0 []", done.stdout + done.stderr
    assert done.stdout.startswith("HEALTHY")
