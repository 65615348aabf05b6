"""Logs of many replicas, merged in time order."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from console.ports import LogLine, LogRequest
from console.runtimes.embedded.layout import Layout
from console.runtimes.embedded.log_files import LogFollower, read_tail
from console.runtimes.log_lines import decode, line_of, parse

FOLLOW_SECONDS = 0.1
QUIET_SECONDS = 0.2
#: Sorts what carries no time before everything else.
LONG_AGO = datetime.min.replace(tzinfo=UTC)
#: More lines than the parts of a log that are kept can hold.
EVERYTHING = 10**9
#: Said in the place of lines that came faster than they could be read.
LOST = "lines are missing here: the log was rotated away faster than it was read"


class LogReader:
    """
    Reads the logs of one stack.

    Args:
        layout: Where they are.
        service_of: Service of a replica by name, also of one that is gone.
    """

    def __init__(self, layout: Layout, service_of: Callable[[str], str]) -> None:
        self._layout = layout
        self._service_of = service_of

    def read(self, request: LogRequest) -> Iterator[LogLine | None]:
        """Yield lines as :meth:`console.ports.Runtime.logs` says."""
        followers: dict[str, LogFollower] = {}
        streams = []
        for replica, path in self._files(request):
            everything = request.until is not None and request.tail > 0
            raw, end = read_tail(path, EVERYTHING if everything else request.tail)
            if request.until is not None:
                raw = raw[: _place_after(raw, request.until)][-request.tail :]
            followers[replica] = LogFollower(path, end)
            streams.append(self._timed(replica, raw))
        for at, line in heapq.merge(*streams, key=lambda pair: pair[0]):
            if request.since is None or at >= request.since:
                yield line
        if request.follow and request.until is None:
            yield from self._follow(request, followers)

    def _follow(
        self, request: LogRequest, followers: dict[str, LogFollower]
    ) -> Iterator[LogLine | None]:
        last_sign = time.monotonic()
        while True:
            for replica, path in self._files(request):
                if replica not in followers:
                    followers[replica] = LogFollower(path, 0)
            streams = [self._timed(name, f.read()) for name, f in followers.items()]
            found = False
            for _, line in heapq.merge(*streams, key=lambda pair: pair[0]):
                found = True
                yield line
            for replica, follower in followers.items():
                if follower.take_lost():
                    yield LogLine(replica, self._service_of(replica), None, "warning", LOST)
            now = time.monotonic()
            if found:
                last_sign = now
            elif now - last_sign >= QUIET_SECONDS:
                last_sign = now
                yield None
            if not any(follower.more for follower in followers.values()):
                time.sleep(FOLLOW_SECONDS)

    def _timed(self, replica: str, raw: list[bytes]) -> list[tuple[datetime, LogLine]]:
        """Return lines with the time to sort them by: their own, else the one before."""
        service = self._service_of(replica)
        timed: list[tuple[datetime, LogLine]] = []
        latest = LONG_AGO
        for line in raw:
            decoded = decode(line)
            at, level, text = parse(decoded)
            # Never back: within one log the order of writing is the truth.
            latest = max(latest, at) if at is not None else latest
            timed.append((latest, line_of(replica, service, at, level, text, decoded)))
        return timed

    def _files(self, request: LogRequest) -> list[tuple[str, Path]]:
        found = []
        for path in sorted(self._layout.logs.glob("*.log")):
            replica = path.name.removesuffix(".log")
            wanted = request.services
            if not wanted or replica in wanted or self._service_of(replica) in wanted:
                found.append((replica, path))
        return found


def _place_after(raw: list[bytes], until: datetime) -> int:
    """Return how many of *raw* were said until then; without a time: with the one before."""
    low, high = 0, len(raw)
    while low < high:
        middle = (low + high) // 2
        place, at = middle, None
        while place >= low and (at := parse(decode(raw[place]))[0]) is None:
            place -= 1
        if at is None or at <= until:
            low = middle + 1
        else:
            high = place
    return low
