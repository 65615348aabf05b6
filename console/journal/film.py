"""
The agent's pictures of the past: ``STATE/film``, bounded in age and on the disk.

A film is a row of reels (:mod:`console.journal.reels`).  Whatever is damaged costs its own
reel from there on; what is too old goes by the reel, which gives the disk its room back at
once.  Written by the agent alone, read by every console.
"""

from __future__ import annotations

import contextlib
import os
import threading
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from console.domain.film import Frame, gap_between, rounded
from console.domain.policy import RewindPolicy
from console.domain.snapshot import Snapshot
from console.errors import Unreachable
from console.journal.reels import Reel, Spool, head, read_reel, record, reels_in
from console.modes import make_directory, open_file
from console.ports import Clock

#: Pictures on a reel at most: so many are developed to see the last of it.
REEL_FRAMES = 60
#: A reel that is as long as this ends.
REEL_BYTES = 1024 * 1024
#: Reels that a reader keeps at hand.
_AT_HAND = 4


@dataclass(slots=True)
class _Writing:
    """The reel that is being written, and the last picture on it."""

    descriptor: int
    picture: Any
    at: datetime
    frames: int
    length: int


class FilmStore:
    """
    ``STATE/film``.

    Args:
        state: State directory.
        clock: Its present is what age is counted from.
        policy: How long and how much is kept.
    """

    def __init__(self, state: Path, clock: Clock, policy: RewindPolicy) -> None:
        self.path = state / "film"
        self._clock = clock
        self._policy = policy
        self._writing: _Writing | None = None
        self._spools: dict[Path, Spool] = {}
        self._lock = threading.Lock()

    # Writing -----------------------------------------------------------------

    def append(self, snapshot: Snapshot) -> None:
        """
        Keep one picture; what is too old or too much goes with every new reel.

        Raises:
            Unreachable: If it cannot be written; the next one begins a new reel.
        """
        import msgspec

        picture = rounded(msgspec.to_builtins(snapshot))
        at = snapshot.taken_at
        try:
            reel = self._writing
            # A clock that was set back begins a new one: on each, time only goes on.
            if reel is None or reel.frames >= REEL_FRAMES or reel.length >= REEL_BYTES or (
                at < reel.at
            ):  # fmt: skip
                reel = self._begin(at)
            written = record(reel.picture, picture, at)
            _write(reel.descriptor, written)
        except OSError as error:
            self.close()
            raise Unreachable(f"cannot write {self.path}: {error.strerror}") from error
        reel.picture, reel.at = picture, at
        reel.frames += 1
        reel.length += len(written)

    def close(self) -> None:
        """Close the reel that is being written; idempotent."""
        reel, self._writing = self._writing, None
        if reel is not None:
            with contextlib.suppress(OSError):
                os.close(reel.descriptor)

    def _begin(self, at: datetime) -> _Writing:
        self.close()
        make_directory(self.path)
        reels = reels_in(self.path)
        self._drop(reels)
        reel = Reel.named(self.path, reels[-1].number + 1 if reels else 1, at)
        descriptor = open_file(reel.path, os.O_WRONLY | os.O_TRUNC)
        begun = head(self._policy.every_seconds)
        self._writing = _Writing(descriptor, None, at, 0, len(begun))
        _write(descriptor, begun)
        return self._writing

    def _drop(self, reels: list[Reel]) -> None:
        """Remove the oldest until age and size are within bounds, the reel to come included."""
        edge = self._clock.now().timestamp() - self._policy.kept_hours * 3600
        room = self._policy.disk_mib * 1024 * 1024 - 2 * REEL_BYTES
        ended = float("inf")
        for place, reel in reversed(list(enumerate(reels))):
            with contextlib.suppress(OSError):
                room -= reel.path.stat().st_size
            if room < 0 or ended < edge:
                for old in reels[: place + 1]:
                    old.path.unlink(missing_ok=True)
                return
            ended = reel.first.timestamp()  # the one before ended no later

    # Reading -----------------------------------------------------------------

    def frame(self, at: datetime, steps: int = 0) -> Frame | None:
        """
        Return the last picture taken at or before *at*, or one so many *steps* from it.

        Args:
            at: A moment.
            steps: Pictures to go on (negative: back) from there.

        Returns:
            The picture; None where that is beyond the newest.

        Raises:
            Unreachable: If nothing was kept so long ago, or another version kept it.
        """
        with self._lock:
            reels = reels_in(self.path)
            place = max((n for n, reel in enumerate(reels) if reel.first <= at), default=-1)
            found = self._last_before(reels, place, at)
            if found is None:
                raise _nothing(reels)
            asked = at
            for _ in range(abs(steps)):
                asked = self._taken(reels, found)
                beside = self._beside(reels, found, 1 if steps > 0 else -1)
                if beside is None and steps > 0:
                    return None
                if beside is None:
                    raise _nothing(reels)
                found = beside
            return self._frame(reels, found, asked)

    def _frame(self, reels: list[Reel], found: tuple[int, int], asked: datetime) -> Frame:
        """Return one picture; *asked* is the moment, or the picture beside, it was asked from."""
        spool = self._spool(reels[found[0]])
        at = spool.records[found[1]][0]
        gap = None
        if at <= asked:
            if gap_between(at, asked, spool.every_seconds):
                after = self._beside(reels, found, 1)
                gap = at, max(asked, self._clock.now()) if after is None else self._taken(
                    reels, after
                )  # fmt: skip
        else:
            gap = gap_between(asked, at, spool.every_seconds)
        return Frame(spool.picture(found[1]), gap)

    def _last_before(self, reels: list[Reel], place: int, at: datetime) -> tuple[int, int] | None:
        """Return where the last picture at or before *at* is, from the reel at *place* back."""
        for number in range(place, -1, -1):
            records = self._spool(reels[number]).records
            index = max((n for n, (taken, _) in enumerate(records) if taken <= at), default=-1)
            if index >= 0:
                return number, index
        return None

    def _beside(self, reels: list[Reel], found: tuple[int, int], by: int) -> tuple[int, int] | None:
        """Return where the next picture (or, *by* -1, the one before) is, None without one."""
        place, index = found[0], found[1] + by
        if 0 <= index < len(self._spool(reels[place]).records):
            return place, index
        place += by
        while 0 <= place < len(reels):
            count = len(self._spool(reels[place]).records)
            if count:
                return place, 0 if by > 0 else count - 1
            place += by
        return None

    def _taken(self, reels: list[Reel], found: tuple[int, int]) -> datetime:
        return self._spool(reels[found[0]]).records[found[1]][0]

    def _spool(self, reel: Reel) -> Spool:
        """Return what is on a reel; the last ones looked at stay at hand."""
        known = self._spools.pop(reel.path, None)
        try:
            grown = known is None or reel.path.stat().st_size != known.length
        except OSError:
            grown = True
        if known is None or grown:
            known = read_reel(reel)
        self._spools[reel.path] = known
        while len(self._spools) > _AT_HAND:
            del self._spools[next(iter(self._spools))]
        return known


def _write(descriptor: int, data: bytes) -> None:
    """Write all of *data*; a full disk may take a part."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _nothing(reels: list[Reel]) -> Unreachable:
    if not reels:
        return Unreachable(
            "nothing was kept of the past: no agent has run here",
            remedy="fragrance start starts the agent, which keeps it from then on",
        )
    first = reels[0].first + timedelta(seconds=1)  # of which it is the second that follows
    return Unreachable(
        f"nothing was kept before {first:%Y-%m-%d %H:%M:%S} UTC",
        remedy=f"fragrance status --at '{first:%Y-%m-%d %H:%M:%S}'; "
        "how much is kept: rewind in compose/console.yaml",
    )
