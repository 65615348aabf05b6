"""The collector: fresh pictures, its own rhythm, and what hangs or breaks."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from console.clock import SystemClock
from console.collector import Collector
from console.domain.alerts import Alert, AlertSeverity, AlertState
from console.domain.readings import DatabaseReading, HostReading, Reading, SourceState
from console.domain.services import Health, Topology
from console.domain.snapshot import Overall, Snapshot
from console.errors import NotSupported, Unreachable
from console.ports import Source
from console.settings import Settings
from console.sources.runtime_state import RuntimeSource
from tests.fakes.runtime import FakeRuntime
from tests.servers import wait_until

HOST = HostReading(0.1, 0.2, 0.3, 2, 10**9, 10**9)


class FakeSource:
    """A source whose answer is a function; counts how often it was asked."""

    def __init__(
        self, name: str, answer: Callable[[], Reading], interval_seconds: float = 0.05
    ) -> None:
        self.name = name
        self.interval_seconds = interval_seconds
        self.answer = answer
        self.reads = 0
        self.topologies: list[Topology | None] = []
        self.closed = False

    def read(self, topology: Topology | None) -> Reading:
        self.reads += 1
        self.topologies.append(topology)
        return self.answer()

    def close(self) -> None:
        self.closed = True


def fail(error: Exception) -> Callable[[], Reading]:
    def answer() -> Reading:
        raise error

    return answer


@pytest.fixture
def runtime() -> FakeRuntime:
    return FakeRuntime(clock=lambda: datetime.now(UTC))


@pytest.fixture
def collector_of(runtime: FakeRuntime, tmp_path: Path) -> Iterator[Callable[..., Collector]]:
    made: list[Collector] = []

    def make(*sources: Source) -> Collector:
        settings = Settings(project=tmp_path, state=tmp_path)
        made.append(Collector([RuntimeSource(runtime), *sources], settings, runtime, SystemClock()))
        return made[-1]

    yield make
    for collector in made:
        collector.stop()


def status(snapshot: Snapshot, name: str) -> tuple[SourceState, str | None]:
    source = next(s for s in snapshot.sources if s.name == name)
    return source.state, source.error


Make = Callable[..., Collector]


def test_one_collection_reads_everything_and_the_runtime_first(collector_of: Make) -> None:
    host = FakeSource("host", lambda: HOST)

    snapshot = collector_of(host).collect()

    assert host.topologies[0] is not None
    assert snapshot.metrics.host_disk_ratio == 0.3
    assert status(snapshot, "host") == (SourceState.FRESH, None)
    assert len(snapshot.services) == 5


def test_only_the_sources_asked_for_are_read(collector_of: Make) -> None:
    host, database = FakeSource("host", lambda: HOST), FakeSource("database", lambda: HOST)

    collector_of(host, database).collect(["host"])

    assert (host.reads, database.reads) == (1, 0)


def test_sources_are_read_at_the_same_time(collector_of: Make) -> None:
    meeting = threading.Barrier(3, timeout=5)

    def meet() -> Reading:
        meeting.wait()
        return HOST

    snapshot = collector_of(*(FakeSource(f"s{n}", meet) for n in range(3))).collect()

    assert {status(snapshot, f"s{n}")[0] for n in range(3)} == {SourceState.FRESH}


def test_a_source_that_hangs_costs_the_timeout_and_no_more(collector_of: Make) -> None:
    release = threading.Event()

    def hang() -> Reading:
        release.wait(60)
        return HOST

    collector = collector_of(FakeSource("slow", hang), FakeSource("host", lambda: HOST, 1))
    begun = time.monotonic()
    snapshot = collector.collect(timeout=0.3)
    took = time.monotonic() - begun
    release.set()

    assert took < 10
    assert status(snapshot, "slow") == (SourceState.FAILED, "no answer in time")
    assert status(snapshot, "host")[0] is SourceState.FRESH


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (Unreachable("connection refused"), "connection refused"),
        (NotSupported("no address"), "no address"),
        (KeyError("x"), "the source broke: KeyError: 'x'"),
    ],
)
def test_a_failure_is_words_in_the_picture(
    collector_of: Make, error: Exception, words: str
) -> None:
    snapshot = collector_of(FakeSource("database", fail(error))).collect()

    assert status(snapshot, "database") == (SourceState.FAILED, words)


def test_a_failure_and_a_recovery_are_logged_once_each(
    collector_of: Make, caplog: pytest.LogCaptureFixture
) -> None:
    source = FakeSource("database", fail(Unreachable("connection refused")))
    collector = collector_of(source)

    with caplog.at_level(logging.INFO, "console.collector"):
        for _ in range(3):
            collector.collect()
        source.answer = lambda: DatabaseReading(1, 10)
        for _ in range(3):
            snapshot = collector.collect()

    assert [r.getMessage() for r in caplog.records] == [
        "source database gives nothing: connection refused",
        "source database answers again",
    ]
    database = snapshot.service("postgres")
    assert database is not None
    assert database.health is Health.HEALTHY


def test_a_runtime_out_of_reach_is_unknown_not_empty(
    collector_of: Make, runtime: FakeRuntime
) -> None:
    collector = collector_of()
    collector.collect()
    runtime.unreachable = "supervisor is gone"

    snapshot = collector.collect()

    assert len(snapshot.services) == 5
    assert status(snapshot, "runtime") == (SourceState.FAILED, "supervisor is gone")
    assert snapshot.overall is not Overall.HEALTHY


def test_in_the_background_every_source_keeps_its_rhythm(collector_of: Make) -> None:
    quick, slow = FakeSource("quick", lambda: HOST, 0.05), FakeSource("slow", lambda: HOST, 60)
    collector = collector_of(quick, slow)

    collector.start()
    collector.start()
    wait_until(lambda: quick.reads >= 5, 5, "quick is not read")

    assert slow.reads == 1


def test_a_death_is_in_the_picture_before_the_next_look(
    collector_of: Make, runtime: FakeRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RuntimeSource, "interval_seconds", 600.0)
    collector = collector_of(FakeSource("host", lambda: HOST, 60))
    collector.start()
    before = collector.wait(None, 5)
    assert before is not None
    runtime.crash("app-1")
    died = time.monotonic()

    snapshot = before
    while (r := snapshot.replica("app-1")) is None or r.health is not Health.UNHEALTHY:
        snapshot = collector.wait(snapshot.taken_at, 2) or snapshot
        assert time.monotonic() - died < 60
    assert r.reason == "killed by SIGKILL"


def test_a_hanging_source_does_not_slow_the_others(collector_of: Make) -> None:
    release = threading.Event()
    hung = FakeSource("hung", lambda: (release.wait(60), HOST)[1])
    quick = FakeSource("quick", lambda: HOST)
    collector = collector_of(hung, quick)

    collector.start()
    wait_until(lambda: quick.reads >= 5, 5, "quick is not read")
    begun = time.monotonic()
    latest = collector.latest_or_collect()
    took = time.monotonic() - begun
    release.set()

    assert took < 10
    assert status(latest, "hung") == (SourceState.FAILED, "not read yet")


def test_a_failing_source_is_asked_less_often(collector_of: Make) -> None:
    failing = FakeSource("failing", fail(Unreachable("no")), 0.05)
    steady = FakeSource("steady", lambda: HOST, 0.05)
    collector = collector_of(failing, steady)

    collector.start()
    wait_until(lambda: steady.reads >= 30, 10, "steady is not read")

    assert 6 <= failing.reads <= 12


def test_ages_move_on_although_nothing_is_read(collector_of: Make) -> None:
    collector = collector_of(FakeSource("host", lambda: HOST, 60))
    collector.start()
    wait_until(lambda: status(collector.latest_or_collect(), "host")[0] is SourceState.FRESH, 5)

    def age() -> float:
        host = next(s for s in collector.latest_or_collect().sources if s.name == "host")
        return host.age_seconds or 0.0

    wait_until(lambda: age() > 0.6, 5, "the age stands still")


def test_stopping_ends_the_threads_and_closes_the_sources(collector_of: Make) -> None:
    host = FakeSource("host", lambda: HOST)
    collector = collector_of(host)
    collector.start()
    wait_until(lambda: host.reads > 0, 5)

    collector.stop()
    collector.stop()

    assert host.closed
    assert not [t for t in threading.enumerate() if t.name == "source-host"]


def test_waiting_for_a_newer_picture_gives_up_in_time(collector_of: Make) -> None:
    collector = collector_of()
    snapshot = collector.collect()

    assert collector.wait(None, 0.01) == snapshot
    assert collector.wait(snapshot.taken_at, 0.05) is None


def test_alerts_of_an_earlier_life_keep_their_beginning(collector_of: Make) -> None:
    began = datetime(2026, 1, 1, tzinfo=UTC)
    collector = collector_of(FakeSource("host", lambda: HostReading(0.1, 0.2, 0.99, 2, 1, 1)))
    collector.remember_alerts(
        [Alert("DiskSpace", AlertSeverity.WARNING, AlertState.FIRING, began, "diskspace")]
    )

    alert = next(a for a in collector.collect().alerts if a.name == "DiskSpace")

    assert alert.since == began
