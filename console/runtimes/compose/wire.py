"""
The engine's log streams, read as fast as they come.

The SDK reads a stream frame by frame through two layers of HTTP, at some ten
thousand lines a second.  A request in HTTP 1.0 gets the same bytes without chunks
around them, in blocks as large as the socket gives.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping
from urllib.parse import urlencode, urlsplit

from console.domain.text import plain_text
from console.errors import ConsoleError, NotSupported, Unreachable

DEFAULT_HOST = "unix:///var/run/docker.sock"
#: Old enough for every engine we run on.
API_VERSION = "v1.41"
CONNECT_SECONDS = 2.0
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
        raise Unreachable(
            f"the Docker Engine {_why(error)}",
            unchanged="containers go on running",
            remedy="docker info; systemctl start docker, or compose/engine/setup",
        ) from error
    return stream


def _why(error: OSError) -> str:
    if isinstance(error, FileNotFoundError | ConnectionRefusedError):
        return "is not running"
    if isinstance(error, PermissionError):
        return "may not be used by this user"
    return f"does not answer: {error.strerror or error}"


def _connect_unix(path: str, timeout_seconds: float) -> socket.socket:
    stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        stream.settimeout(timeout_seconds)
        stream.connect(path)
    except OSError:
        stream.close()
        raise
    return stream


def open_stream(host: str, path: str, query: Mapping[str, str]) -> tuple[socket.socket, bytes]:
    """
    Ask for a stream; return the socket and the first bytes of the body.

    Raises:
        Unreachable: If the engine does not answer in time.
        ConsoleError: If it declines.
    """
    stream = connect(host)
    request = f"GET {path}?{urlencode(query)} HTTP/1.0\r\nHost: docker\r\n\r\n"
    try:
        stream.sendall(request.encode())
        status, body = _read_head(stream)
    except (OSError, ValueError, IndexError) as error:
        stream.close()
        raise Unreachable(
            f"the Docker Engine does not answer: {error}",
            unchanged="containers go on running",
            remedy="docker info",
        ) from error
    if status != 200:
        stream.close()
        words = plain_text(body.decode(errors="replace"), 200)
        raise ConsoleError(f"the Docker Engine declined: {words}")
    return stream, body


def has_image(image: str) -> bool:
    """Return whether an engine answers here and has *image*."""
    host = os.environ.get("DOCKER_HOST") or DEFAULT_HOST
    try:
        stream, _ = open_stream(host, f"/{API_VERSION}/images/{image}/json", {})
    except ConsoleError:
        return False
    stream.close()
    return True


def _read_head(stream: socket.socket) -> tuple[int, bytes]:
    """Return the status of an answer and what came of its body with the header."""
    received = b""
    while b"\r\n\r\n" not in received and len(received) < LONGEST_HEADER_BYTES:
        block = stream.recv(BLOCK_BYTES)
        if not block:
            break
        received += block
    head, _, body = received.partition(b"\r\n\r\n")
    return int(head.split(b" ", 2)[1]), body


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
