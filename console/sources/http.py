"""
Many small GET requests at once, each bounded in time, over kept connections.

h11 speaks the protocol; what is ours is the deadline: it covers address, connection
and the whole answer together, so that neither a hung server nor one that sends a
byte a second can hold a source up.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

if TYPE_CHECKING:
    import h11

#: Connections kept between reads; beyond it the oldest is closed.
KEPT_CONNECTIONS = 256


@dataclass(frozen=True, slots=True)
class Answer:
    """
    What came back, or why nothing did.

    Args:
        status: HTTP status; None when there was no answer.
        body: At most *limit* bytes of it.
        error: Words for the operator; "" when there was an answer.
        seconds: Time taken.
    """

    status: int | None
    body: bytes
    error: str
    seconds: float


class HttpReader:
    """
    Fetches a set of addresses concurrently; used by one thread at a time.

    Args:
        timeout_seconds: For each request as a whole.
        body_limit_bytes: What is read of an answer; the rest is dropped.
    """

    def __init__(self, timeout_seconds: float, body_limit_bytes: int) -> None:
        self._timeout_seconds = timeout_seconds
        self._limit = body_limit_bytes
        self._runner: asyncio.Runner | None = None
        self._kept: dict[str, tuple[asyncio.StreamReader, asyncio.StreamWriter]] = {}
        self._lock = threading.Lock()

    def fetch(self, addresses: Mapping[str, str]) -> dict[str, Answer]:
        """
        Return the answer of each address, by the same keys.

        Never raises for what the far side does; that is in the answers.
        """
        if not addresses:
            return {}
        with self._lock:
            if self._runner is None:
                self._runner = asyncio.Runner()
            return self._runner.run(self._fetch_all(addresses))

    def close(self) -> None:
        """Close kept connections; the next fetch opens anew."""
        with self._lock:
            if self._runner is not None:
                self._runner.run(self._close_all())
                self._runner.close()
                self._runner = None

    async def _fetch_all(self, addresses: Mapping[str, str]) -> dict[str, Answer]:
        answers = await asyncio.gather(*(self._fetch(url) for url in addresses.values()))
        while len(self._kept) > KEPT_CONNECTIONS:
            self._kept.pop(next(iter(self._kept)))[1].close()
        return dict(zip(addresses, answers, strict=True))

    async def _fetch(self, url: str) -> Answer:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        status, body, error = None, b"", ""
        try:
            async with asyncio.timeout(self._timeout_seconds):
                status, body = await self._get(url)
        except TimeoutError:
            error = f"no answer within {self._timeout_seconds:g} s"
        except ConnectionRefusedError:
            error = "connection refused"
        except OSError as problem:
            error = problem.strerror or str(problem) or "connection failed"
        except ValueError as problem:
            error = str(problem)
        return Answer(status, body, error, loop.time() - begun)

    async def _get(self, url: str) -> tuple[int, bytes]:
        import h11

        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname:
            raise ValueError(f"cannot ask {parts.scheme or 'an empty address'}")
        kept = self._kept.pop(parts.netloc, None)
        if kept is not None:
            with contextlib.suppress(OSError, h11.RemoteProtocolError):
                return await self._exchange(parts, *kept)
            # It was closed while it lay idle; that says nothing of the server.
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port or 80)
        try:
            return await self._exchange(parts, reader, writer)
        except h11.RemoteProtocolError as problem:
            raise ValueError(f"not an HTTP answer: {problem}") from problem

    async def _exchange(
        self, parts: SplitResult, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> tuple[int, bytes]:
        import h11

        keep = False
        try:
            connection = h11.Connection(h11.CLIENT)
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            headers = [("Host", parts.netloc), ("User-Agent", "fragrance-console")]
            request = h11.Request(method="GET", target=target, headers=headers)
            writer.write((connection.send(request) or b"") + _end(connection))
            await writer.drain()
            status, body = await self._receive(connection, reader)
            keep = connection.our_state is h11.DONE and connection.their_state is h11.DONE
            return status, body
        finally:
            if keep:
                self._kept[parts.netloc] = (reader, writer)
            else:
                writer.close()

    async def _receive(
        self, connection: h11.Connection, reader: asyncio.StreamReader
    ) -> tuple[int, bytes]:
        import h11

        status, body = 0, bytearray()
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                connection.receive_data(await reader.read(65536))
            elif isinstance(event, h11.Response):
                status = event.status_code
            elif isinstance(event, h11.Data):
                body += event.data
                if len(body) >= self._limit:
                    return status, bytes(body[: self._limit])
            elif isinstance(event, h11.EndOfMessage | h11.ConnectionClosed):
                return status, bytes(body)

    async def _close_all(self) -> None:
        kept, self._kept = self._kept, {}
        for _, writer in kept.values():
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


def _end(connection: h11.Connection) -> bytes:
    import h11

    return connection.send(h11.EndOfMessage()) or b""
