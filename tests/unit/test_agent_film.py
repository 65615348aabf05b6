"""What the agent keeps of the past: what happens at once, and nothing that is half read."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from console.agent import Agent
from console.clock import SystemClock
from console.collector import Collector
from console.domain.observed import NOT_READ_YET
from console.domain.policy import RewindPolicy
from console.domain.readings import HostReading
from console.domain.services import Health
from console.domain.snapshot import Snapshot
from console.errors import Unreachable
from console.journal.film import FilmStore
from console.ports import Source
from console.settings import Settings
from console.sources.runtime_state import RuntimeSource
from tests.servers import wait_until
from tests.unit.test_agent import Setting, health
from tests.unit.test_collector import FakeSource


class Filmed(Setting):
    """An agent that keeps what it sees, but never by the clock alone."""

    def __init__(self, state: Path) -> None:
        super().__init__(state)
        self.film = FilmStore(state, SystemClock(), RewindPolicy())
        #: The host answers once this is set.
        self.answers = threading.Event()
        sources: list[Source] = [
            RuntimeSource(self.runtime),
            FakeSource("host", self._host, 0.2),
        ]
        settings = Settings(project=state, state=state)
        self.agent = Agent(
            Collector(sources, settings, self.runtime, SystemClock()),
            self.pictures,
            self.history,
            self.runtime,
            SystemClock(),
            film=self.film,
            film_seconds=3600.0,
        )

    def _host(self) -> HostReading:
        assert self.answers.wait(60)
        return HostReading(0.1, 0.2, 0.3, 2, 1, 1)

    def kept(self, moment: datetime | None = None) -> Snapshot | None:
        try:
            frame = self.film.frame(moment or datetime.now(UTC))
        except Unreachable:
            return None
        return frame.snapshot if frame else None


@pytest.fixture
def filmed(tmp_path: Path) -> Iterator[Filmed]:
    made = Filmed(tmp_path)
    yield made
    made.answers.set()
    made.film.close()


def test_it_keeps_what_happens_at_once(filmed: Filmed) -> None:
    filmed.answers.set()
    with filmed.at_work():
        wait_until(filmed.kept, 20)
        before = datetime.now(UTC)
        filmed.runtime.crash("worker-rl-1")
        wait_until(lambda: health(filmed.kept(), "worker-rl-1") is Health.UNHEALTHY, 20)

    assert health(filmed.kept(before), "worker-rl-1") not in {None, Health.UNHEALTHY}


def test_one_that_begins_tells_and_keeps_nothing_until_all_is_read(
    tmp_path: Path, filmed: Filmed
) -> None:
    before = Setting(tmp_path)
    with before.at_work():
        wait_until(before.pictures.read, 20)
    begun = datetime.now(UTC)

    def unread() -> bool:
        picture = filmed.picture()
        late = picture.taken_at > begun + timedelta(seconds=1.5)
        return late and any(s.error == NOT_READ_YET for s in picture.sources)

    with filmed.at_work():
        try:
            wait_until(unread, 20)
            assert filmed.history.noted == []
            assert filmed.kept() is None
        finally:
            filmed.answers.set()
        wait_until(filmed.kept, 20)
