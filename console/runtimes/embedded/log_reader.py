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
from console.runtimes.log_lines import decode, parse

FOLLOW_SECONDS = 0.1
QUIET_SECONDS = 0.2
#: Sorts what carries no time before everything else.
LONG_AGO = datetime.min.replace(tzinfo=UTC)


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
            raw, end = read_tail(path, request.tail)
            followers[replica] = LogFollower(path, end)
            streams.append(self._timed(replica, raw))
        for at, line in heapq.merge(*streams, key=lambda pair: pair[0]):
            if request.since is None or at >= request.since:
                yield line
        if request.follow:
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
            now = time.monotonic()
            if found:
                last_sign = now
            elif now - last_sign >= QUIET_SECONDS:
                last_sign = now
                yield None
            time.sleep(FOLLOW_SECONDS)

    def _timed(self, replica: str, raw: list[bytes]) -> list[tuple[datetime, LogLine]]:
        """Return lines with the time to sort them by: their own, else the one before."""
        service = self._service_of(replica)
        timed: list[tuple[datetime, LogLine]] = []
        latest = LONG_AGO
        for line in raw:
            at, level, text = parse(decode(line))
            # Never back: within one log the order of writing is the truth.
            latest = max(latest, at) if at is not None else latest
            timed.append((latest, LogLine(replica, service, at, level, text)))
        return timed

    def _files(self, request: LogRequest) -> list[tuple[str, Path]]:
        found = []
        for path in sorted(self._layout.logs.glob("*.log")):
            replica = path.name.removesuffix(".log")
            wanted = request.services
            if not wanted or replica in wanted or self._service_of(replica) in wanted:
                found.append((replica, path))
        return found
