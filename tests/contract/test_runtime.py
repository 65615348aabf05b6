"""What every runtime must do, asked of the fake and of the real ones."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import islice
from pathlib import Path

import pytest

from console.capabilities import (
    Describes,
    HasLogFiles,
    HasMaintenance,
    RemovesReplica,
    RestartsReplica,
    StartsReplicas,
    StartsStack,
    TellsEvents,
)
from console.domain.description import RuntimeEvent
from console.domain.leftovers import Leftover
from console.domain.services import ReplicaState, ReplicaStats
from console.errors import Unreachable, UsageError
from console.ports import ExecResult, LogLine, LogRequest, Runtime
from tests.contract.runtimes import (
    RuntimeUnderTest,
    compose,
    embedded,
    fake,
    show_and_hide_the_page,
)
from tests.fakes.runtime import FakeRuntime
from tests.stack import wait_for

SECONDS = 15.0
MAKERS = [fake, embedded, pytest.param(compose, marks=pytest.mark.docker)]


@pytest.fixture(params=MAKERS, scope="module")
def subject(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RuntimeUnderTest]:
    """Give a runtime whose stack is up: service ``web`` twice, ``job`` once."""
    make: Callable[[Path], RuntimeUnderTest] = request.param
    made = make(tmp_path_factory.mktemp("runtime") / "state")
    try:
        made.runtime.bring_up(lambda _: None)
        yield made
        made.runtime.take_down(lambda _: None, 10)
        assert not made.runtime.topology().running
    finally:
        made.remove()


def names(runtime: Runtime, service: str, *states: ReplicaState) -> list[str]:
    fact = runtime.topology().service(service)
    assert fact is not None
    wanted = states or tuple(ReplicaState)
    return [r.name for r in fact.replicas if r.state in wanted]


def wait_running(runtime: Runtime, service: str, *expected: str) -> None:
    wait_for(
        lambda: (
            names(runtime, service) == names(runtime, service, ReplicaState.RUNNING)
            and names(runtime, service) == list(expected)
        ),
        SECONDS,
        f"{service} is not exactly {expected}",
    )


def test_every_capability_is_there(subject: RuntimeUnderTest) -> None:
    runtime: object = subject.runtime
    for capability in (StartsReplicas, RemovesReplica, RestartsReplica, StartsStack):
        assert isinstance(runtime, capability)


def test_the_topology_says_what_runs(subject: RuntimeUnderTest) -> None:
    wait_running(subject.runtime, "web", "web-1", "web-2")
    topology = subject.runtime.topology()
    assert topology.running
    assert [s.name for s in topology.services] == ["web", "job"]
    web = topology.service("web")
    assert web is not None
    assert web.desired == 2
    assert web.labels["console.role"] == "app"
    for replica in web.replicas:
        assert replica.pid is not None
        assert replica.started_at is not None
        assert replica.started_at.tzinfo is not None
        assert replica.restarts == 0
        assert replica.health_url is not None
    assert len({r.health_url for r in web.replicas}) == 2


def test_a_service_is_described_without_its_secrets(subject: RuntimeUnderTest) -> None:
    wait_running(subject.runtime, "web", "web-1", "web-2")
    runtime: object = subject.runtime
    assert isinstance(runtime, Describes)
    described = runtime.describe("web")
    assert described.service == "web"
    assert [replica.name for replica in described.replicas] == ["web-1", "web-2"]
    assert described.drift == ()
    for replica in described.replicas:
        environment = {variable.name: variable for variable in replica.environment}
        assert environment["GREETING"].value == "100 $ for all"
        assert environment["API_TOKEN"].value is None
        assert environment["API_TOKEN"].hidden == "its name is a secret's"
        assert replica.command
        assert replica.addresses
    assert "hush-hush" not in repr(described)
    with pytest.raises(UsageError):
        runtime.describe("nonsense")


def test_new_names_are_the_lowest_free_ones(subject: RuntimeUnderTest) -> None:
    assert subject.runtime.replica_names("web", 2, []) == ["web-3", "web-4"]
    assert subject.runtime.replica_names("web", 2, ["web-3"]) == ["web-4", "web-5"]
    with pytest.raises(UsageError):
        subject.runtime.replica_names("nonsense", 1, [])


def test_a_replica_is_added_and_the_chosen_one_removed(subject: RuntimeUnderTest) -> None:
    runtime = subject.runtime
    runtime.start_replica("web", "web-3", {"console.operation": "op-1"})
    runtime.start_replica("web", "web-3", {"console.operation": "op-1"})
    wait_running(runtime, "web", "web-1", "web-2", "web-3")
    others = {r.name: r.pid for s in runtime.topology().services for r in s.replicas}
    runtime.remove_replica("web-2", 5)
    runtime.remove_replica("web-2", 5)
    wait_running(runtime, "web", "web-1", "web-3")
    after = {r.name: r.pid for s in runtime.topology().services for r in s.replicas}
    assert all(after[name] == others[name] for name in after), "the others were left alone"
    runtime.start_replica("web", "web-2", {})
    runtime.remove_replica("web-3", 5)
    wait_running(runtime, "web", "web-1", "web-2")
    runtime.remove_replica("web-9", 1)


def test_several_are_started_at_the_same_moment_where_there_was_none(
    subject: RuntimeUnderTest,
) -> None:
    runtime = subject.runtime
    runtime.remove_replica("job-1", 5)
    wait_running(runtime, "job")
    three = ["job-1", "job-2", "job-3"]

    with ThreadPoolExecutor(len(three)) as pool:
        list(pool.map(lambda name: runtime.start_replica("job", name, {}), three))

    wait_running(runtime, "job", *three)
    job = runtime.topology().service("job")
    assert job is not None
    assert job.desired == 3
    assert len({replica.pid for replica in job.replicas}) == 3
    for name in three[1:]:
        runtime.remove_replica(name, 5)
    wait_running(runtime, "job", "job-1")


def test_what_is_removed_counts_as_wanted_no_more_at_once(subject: RuntimeUnderTest) -> None:
    subject.runtime.start_replica("web", "web-3", {})
    wait_running(subject.runtime, "web", "web-1", "web-2", "web-3")
    subject.runtime.remove_replica("web-3", 5)
    web = subject.runtime.topology().service("web")
    assert web is not None
    assert web.desired == 2
    wait_running(subject.runtime, "web", "web-1", "web-2")


def test_a_restart_gives_another_process_of_the_same_name(subject: RuntimeUnderTest) -> None:
    runtime = subject.runtime

    def pid() -> int | None:
        job = runtime.topology().service("job")
        assert job is not None
        assert [r.name for r in job.replicas] == ["job-1"]
        running = job.replicas[0].state is ReplicaState.RUNNING
        return job.replicas[0].pid if running else None

    before = wait_for(pid, SECONDS, "job-1 runs")
    runtime.restart_replica("job-1", 5)
    wait_for(lambda: pid() not in (None, before), SECONDS, "job-1 has another process")
    job = runtime.topology().service("job")
    assert job is not None
    assert job.replicas[0].restarts == 0, "a restart that was asked for is no sign of trouble"
    with pytest.raises(UsageError):
        runtime.restart_replica("job-9", 1)


def test_a_change_is_noticed_and_quiet_is_too(subject: RuntimeUnderTest) -> None:
    runtime = subject.runtime
    wait_running(runtime, "web", "web-1", "web-2")
    while runtime.wait_for_change(0.3):
        pass
    began = time.monotonic()
    assert not runtime.wait_for_change(0.2)
    assert time.monotonic() - began < 10
    runtime.start_replica("web", "web-3", {})
    assert runtime.wait_for_change(SECONDS)
    runtime.remove_replica("web-3", 5)
    wait_running(runtime, "web", "web-1", "web-2")


def test_a_death_is_told_with_its_reason_and_counted(subject: RuntimeUnderTest) -> None:
    runtime = subject.runtime
    wait_running(runtime, "web", "web-1", "web-2")
    subject.kill("web-2")

    def recovered() -> bool:
        web = runtime.topology().service("web")
        assert web is not None
        second = next(r for r in web.replicas if r.name == "web-2")
        return second.state is ReplicaState.RUNNING and second.restarts == 1

    wait_for(recovered, SECONDS, "web-2 was started again")
    web = runtime.topology().service("web")
    assert web is not None
    assert [r.exit_reason for r in web.replicas] == ["", "killed by SIGKILL"]


def test_what_happens_is_told_once_in_its_order(subject: RuntimeUnderTest) -> None:
    runtime: object = subject.runtime
    if not isinstance(runtime, TellsEvents):
        assert subject.runtime.name == "embedded", "its supervisor writes down what happens"
        return
    wait_running(subject.runtime, "web", "web-1", "web-2")
    told: list[RuntimeEvent] = []

    def heard(replica: str, word: str) -> bool:
        told.extend(runtime.events())
        return any(event.replica == replica and event.words == word for event in told)

    def come_and_go(replica: str) -> None:
        subject.runtime.start_replica("web", replica, {})
        wait_running(subject.runtime, "web", "web-1", "web-2", replica)
        subject.runtime.remove_replica(replica, 5)
        wait_running(subject.runtime, "web", "web-1", "web-2")

    def listens() -> bool:
        """Nothing is told before it listens: something it tells shows that it does."""
        subject.runtime.wait_for_change(0)
        come_and_go("web-3")
        return heard("web-3", "removed")

    wait_for(listens, 4 * SECONDS, "anything is told")
    come_and_go("web-4")
    wait_for(lambda: heard("web-4", "removed"), SECONDS, "its end is told")

    words = [event.words for event in told if event.replica == "web-4"]
    assert words.count("started") == words.count("removed") == 1
    assert words.index("started") < words.index("removed")
    assert [event.at for event in told] == sorted(event.at for event in told)
    assert all(event.at.tzinfo is not None for event in told)
    wait_for(lambda: not runtime.events(), SECONDS, "each is told once")

    subject.kill("web-2")
    wait_running(subject.runtime, "web", "web-1", "web-2")
    told.clear()

    def death() -> bool:
        told.extend(runtime.events())
        return any(e.replica == "web-2" and e.grave and "SIGKILL" in e.words for e in told)

    wait_for(death, SECONDS, "the death of web-2 is told")


def test_figures_are_in_cores_and_bytes(subject: RuntimeUnderTest) -> None:
    runtime = subject.runtime
    wait_running(runtime, "web", "web-1", "web-2")
    topology = runtime.topology()
    runtime.stats(topology)

    stats: dict[str, ReplicaStats] = {}

    def measured() -> bool:
        stats.update(runtime.stats(topology))
        return all(s.cpu_cores is not None for s in stats.values())

    wait_for(measured, SECONDS, "CPU of every replica")
    assert {r.id for s in topology.services for r in s.replicas} <= stats.keys()
    for figures in stats.values():
        assert figures.cpu_cores is not None
        assert 0 <= figures.cpu_cores < 64
        assert figures.memory_bytes is not None
        assert figures.memory_bytes > 100_000


def test_logs_are_merged_in_time_order_and_bounded(subject: RuntimeUnderTest) -> None:
    runtime = subject.runtime
    first = subject.say("web-1", "first", "error")
    subject.say("web-2", "between", "info")
    subject.say("web-1", "last", "error")
    lines = list(runtime.logs(LogRequest(services=("web",), tail=50)))
    texts = [line.text for line in lines if line is not None]
    assert texts.index("first") < texts.index("between") < texts.index("last")
    levels = {line.text: line.level for line in lines if line is not None}
    assert levels["first"] == "error"
    only = list(runtime.logs(LogRequest(services=("web-2",), tail=1)))
    assert [(line.replica, line.service, line.text) for line in only if line] == [
        ("web-2", "web", "between")
    ]
    late = LogRequest(services=("web",), tail=50, since=first + timedelta(microseconds=1))
    since = [line.text for line in runtime.logs(late) if line is not None]
    assert "first" not in since
    assert "between" in since
    early = LogRequest(services=("web",), tail=1, until=first, follow=True)
    until = [line.text for line in runtime.logs(early) if line is not None]
    assert "first" in until  # of web-1; the last line of the log would be another
    assert not {"between", "last"} & {*until}


def test_logs_are_followed_and_silence_is_told(subject: RuntimeUnderTest) -> None:
    following = subject.runtime.logs(LogRequest(services=("web",), tail=0, follow=True))
    assert next(following) is None
    subject.say("web-1", "now", "warning")
    found: LogLine | None = next(
        (line for line in islice(following, 100) if line is not None), None
    )
    assert found is not None
    assert (found.replica, found.text, found.level) == ("web-1", "now", "warning")


def test_a_command_runs_beside_a_replica(subject: RuntimeUnderTest) -> None:
    subject.expect_exec(ExecResult(3, "web-1 plain\n"))
    done = subject.runtime.exec(
        "web-1",
        [subject.python, "-c", "import os; print(os.environ['REPLICA_NAME'], 'plain'); exit(3)"],
        SECONDS,
    )
    assert done == ExecResult(3, "web-1 plain\n")
    with pytest.raises(UsageError):
        subject.runtime.exec("web-9", ["true"], SECONDS)


def test_the_maintenance_page_is_there_or_said_not_to_be(subject: RuntimeUnderTest) -> None:
    runtime = subject.runtime
    if isinstance(runtime, FakeRuntime):  # of real ones, a project behind nginx has it
        runtime.page = True
        show_and_hide_the_page(runtime)
        runtime.page = False
    assert not isinstance(runtime, HasMaintenance) or not runtime.has_maintenance()
    assert runtime.topology().maintenance is None


def test_old_logs_are_found_and_removed_and_no_others(subject: RuntimeUnderTest) -> None:
    runtime = subject.runtime
    assert isinstance(runtime, HasLogFiles)
    if isinstance(runtime, FakeRuntime):
        runtime.rotated = {"runner.log.1": 4}
    else:
        state = subject.state
        for name in ("runner.log", "runner.log.1", "agent.log.1", "notes.txt"):
            (state / name).write_text("line")
        for name in ("runner.log", "runner.log.1", "notes.txt"):
            os.utime(state / name, (0, 0))
    assert runtime.old_logs(7) == [Leftover("runner.log.1", 4)]
    runtime.remove_log("runner.log.1")
    runtime.remove_log("runner.log.1")
    assert runtime.old_logs(7) == []


def test_the_commands_are_shown_to_the_operator(subject: RuntimeUnderTest) -> None:
    assert "web-7" in subject.runtime.start_command("web", "web-7")
    assert "web-1" in subject.runtime.remove_command("web-1", 30)
    assert "30 s" in subject.runtime.remove_command("web-1", 30)


def test_credentials_are_given_for_a_known_service_only(subject: RuntimeUnderTest) -> None:
    assert subject.runtime.connection_url("web") is None
    assert subject.runtime.connection_url("nonsense") is None


@pytest.mark.parametrize("make", MAKERS)
def test_a_scale_survives_stop_and_start(
    make: Callable[[Path], RuntimeUnderTest], tmp_path: Path
) -> None:
    subject = make(tmp_path / "state")
    runtime = subject.runtime
    told: list[str] = []
    try:
        runtime.bring_up(told.append)
        wait_running(runtime, "web", "web-1", "web-2")
        runtime.bring_up(told.append)
        assert told[-1] == "already running"
        runtime.remove_replica("job-1", 5)
        runtime.start_replica("web", "web-3", {})
        wait_running(runtime, "web", "web-1", "web-2", "web-3")
        wait_running(runtime, "job")
        runtime.take_down(told.append, 10)
        runtime.take_down(told.append, 10)
        stopped = runtime.topology()
        assert not stopped.running
        assert stopped.endpoints == {}
        assert [r.pid for s in stopped.services for r in s.replicas] == [None] * 3
        runtime.bring_up(told.append)
        wait_running(runtime, "web", "web-1", "web-2", "web-3")
        assert names(runtime, "job") == []
    finally:
        runtime.take_down(told.append, 10)
        subject.remove()


@pytest.mark.parametrize("make", MAKERS)
def test_supervision_is_revived_only_where_it_died(
    make: Callable[[Path], RuntimeUnderTest], tmp_path: Path
) -> None:
    subject = make(tmp_path / "state")
    runtime = subject.runtime
    assert not runtime.revive(), "never started"
    try:
        runtime.bring_up(lambda _: None)
        wait_running(runtime, "web", "web-1", "web-2")
        assert not runtime.revive(), "it lives"
        subject.kill_supervision()
        wait_for(lambda: not runtime.topology().running, SECONDS, "supervision is gone")
        assert runtime.revive()
        wait_running(runtime, "web", "web-1", "web-2")
    finally:
        runtime.take_down(lambda _: None, 10)
        stopped = not runtime.revive()
        subject.remove()
    assert stopped, "it was stopped on purpose"


def test_an_unreachable_runtime_says_so(tmp_path: Path) -> None:
    state = tmp_path / "state"
    subject = embedded(state)
    (state / "embedded").mkdir(parents=True)
    (state / "embedded" / "services.json").write_text("{ this is no JSON")
    with pytest.raises(Unreachable, match=r"services\.json"):
        subject.runtime.topology()
