"""Logs of many containers, merged in time order."""

from __future__ import annotations

import contextlib
import heapq
import selectors
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import TypeAlias

from console.domain.logs import Records
from console.errors import ConsoleError, Unreachable
from console.ports import LogLine, LogRequest
from console.runtimes.compose.containers import Container
from console.runtimes.compose.wire import BLOCK_BYTES, LineSplitter, open_stream
from console.runtimes.log_lines import decode, line_of, parse

QUIET_SECONDS = 0.2
#: How often a follower looks for containers that are new or run again.
LOOK_SECONDS = 1.0
#: A block that takes longer than this is not coming any more.
READ_SECONDS = 10.0
LONG_AGO = datetime.min.replace(tzinfo=UTC)


class LogReader:
    """
    Reads the logs of one project.

    Args:
        host: Address of the engine.
        containers: Gives the project's containers, as (name, container).
    """

    def __init__(
        self, host: str, containers: Callable[[], Sequence[tuple[str, Container]]]
    ) -> None:
        self._host = host
        self._containers = containers

    def read(self, request: LogRequest) -> Iterator[LogLine | None]:
        """Yield lines as :meth:`console.ports.Runtime.logs` says."""
        wanted = self._wanted(request)
        begun_at = time.time()
        streams = [
            _last_of(self._past(name, container, request), request)
            for name, container in wanted
            if request.tail > 0 and container.state != "created"
        ]
        last: dict[str, str] = {}
        for _, stamp, line in heapq.merge(*streams, key=lambda item: item[0]):
            last[line.replica] = stamp
            yield line
        if request.follow and request.until is None:
            yield from self._follow(request, begun_at, last)

    def _wanted(self, request: LogRequest) -> list[tuple[str, Container]]:
        names = set(request.services)
        return [
            (name, container)
            for name, container in self._containers()
            if not names or name in names or container.service in names
        ]

    # What was said -----------------------------------------------------------

    def _past(
        self, name: str, container: Container, request: LogRequest
    ) -> Iterator[tuple[datetime, str, LogLine]]:
        """Yield the last lines of one container, with the time to sort them by."""
        query = {"tail": str(request.tail)}
        if request.since is not None:
            query["since"] = f"{request.since.timestamp():.9f}"
        if request.until is not None:
            # The engine counts the last lines first and then leaves out the younger ones.
            query |= {"tail": "all", "until": f"{request.until.timestamp():.9f}"}
        records = Records()
        latest = LONG_AGO
        try:
            stream, block = self._open(container, query)
        except Unreachable:
            raise
        except ConsoleError as error:
            words = f"its log cannot be read: {error.message}"
            yield LONG_AGO, "", LogLine(name, container.service, None, "error", words)
            return
        splitter = LineSplitter(framed=not container.tty)
        with stream:
            stream.settimeout(READ_SECONDS)
            while True:
                for raw in splitter.feed(block):
                    stamp, line = _line(name, container.service, raw)
                    # A traceback is sorted in whole, where it began.
                    if not records.entry(line).continues:
                        latest = max(latest, line.at or LONG_AGO)
                    yield latest, stamp, line
                try:
                    block = stream.recv(BLOCK_BYTES)
                except OSError as error:
                    raise Unreachable(f"the log of {name} broke off: {error}") from error
                if not block:
                    break
        for raw in splitter.rest():
            stamp, line = _line(name, container.service, raw)
            yield max(latest, line.at or LONG_AGO), stamp, line

    # What is being said ------------------------------------------------------

    def _follow(
        self, request: LogRequest, begun_at: float, last: dict[str, str]
    ) -> Iterator[LogLine | None]:
        """
        Yield lines as they come, from one thread over all sockets.

        Whoever reads slowly slows the engine's sending down and no memory fills.
        """
        with contextlib.ExitStack() as cleaning:
            selector = cleaning.enter_context(selectors.DefaultSelector())
            open_ones: dict[str, _Followed] = {}
            cleaning.callback(_close_all, open_ones)
            look_at, last_sign = 0.0, time.monotonic()
            while True:
                now = time.monotonic()
                if now >= look_at:
                    look_at = now + LOOK_SECONDS
                    # An engine that is gone for a while: what follows comes when it is back.
                    with contextlib.suppress(ConsoleError):
                        self._open_new(request, selector, open_ones, begun_at, last)
                found = [pair for f in open_ones.values() for pair in f.take_first(last)]
                for key, _ in selector.select(0.0 if found else QUIET_SECONDS):
                    followed: _Followed = key.data
                    lines, ended = followed.read(last)
                    found += lines
                    if ended:
                        selector.unregister(key.fileobj)
                        followed.socket.close()
                        del open_ones[followed.container.id]
                        look_at = min(look_at, now + QUIET_SECONDS)
                if found:
                    found.sort(key=lambda item: item[0])
                    for _, line in found:
                        yield line
                    last_sign = time.monotonic()
                elif time.monotonic() - last_sign >= QUIET_SECONDS * 0.9:
                    last_sign = time.monotonic()
                    yield None

    def _open_new(
        self,
        request: LogRequest,
        selector: selectors.BaseSelector,
        open_ones: dict[str, _Followed],
        begun_at: float,
        last: dict[str, str],
    ) -> None:
        """Open the streams of containers that run and are not followed yet."""
        for name, container in self._wanted(request):
            if container.id in open_ones or not container.alive:
                continue
            query = {"follow": "1", "since": _since(last.get(name), begun_at)}
            stream, first = self._open(container, query)
            stream.settimeout(READ_SECONDS)
            followed = _Followed(name, container, stream, first)
            open_ones[container.id] = followed
            selector.register(stream, selectors.EVENT_READ, followed)

    def _open(self, container: Container, query: dict[str, str]) -> tuple[socket.socket, bytes]:
        return open_stream(
            self._host,
            f"/containers/{container.id}/logs",
            {"stdout": "1", "stderr": "1", "timestamps": "1", **query},
        )


class _Followed:
    """One container that is being followed."""

    def __init__(
        self, name: str, container: Container, stream: socket.socket, first: bytes
    ) -> None:
        self.name = name
        self.container = container
        self.socket = stream
        self._first = first
        self._records = Records()
        self._latest = LONG_AGO
        self._splitter = LineSplitter(framed=not container.tty)

    def take_first(self, last: dict[str, str]) -> list[tuple[datetime, LogLine]]:
        """Return the lines that came with the answer's header, once."""
        block, self._first = self._first, b""
        return self._lines(self._splitter.feed(block), last) if block else []

    def read(self, last: dict[str, str]) -> tuple[list[tuple[datetime, LogLine]], bool]:
        """
        Return the lines that are there, and whether the stream has ended.

        Args:
            last: Time of the last line given out, by name; what is not later was
                given out before.
        """
        try:
            block = self.socket.recv(BLOCK_BYTES)
        except OSError:
            block = b""
        if block:
            return self._lines(self._splitter.feed(block), last), False
        return self._lines(self._splitter.rest(), last), True

    def _lines(self, raws: Iterator[bytes], last: dict[str, str]) -> list[tuple[datetime, LogLine]]:
        lines = []
        before = last.get(self.name, "")
        for raw in raws:
            stamp, line = _line(self.name, self.container.service, raw)
            if stamp and stamp <= before:
                continue
            last[self.name] = stamp or before
            if not self._records.entry(line).continues:
                self._latest = line.at or LONG_AGO
            lines.append((self._latest, line))
        return lines


_Timed: TypeAlias = tuple[datetime, str, LogLine]


def _last_of(lines: Iterator[_Timed], request: LogRequest) -> Iterator[_Timed]:
    """Return the last of *lines* where the engine could not be asked for these alone."""
    return lines if request.until is None else iter(deque(lines, maxlen=request.tail))


def _close_all(followed: dict[str, _Followed]) -> None:
    for one in followed.values():
        one.socket.close()


def _line(name: str, service: str, raw: bytes) -> tuple[str, LogLine]:
    """Return one line and the engine's time of it as text, whose order is that of time."""
    stamp, _, words = raw.partition(b" ")
    text = stamp.decode("ascii", "replace")
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        _, level, said = parse(decode(raw))
        return "", LogLine(name, service, None, level, said)
    written = decode(words)
    _, level, said = parse(written)
    return text, line_of(name, service, at.replace(tzinfo=UTC), level, said, written)


def _since(stamp: str | None, begun_at: float) -> str:
    """Return from when on to follow: the last line's time, to the nanosecond."""
    if not stamp:
        return f"{begun_at:.9f}"
    whole = int(datetime.fromisoformat(stamp).replace(microsecond=0).timestamp())
    fraction = stamp.rstrip("Z").partition(".")[2][:9].ljust(9, "0")
    return f"{whole}.{fraction}"
