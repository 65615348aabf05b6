"""The resident agent: what it leaves behind, and what it survives."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from console.agent import Agent
from console.clock import SystemClock
from console.collector import Collector
from console.domain.happenings import Happening, Kind
from console.domain.readings import HostReading
from console.domain.services import Health
from console.domain.snapshot import AgentState, Snapshot
from console.errors import Unreachable
from console.journal.agent_lock import agent_alive
from console.journal.picture import PictureFile
from console.ports import Source
from console.settings import PROJECT, Settings
from console.sources.runtime_state import RuntimeSource
from tests.fakes.runtime import FakeRuntime
from tests.servers import wait_until
from tests.unit.test_collector import FakeSource


class MemoryHistory:
    """A history in memory that can be made to fail."""

    def __init__(self) -> None:
        self.kept: list[Snapshot] = []
        self.noted: list[Happening] = []
        self.broken = False

    def append(self, snapshot: Snapshot) -> None:
        if self.broken:
            raise Unreachable("disk full")
        self.kept.append(snapshot)

    def note(self, happened: Sequence[Happening]) -> None:
        if self.broken:
            raise Unreachable("disk full")
        self.noted += happened

    def series(self, name: str, seconds: float) -> list[tuple[datetime, float | None]]:
        return []

    def means(
        self, names: Collection[str], seconds: float, count: int, until: datetime | None = None
    ) -> dict[str, tuple[float | None, ...]]:
        return {}

    def happened(self, seconds: float, until: datetime | None = None) -> list[Happening]:
        return list(self.noted)


class Setting:
    """An agent with a fake runtime, in a thread."""

    def __init__(self, state: Path) -> None:
        self.runtime = FakeRuntime(clock=lambda: datetime.now(UTC))
        self.pictures = PictureFile(state)
        self.history = MemoryHistory()
        self.wanted = True
        sources: list[Source] = [
            RuntimeSource(self.runtime),
            FakeSource("host", lambda: HostReading(0.1, 0.2, 0.3, 2, 1, 1), 0.2),
        ]
        settings = Settings(project=state, state=state)
        self.agent = Agent(
            Collector(sources, settings, self.runtime, SystemClock()),
            self.pictures,
            self.history,
            self.runtime,
            SystemClock(),
            lambda: self.wanted,
        )

    @contextmanager
    def at_work(self) -> Iterator[threading.Thread]:
        thread = threading.Thread(target=self.agent.run)
        thread.start()
        try:
            yield thread
        finally:
            self.agent.end()
            thread.join(10)
        assert not thread.is_alive()

    def picture(self) -> Snapshot:
        found = self.pictures.read()
        assert found is not None
        return found


@pytest.fixture
def setting(tmp_path: Path) -> Setting:
    return Setting(tmp_path)


def health(snapshot: Snapshot | None, name: str) -> Health | None:
    replica = snapshot.replica(name) if snapshot else None
    return replica.health if replica else None


def test_it_leaves_pictures_and_history(setting: Setting) -> None:
    with setting.at_work():
        wait_until(lambda: setting.pictures.read() and setting.history.kept, 20)

    assert setting.picture().agent is AgentState.RUNNING
    assert len(setting.picture().services) == 5
    assert setting.history.kept[0].agent is AgentState.RUNNING


def test_a_death_is_in_the_picture_before_the_next_look(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RuntimeSource, "interval_seconds", 600.0)
    with setting.at_work():
        wait_until(setting.pictures.read, 20)
        setting.runtime.crash("worker-rl-1")

        wait_until(lambda: health(setting.pictures.read(), "worker-rl-1") is Health.UNHEALTHY, 60)


def test_what_happened_is_kept_for_whoever_comes_later(setting: Setting) -> None:
    def told() -> list[Happening]:
        return [one for one in setting.history.noted if one.subject == "worker-rl-1"]

    with setting.at_work():
        wait_until(lambda: setting.history.kept, 20)
        setting.runtime.crash("worker-rl-1")
        wait_until(lambda: any("SIGKILL" in one.words for one in told()), 20)

    assert told()[-1].kind is Kind.REPLICA
    assert told()[-1].grave


def test_the_age_of_a_quiet_stack_moves_on(setting: Setting) -> None:
    with setting.at_work():
        wait_until(setting.pictures.read, 20)
        first = setting.picture().taken_at

        wait_until(lambda: setting.picture().taken_at >= first + timedelta(seconds=1), 20)


def test_a_dead_supervision_is_started_again(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("console.agent.REVIVE_SECONDS", 0.05)
    with setting.at_work():
        setting.runtime.kill_supervision()

        wait_until(lambda: setting.runtime.topology().running, 20)


def test_a_history_that_fails_is_said_once_and_watching_goes_on(
    setting: Setting, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("console.agent.EVERY_SECONDS", 0.0)
    setting.history.broken = True
    with caplog.at_level(logging.INFO, "console.agent"), setting.at_work():
        wait_until(lambda: caplog.records, 20)
        taken = setting.picture().taken_at
        wait_until(lambda: setting.picture().taken_at > taken, 20)
        setting.history.broken = False
        wait_until(lambda: setting.history.kept, 20)

    said = [r.getMessage() for r in caplog.records]
    assert [words for words in said if words.startswith("history ")] == [
        "history fails, going on without it: disk full",
        "history works again",
    ]


def test_pictures_that_cannot_be_written_do_not_end_it(
    setting: Setting, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "picture.json").mkdir()
    with caplog.at_level(logging.WARNING, "console.agent"), setting.at_work():
        wait_until(lambda: caplog.records and setting.history.kept, 20)

    assert len(caplog.records) == 1


def test_it_ends_when_it_is_no_longer_wanted(setting: Setting) -> None:
    with setting.at_work() as thread:
        setting.wanted = False
        thread.join(20)

        assert not thread.is_alive()


class TestProcess:
    """The real process on a state that has no stack."""

    @contextmanager
    def run(self, state: Path, *more: str) -> Iterator[subprocess.Popen[bytes]]:
        command = [sys.executable, "-m", "console.agent", "--state", str(state), *more]
        with subprocess.Popen(command, cwd=PROJECT) as process:
            try:
                yield process
            finally:
                process.kill()

    def test_a_second_one_goes_at_once_and_the_first_stays(self, tmp_path: Path) -> None:
        with self.run(tmp_path) as first:
            wait_until(lambda: agent_alive(tmp_path), 30)
            with self.run(tmp_path) as second:
                assert second.wait(30) == 0

            assert (tmp_path / "agent.lock").read_text() == f"{first.pid}\n"
            wait_until(lambda: PictureFile(tmp_path).read(), 30)
            snapshot = PictureFile(tmp_path).read()
            assert snapshot is not None
            assert snapshot.agent is AgentState.RUNNING
            first.terminate()
            assert first.wait(30) == 0
        assert not agent_alive(tmp_path)
        assert "agent ends" in (tmp_path / "agent.log").read_text()

    def test_hanging_up_does_not_end_it_but_asking_does(self, tmp_path: Path) -> None:
        with self.run(tmp_path) as process:
            wait_until(lambda: PictureFile(tmp_path).read(), 15)
            process.send_signal(signal.SIGHUP)
            taken = PictureFile(tmp_path).read()
            wait_until(lambda: PictureFile(tmp_path).read() != taken, 20)
            process.send_signal(signal.SIGTERM)

            assert process.wait(10) == 0

    def test_it_ends_when_its_state_is_deleted(self, tmp_path: Path) -> None:
        with self.run(tmp_path) as process:
            wait_until(lambda: agent_alive(tmp_path), 15)
            (tmp_path / "agent.lock").unlink()

            assert process.wait(15) == 0

    def test_it_ends_to_begin_anew_when_its_policy_says_something_else(
        self, tmp_path: Path
    ) -> None:
        policy = tmp_path / "console.yaml"
        (tmp_path / "compose.yaml").write_text("services: {}\n")
        (tmp_path / "runtime").write_text("embedded\n")
        policy.write_text("settle_minutes: 5\n")
        with self.run(tmp_path, "--file", str(tmp_path / "compose.yaml")) as process:
            wait_until(lambda: PictureFile(tmp_path).read(), 30)
            policy.write_text("settle_minutes: wrong\n")
            wait_until(lambda: "cannot be used" in (tmp_path / "agent.log").read_text(), 30)
            assert process.poll() is None
            policy.write_text("settle_minutes: 7\n")

            assert process.wait(30) == 0
        assert "begins anew" in (tmp_path / "agent.log").read_text()
