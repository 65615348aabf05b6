"""Figures over time: kept, bounded, with gaps that show."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from console.domain.figures import figures_of
from console.domain.happenings import Happening, Kind
from console.domain.snapshot import Snapshot
from console.errors import Unreachable
from console.journal.history import HistoryStore
from tests.unit.test_assemble import NOW, picture


class StoppedClock:
    """Time that a test sets."""

    def __init__(self, now: datetime = NOW) -> None:
        self.present = now

    def now(self) -> datetime:
        return self.present

    def monotonic(self) -> float:
        return self.present.timestamp()

    def sleep(self, seconds: float) -> None:
        self.present += timedelta(seconds=seconds)


def shot(seconds: float, rate: float | None) -> Snapshot:
    snapshot = picture()
    return replace(
        snapshot,
        taken_at=NOW + timedelta(seconds=seconds),
        metrics=replace(snapshot.metrics, request_rate=rate),
    )


def test_a_figure_comes_back_oldest_first_with_unknown_as_none(tmp_path: Path) -> None:
    history = HistoryStore(tmp_path, StoppedClock(NOW + timedelta(seconds=10)))
    for seconds, rate in ((0, 1.5), (5, None), (10, 3.0)):
        history.append(shot(seconds, rate))

    series = history.series("request_rate", 60)
    history.close()

    assert series == [
        (NOW, 1.5),
        (NOW + timedelta(seconds=5), None),
        (NOW + timedelta(seconds=10), 3.0),
    ]


def test_names_of_queues_and_services_are_figures_too(tmp_path: Path) -> None:
    history = HistoryStore(tmp_path, StoppedClock())
    history.append(shot(0, 1))

    assert history.series("queue.llm.depth", 60) == [(NOW, 0)]
    assert history.series("service.worker-llm.ready", 60) == [(NOW, 1)]
    assert history.series("nothing", 60) == [(NOW, None)]
    assert history.series('x"); DROP', 60) == [(NOW, None)]
    history.close()
    assert "service.app.memory_bytes" in figures_of(picture())


def test_a_time_when_nobody_collected_is_a_gap(tmp_path: Path) -> None:
    history = HistoryStore(tmp_path, StoppedClock(NOW + timedelta(seconds=100)))
    history.append(shot(0, 1))
    history.append(shot(100, 2))

    values = [value for _, value in history.series("request_rate", 600)]
    history.close()

    assert values == [1, None, 2]


def test_only_what_was_asked_for(tmp_path: Path) -> None:
    history = HistoryStore(tmp_path, StoppedClock(NOW + timedelta(seconds=100)))
    for n in range(20):
        history.append(shot(5.0 * n, n))

    assert len(history.series("request_rate", 30)) == 6
    assert history.series("request_rate", 0) == []
    history.close()


def test_old_rows_go(tmp_path: Path) -> None:
    history = HistoryStore(tmp_path, StoppedClock(NOW + timedelta(seconds=1000)), kept_seconds=50)
    for n in range(121):
        history.append(shot(5.0 * n, n))
    history.close()

    with sqlite3.connect(tmp_path / "history.db") as connection:
        oldest, count = connection.execute("SELECT min(at), count(*) FROM figures").fetchone()
    connection.close()
    assert oldest >= NOW.timestamp() + 600 - 50
    assert count <= 11


def test_without_a_file_there_is_no_history(tmp_path: Path) -> None:
    assert HistoryStore(tmp_path, StoppedClock()).series("request_rate", 60) == []
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_file_is_put_aside_and_a_new_one_begun(tmp_path: Path) -> None:
    (tmp_path / "history.db").write_bytes(b"no database at all" * 100)
    history = HistoryStore(tmp_path, StoppedClock())

    assert history.series("request_rate", 60) == []
    with pytest.raises(Unreachable, match="begins anew"):
        history.append(shot(0, 1))
    history.append(shot(5, 2))

    assert history.series("request_rate", 60)[0][1] == 2
    history.close()
    assert (tmp_path / "history.db.damaged").exists()


def test_a_directory_that_is_gone_is_said(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match="history cannot be written"):
        HistoryStore(tmp_path / "gone", StoppedClock()).append(shot(0, 1))


def test_readers_and_the_writer_do_not_block_each_other(tmp_path: Path) -> None:
    clock = StoppedClock(datetime(2026, 3, 1, 12, tzinfo=UTC))
    writer, reader = HistoryStore(tmp_path, clock), HistoryStore(tmp_path, clock)
    writer.append(shot(0, 1))
    other = sqlite3.connect(tmp_path / "history.db")
    other.execute("BEGIN")
    other.execute("SELECT count(*) FROM figures").fetchone()

    writer.append(shot(5, 2))

    assert len(reader.series("request_rate", 60)) == 2
    other.close()
    writer.close()


def test_several_figures_are_read_at_once_as_means_of_whole_spans(tmp_path: Path) -> None:
    now = datetime(2026, 1, 1, 12, 0, 30, tzinfo=UTC)
    history = HistoryStore(tmp_path, StoppedClock(now))
    for seconds_ago, rate in ((130, 1.0), (100, 3.0), (50, None), (45, 4.0), (10, 99.0)):
        at = now - timedelta(seconds=seconds_ago)
        history.append(replace(shot(0, rate), taken_at=at))

    means = history.means(["request_rate", "queue.llm.depth", "nothing"], 180, 3)
    history.close()

    # 11:57–11:58, 11:58–11:59, 11:59–12:00; what is of the present minute comes later.
    assert means["request_rate"] == (None, 2.0, 4.0)
    assert means["nothing"] == (None, None, None)
    assert means["queue.llm.depth"][0] is None
    assert HistoryStore(tmp_path / "none", StoppedClock()).means(["x"], 60, 3) == {}


def test_what_happened_is_kept_in_order_and_bounded(tmp_path: Path) -> None:
    history = HistoryStore(tmp_path, StoppedClock(NOW + timedelta(seconds=100)))
    first = Happening(NOW, Kind.ALERT, "Slow", "alert Slow firing", grave=True)
    second = Happening(NOW + timedelta(seconds=60), Kind.REPLICA, "app-1", "app-1 " + "x" * 9000)
    assert history.happened(600) == []
    history.note([])
    history.note([first, second])

    assert history.happened(600)[0] == first
    assert [one.subject for one in history.happened(50)] == ["app-1"]
    assert len(history.happened(50)[0].words) == 500
    history.append(replace(shot(0, 1.0), taken_at=NOW + timedelta(days=2)))
    for _ in range(60):
        history.append(replace(shot(0, 1.0), taken_at=NOW + timedelta(days=2)))
    assert history.happened(600) == []
    history.close()


def test_a_history_of_an_older_release_has_nothing_to_tell(tmp_path: Path) -> None:
    old = sqlite3.connect(tmp_path / "history.db")
    old.execute("CREATE TABLE figures (at REAL PRIMARY KEY, named TEXT NOT NULL)")
    old.commit()
    old.close()
    history = HistoryStore(tmp_path, StoppedClock())
    assert history.happened(600) == []
    history.note([Happening(NOW, Kind.STACK, "", "overall healthy → degraded")])
    assert len(history.happened(600)) == 1
    history.close()
