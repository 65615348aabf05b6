"""The film of the past: what is kept, what is dropped, what is said to be missing."""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from console.domain.film import delta, developed, landmarks, rounded
from console.domain.happenings import Happening, Kind
from console.domain.operations import OperationState
from console.domain.policy import RewindPolicy
from console.domain.snapshot import Snapshot
from console.errors import Unreachable
from console.journal import film as film_module
from console.journal.film import REEL_FRAMES, FilmStore
from console.journal.reels import MAGIC, reels_in
from tests.fakes.clock import FakeClock
from tests.fakes.operations import operation
from tests.fakes.pictures import NOW, normal

EVERY = timedelta(seconds=10)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOW)


@pytest.fixture
def film(tmp_path: Path, clock: FakeClock) -> Iterator[FilmStore]:
    store = FilmStore(tmp_path, clock, RewindPolicy())
    yield store
    store.close()


def at(number: int) -> datetime:
    """When the picture of that number is taken."""
    return NOW + number * EVERY


def taken(number: int) -> Snapshot:
    """A picture in which something is otherwise every time."""
    picture = normal(taken_at=at(number))
    return replace(picture, metrics=replace(picture.metrics, request_rate=float(number)))


def shoot(film: FilmStore, clock: FakeClock, *numbers: int) -> None:
    for number in numbers:
        clock.advance((at(number) - clock.now()).total_seconds())
        film.append(taken(number))


def seen(film: FilmStore, moment: datetime, steps: int = 0) -> int:
    """Which picture is seen."""
    frame = film.frame(moment, steps)
    assert frame is not None
    assert frame.snapshot.metrics.request_rate is not None
    assert frame.snapshot == taken(int(frame.snapshot.metrics.request_rate))
    return int(frame.snapshot.metrics.request_rate)


# Deltas ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, {"a": 1}),
        ({"a": 1, "b": [1, {"c": 2}]}, {"a": 1, "b": [1, {"c": 3}]}),
        ({"a": 1}, {"a": 1, "b": 2}),
        ({"a": {"b": 1}}, {"a": None}),
        ({"a": None}, {"a": [None]}),
        ([1, 2], [1, 2, 3]),
        ([1, [2]], [1, []]),
        ({"a": 1}, {"a": True}),
        ({"a": 0}, {"a": 0.0}),
        ({"a": 1}, {"a": 1}),
    ],
)
def test_a_delta_makes_the_one_of_the_other(before: Any, after: Any) -> None:
    kept = msgspec.json.encode(before)

    change = msgspec.json.decode(msgspec.json.encode(delta(before, after)))
    made = developed(before, change)

    assert msgspec.json.encode(made) == msgspec.json.encode(after)
    assert msgspec.json.encode(before) == kept
    assert (change is None) == (kept == msgspec.json.encode(after))


def test_only_what_changed_is_told() -> None:
    before, after = (rounded(msgspec.to_builtins(taken(n))) for n in (1, 2))

    assert set(delta(before, after)) == {"taken_at", "metrics"}
    assert delta(before, after)["metrics"] == {"request_rate": [2.0]}


# Keeping -----------------------------------------------------------------------


def test_a_picture_comes_back_as_it_was(film: FilmStore, clock: FakeClock) -> None:
    shoot(film, clock, *range(2 * REEL_FRAMES + 5))

    assert len(reels_in(film.path)) == 3
    for number in (0, 1, REEL_FRAMES - 1, REEL_FRAMES, 2 * REEL_FRAMES + 4):
        assert seen(film, at(number)) == number
        assert seen(film, at(number) + timedelta(seconds=9)) == number


def test_who_looks_sees_what_was_kept_meanwhile(
    tmp_path: Path, film: FilmStore, clock: FakeClock
) -> None:
    reader = FilmStore(tmp_path, clock, RewindPolicy())
    shoot(film, clock, 0, 1)
    assert seen(reader, at(9)) == 1

    shoot(film, clock, 2)

    assert seen(reader, at(9)) == 2


def test_it_is_stepped_through_in_both_directions(film: FilmStore, clock: FakeClock) -> None:
    last = REEL_FRAMES + 2
    shoot(film, clock, *range(last + 1))

    assert [seen(film, at(last), -n) for n in (1, 2, 3, 4)] == [last - n for n in (1, 2, 3, 4)]
    assert seen(film, at(REEL_FRAMES - 1), 1) == REEL_FRAMES
    assert film.frame(at(last), 1) is None
    with pytest.raises(Unreachable, match=r"nothing was kept before 2026-03-14 03:12:31 UTC"):
        film.frame(at(0), -1)


def test_nothing_kept_is_said(film: FilmStore, clock: FakeClock) -> None:
    with pytest.raises(Unreachable, match="no agent has run here"):
        film.frame(NOW)

    shoot(film, clock, 0)

    with pytest.raises(Unreachable, match="nothing was kept before"):
        film.frame(NOW - EVERY)


def test_nobody_else_reads_it(film: FilmStore, clock: FakeClock) -> None:
    shoot(film, clock, 0)

    assert stat.S_IMODE(film.path.stat().st_mode) == 0o700
    assert {stat.S_IMODE(p.stat().st_mode) for p in film.path.iterdir()} == {0o600}


# Bounds ------------------------------------------------------------------------


def test_what_is_too_old_goes(tmp_path: Path, clock: FakeClock) -> None:
    film = FilmStore(tmp_path, clock, RewindPolicy(kept_hours=1 / 3))  # two reels
    shoot(film, clock, *range(6 * REEL_FRAMES))

    kept = reels_in(film.path)

    assert 2 <= len(kept) <= 4
    assert seen(film, clock.now() - timedelta(minutes=20)) == 6 * REEL_FRAMES - 1 - 120
    with pytest.raises(Unreachable, match="nothing was kept before"):
        film.frame(NOW)


def test_the_disk_is_not_filled(
    tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(film_module, "REEL_BYTES", 4096)
    policy = RewindPolicy(disk_mib=4)
    object.__setattr__(policy, "disk_mib", 64 / 1024)  # less than is allowed: quicker filled
    film = FilmStore(tmp_path, clock, policy)
    most = 0

    for number in range(400):
        shoot(film, clock, number)
        if number % 20 == 0:
            most = max(most, sum(p.stat().st_size for p in film.path.iterdir()))

    assert 32 * 1024 < most <= 64 * 1024
    assert seen(film, clock.now()) == 399


def test_it_goes_on_after_the_disk_was_full(
    film: FilmStore, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    shoot(film, clock, 0)
    write = os.write

    def full(descriptor: int, data: bytes) -> int:
        if len(data) > 5:
            return write(descriptor, data[:5])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(Unreachable, match="No space left"):
        shoot(film, clock, 1)
    monkeypatch.setattr(os, "write", write)
    shoot(film, clock, 2)

    assert [seen(film, at(n)) for n in (0, 1, 2)] == [0, 0, 2]


# Damage and gaps -----------------------------------------------------------------


@pytest.mark.parametrize("cut", [1, 15, 17, 40])
def test_a_torn_tail_costs_the_last_picture_alone(
    tmp_path: Path, film: FilmStore, clock: FakeClock, cut: int
) -> None:
    shoot(film, clock, *range(4))
    film.close()
    (reel,) = reels_in(film.path)
    os.truncate(reel.path, reel.path.stat().st_size - cut)

    assert seen(film, at(3)) == 2

    again = FilmStore(tmp_path, clock, RewindPolicy())
    shoot(again, clock, 4)
    assert seen(film, at(4)) == 4
    assert seen(film, at(4), -1) == 2
    again.close()


def test_a_damaged_reel_costs_no_other(film: FilmStore, clock: FakeClock) -> None:
    shoot(film, clock, *range(3 * REEL_FRAMES))
    damaged = reels_in(film.path)[1].path
    raw = bytearray(damaged.read_bytes())
    raw[len(raw) // 2] ^= 0xFF
    damaged.write_bytes(raw)

    assert seen(film, at(REEL_FRAMES)) == REEL_FRAMES
    assert seen(film, at(2 * REEL_FRAMES)) == 2 * REEL_FRAMES
    frame = film.frame(at(2 * REEL_FRAMES - 1))
    assert frame is not None
    assert frame.gap is not None
    assert frame.gap == (frame.snapshot.taken_at, at(2 * REEL_FRAMES))

    damaged.write_bytes(b"")
    assert seen(film, at(2 * REEL_FRAMES), -1) == REEL_FRAMES - 1


def test_a_gap_is_said_and_not_painted_over(film: FilmStore, clock: FakeClock) -> None:
    shoot(film, clock, 0, 1)
    film.close()  # no agent for a while
    shoot(film, clock, 20, 21)
    gap = (at(1), at(20))

    def gap_of(moment: datetime, steps: int = 0) -> object:
        frame = film.frame(moment, steps)
        assert frame is not None
        return frame.gap

    assert gap_of(at(1)) is None
    assert gap_of(at(1) + timedelta(seconds=25)) is None  # the next may only be late
    assert gap_of(at(10)) == gap
    assert gap_of(at(20), -1) == gap
    assert gap_of(at(1), 1) == gap
    assert gap_of(at(21), -1) is None
    clock.advance(3600)
    assert gap_of(clock.now()) == (at(21), clock.now())


def test_a_clock_that_was_set_back_hides_nothing(film: FilmStore, clock: FakeClock) -> None:
    shoot(film, clock, 0, 1, 2, 3, 4)
    shoot(film, clock, 2, 3)  # 20 s earlier

    assert len(reels_in(film.path)) == 2
    assert seen(film, at(3), -1) == 2
    assert seen(film, at(2), -1) == 4  # in the order in which they were taken
    assert seen(film, at(1)) == 1


def test_another_version_is_said_to_be_one(film: FilmStore, clock: FakeClock) -> None:
    shoot(film, clock, *range(REEL_FRAMES + 1))
    film.close()
    first, second = (reel.path for reel in reels_in(film.path))
    later = b"FRFILM99"
    first.write_bytes(later + first.read_bytes()[len(later) :])

    with pytest.raises(Unreachable, match="of another version of the console"):
        film.frame(at(3))
    assert seen(film, at(REEL_FRAMES)) == REEL_FRAMES
    assert MAGIC[:6] == later[:6]
    second.unlink()


def test_a_picture_of_another_contract_is_said_to_be_one(film: FilmStore, clock: FakeClock) -> None:
    film.append(replace(taken(0), schema_version=2))

    with pytest.raises(Unreachable, match="of another version of the console"):
        film.frame(at(0))


def test_what_is_no_reel_is_nothing(film: FilmStore, clock: FakeClock) -> None:
    shoot(film, clock, 0)
    for name in ("notes.txt", "x-1.reel", "00000009-9.reel"):
        (film.path / name).write_bytes(struct.pack(">dII", 1.0, 2**31, 0) * 3)

    assert seen(film, at(0)) == 0


# Landmarks -----------------------------------------------------------------------


def test_what_one_may_want_to_go_back_to() -> None:
    def happened(seconds: float, kind: Kind, words: str, *, grave: bool = True) -> Happening:
        return Happening(NOW + timedelta(seconds=seconds), kind, "it", words, grave)

    done = operation(OperationState.DONE, started_at=at(1), submitted_at=at(1))
    old = operation(OperationState.DONE, started_at=at(-9), submitted_at=at(-9))

    found = landmarks(
        [
            happened(30, Kind.ALERT, "alert is over", grave=False),
            happened(20, Kind.SERVICE, "app healthy → unhealthy"),
            happened(20, Kind.REPLICA, "app-1 killed"),
            happened(20, Kind.ALERT, "alert firing"),
            happened(15, Kind.REPLICA, "app-1 started", grave=False),
            happened(12, Kind.CHANGE, "scale"),
        ],
        [done, old],
        NOW,
    )

    assert [(one.at, one.words, one.grave) for one in found] == [
        (at(3), "alert is over", False),
        (at(2), "alert firing", True),
        (at(2), "app-1 killed · and 1 more", True),
        (at(1), "scale worker-llm 2 → 4: done · by ana", False),
    ]
    assert [one.operation for one in found] == [False, False, False, True]
