"""
What is asked of the engine often or at once: its lists, its figures and its log streams.

The SDK takes a tenth of a second to import, some milliseconds of processor for each
question, and reads a stream frame by frame, at ten thousand lines a second.  A request
in HTTP 1.0 gets the same bytes without chunks around them, in blocks as large as the
socket gives.  What changes anything goes through the SDK.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import urlencode, urlsplit

import msgspec

from console.domain.text import plain_text
from console.errors import ConsoleError, NotSupported, Unreachable

DEFAULT_HOST = "unix:///var/run/docker.sock"
CONNECT_SECONDS = 2.0
#: Of a reading call; a picture must not wait longer for an engine that hangs.
READ_SECONDS = 2.0
HTTP_BAD_REQUEST = 400
BLOCK_BYTES = 256 * 1024
#: Nothing the engine sends as a header is longer.
LONGEST_HEADER_BYTES = 64 * 1024
FRAME_HEADER_BYTES = 8
#: A program that writes without ever ending a line is cut here.
LONGEST_LINE_BYTES = 64 * 1024


def connect(host: str, timeout_seconds: float = CONNECT_SECONDS) -> socket.socket:
    """
    Connect to the engine at *host*.

    Raises:
        NotSupported: If it is reached over TLS or SSH, where there is no plain stream.
        Unreachable: If it does not answer.
    """
    address = urlsplit(host)
    try:
        if address.scheme == "unix":
            stream = _connect_unix(address.path, timeout_seconds)
        elif address.scheme in {"tcp", "http"}:
            place = (address.hostname or "127.0.0.1", address.port or 2375)
            stream = socket.create_connection(place, timeout_seconds)
        else:
            raise NotSupported(
                f"logs cannot be read from {address.scheme}: engines",
                remedy="run the console on the host of the stack",
            )
    except OSError as error:
        raise unreachable(error) from error
    return stream


def _connect_unix(path: str, timeout_seconds: float) -> socket.socket:
    stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        stream.settimeout(timeout_seconds)
        stream.connect(path)
    except OSError:
        stream.close()
        raise
    return stream


class Declined(ConsoleError):
    """
    The engine answered, and not with what was asked for.

    Args:
        status: Of its answer, as in HTTP.
    """

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status


@dataclass(frozen=True, slots=True)
class _Head:
    """How an answer begins: its status, and its headers by lower-case name."""

    status: int
    headers: Mapping[str, str]


def is_plain(host: str) -> bool:
    """Whether the engine at *host* can be asked as here is done: neither by TLS nor by SSH."""
    scheme = urlsplit(host).scheme
    return scheme == "unix" or (
        scheme in {"tcp", "http"} and not os.environ.get("DOCKER_TLS_VERIFY")
    )


@lru_cache(maxsize=8)
def api_version(host: str) -> str:
    """
    Return the newest version of its interface that the engine at *host* speaks: ``v1.45``.

    No version is right for all: an engine may refuse one that another has not learnt yet.

    Raises:
        Unreachable: If it does not answer.
    """
    stream, head, _ = _ask(host, "/_ping", {}, CONNECT_SECONDS)
    stream.close()
    version = head.headers.get("api-version", "")
    if not version:
        raise Declined(head.status, "the Docker Engine does not say which interface it speaks")
    return f"v{version}"


def get_json(host: str, path: str, query: Mapping[str, str], timeout_seconds: float) -> Any:
    """
    Return the answer to one question, decoded.

    Args:
        host: The engine.
        path: Without the version, ``/containers/json``.
        query: Of the address.
        timeout_seconds: Of each wait on the socket.

    Raises:
        Unreachable: If the engine does not answer in time.
        Declined: If it declines; with its words.
    """
    version = api_version(host)
    stream, head, body = _ask(host, f"/{version}{path}", query, timeout_seconds)
    try:
        with stream:
            blocks = [body]
            while block := stream.recv(BLOCK_BYTES):
                blocks.append(block)
        answer = b"".join(blocks)
        if head.status == 200:
            return msgspec.json.decode(answer)
    except (OSError, ValueError) as error:
        raise unreachable(error) from error
    if head.status == HTTP_BAD_REQUEST:
        # An engine that was replaced meanwhile may refuse what it spoke before.
        api_version.cache_clear()
    raise _declined(head.status, answer)


def open_stream(host: str, path: str, query: Mapping[str, str]) -> tuple[socket.socket, bytes]:
    """
    Ask for a stream; return the socket and the first bytes of the body.

    Args:
        host: The engine.
        path: Without the version.
        query: Of the address.

    Raises:
        Unreachable: If the engine does not answer in time.
        Declined: If it declines.
    """
    stream, head, body = _ask(host, f"/{api_version(host)}{path}", query, CONNECT_SECONDS)
    if head.status != 200:
        stream.close()
        raise _declined(head.status, body)
    return stream, body


def read_lines(host: str, path: str, query: Mapping[str, str]) -> Iterator[Any]:
    """
    Ask for a stream of JSON, one object a line, and return what yields them as they come.

    Raises:
        Unreachable: If the engine does not answer in time, or breaks off within a line.
        Declined: If it declines.
    """
    stream, first = open_stream(host, path, query)
    stream.settimeout(None)  # nothing may happen for days

    def lines() -> Iterator[Any]:
        rest = first
        try:
            with stream:
                while True:
                    *whole, rest = rest.split(b"\n")
                    yield from (msgspec.json.decode(line) for line in whole if line.strip())
                    if not (block := stream.recv(BLOCK_BYTES)):
                        return
                    rest += block
        except (OSError, ValueError) as error:
            raise unreachable(error) from error

    return lines()


def has_image(image: str) -> bool:
    """Return whether an engine answers here and has *image*."""
    host = os.environ.get("DOCKER_HOST") or DEFAULT_HOST
    try:
        get_json(host, f"/images/{image}/json", {}, CONNECT_SECONDS)
    except ConsoleError:
        return False
    return True


def _ask(
    host: str, path: str, query: Mapping[str, str], timeout_seconds: float
) -> tuple[socket.socket, _Head, bytes]:
    """Send a question; return the socket, the head, and what came of the body with it."""
    stream = connect(host)
    asked = f"{path}?{urlencode(query)}" if query else path
    try:
        stream.settimeout(timeout_seconds)
        stream.sendall(f"GET {asked} HTTP/1.0\r\nHost: docker\r\n\r\n".encode())
        head, body = _read_head(stream)
    except (OSError, ValueError, IndexError) as error:
        stream.close()
        raise unreachable(error) from error
    return stream, head, body


def unreachable(error: Exception) -> Unreachable:
    """Return what came instead of an answer, in the operator's words."""
    text = str(error)
    why = next(
        (
            words
            for part, words in (
                ("timed out", f"does not answer within {READ_SECONDS:g} s"),
                ("Timeout", f"does not answer within {READ_SECONDS:g} s"),
                ("No such file", "is not running"),
                ("Connection refused", "is not running"),
                ("Permission denied", "may not be used by this user"),
                ("aborted", "closed the connection"),
            )
            if part in text
        ),
        plain_text(text, 200),
    )
    return Unreachable(
        f"the Docker Engine {why}",
        unchanged="containers go on running",
        remedy="docker info; systemctl start docker, or compose/engine/setup",
    )


def _declined(status: int, body: bytes) -> Declined:
    try:
        said = str(msgspec.json.decode(body)["message"])
    except (ValueError, KeyError, TypeError):
        said = body.decode(errors="replace")
    return Declined(status, f"the Docker Engine declined: {plain_text(said, 300)}")


def _read_head(stream: socket.socket) -> tuple[_Head, bytes]:
    """Return how an answer begins, and what came of its body with it."""
    received = b""
    while b"\r\n\r\n" not in received and len(received) < LONGEST_HEADER_BYTES:
        block = stream.recv(BLOCK_BYTES)
        if not block:
            break
        received += block
    head, _, body = received.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    return _Head(int(first.split(" ", 2)[1]), headers), body


class LineSplitter:
    """
    Cuts a log stream into lines, each with the time the engine gives it.

    Args:
        framed: Whether output and error are told apart by frames (no terminal).
    """

    def __init__(self, *, framed: bool) -> None:
        self._framed = framed
        self._raw = b""
        #: A line that was begun, by stream: 1 output, 2 error.
        self._begun: dict[int, bytes] = {}

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the complete lines, each beginning with its time; the rest is kept."""
        if not self._framed:
            *lines, rest = (self._raw + data).split(b"\n")
            if len(rest) > LONGEST_LINE_BYTES:
                lines, rest = [*lines, rest], b""
            self._raw = rest
            yield from (line.rstrip(b"\r") for line in lines if line)
            return
        raw = self._raw + data if self._raw else data
        position, end = 0, len(raw)
        begun = self._begun
        while end - position >= FRAME_HEADER_BYTES:
            begin = position + FRAME_HEADER_BYTES
            after = begin + int.from_bytes(raw[position + 4 : begin], "big")
            if after > end:
                break
            source = raw[position]
            position = after
            frame = raw[begin:after]
            if begun and source in begun:
                # The engine cuts long lines into pieces, each with its time before it.
                frame = begun.pop(source) + frame.partition(b" ")[2]
            if frame.endswith(b"\n"):
                yield frame[:-1]
            elif len(frame) > LONGEST_LINE_BYTES:
                yield frame
            else:
                begun[source] = frame
        self._raw = raw[position:]

    def rest(self) -> Iterator[bytes]:
        """Yield what is left of lines that were never ended."""
        left = [*self._begun.values()] if self._framed else [self._raw]
        self._begun, self._raw = {}, b""
        yield from (line for line in left if line)
