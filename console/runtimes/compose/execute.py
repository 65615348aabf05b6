"""Running one command in a container."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from console.errors import ConsoleError, Unreachable
from console.ports import ExecResult
from console.runtimes.compose.daemon import CHANGE_SECONDS, Daemon

#: Most of the output that is kept; of more the end, where the result stands.
OUTPUT_BYTES = 64 * 1024
BLOCK_BYTES = 64 * 1024
FRAME_HEADER_BYTES = 8
#: How long the engine may take to write down how a command ended.
SETTLE_SECONDS = 2.0


def execute(
    daemon: Daemon, container: str, replica: str, command: Sequence[str], timeout_seconds: float
) -> ExecResult:
    """
    Run *command* in *container*, as its user and with its environment.

    Args:
        replica: Its name here; given to the command as ``REPLICA_NAME``.

    Raises:
        Unreachable: After the timeout; what it had started is killed.
        ConsoleError: If the container does not run.
    """
    deadline = time.monotonic() + timeout_seconds
    made = daemon.call(
        lambda c: c.exec_create(container, list(command), environment={"REPLICA_NAME": replica}),
        CHANGE_SECONDS,
    )
    stream: Any = daemon.call(lambda c: c.exec_start(made["Id"], socket=True), CHANGE_SECONDS)
    # The SDK wraps the socket so that it can only be read from.
    raw: socket.socket = getattr(stream, "_sock", stream)
    output = _Tail()
    try:
        while True:
            raw.settimeout(max(0.01, deadline - time.monotonic()))
            block = raw.recv(BLOCK_BYTES)
            if not block:
                break
            output.feed(block)
    except OSError as error:
        _kill(daemon, made["Id"])
        raise Unreachable(
            f"{' '.join(command)} in {replica} took longer than {timeout_seconds:g} s",
            unchanged=f"{replica} runs on",
            remedy=f"fragrance logs {replica}",
        ) from error
    finally:
        with contextlib.suppress(OSError):
            stream.close()
            raw.close()
    return ExecResult(_exit_code(daemon, made["Id"], replica), output.text())


class _Tail:
    """Takes frames apart and keeps the end of what they carry."""

    def __init__(self) -> None:
        self._raw = b""
        self._kept = b""

    def feed(self, block: bytes) -> None:
        raw = self._raw + block
        position = 0
        while len(raw) - position >= FRAME_HEADER_BYTES:
            begin = position + FRAME_HEADER_BYTES
            after = begin + int.from_bytes(raw[position + 4 : begin], "big")
            if after > len(raw):
                break
            self._kept = (self._kept + raw[begin:after])[-OUTPUT_BYTES:]
            position = after
        self._raw = raw[position:]

    def text(self) -> str:
        return self._kept.decode(errors="replace")


def _exit_code(daemon: Daemon, name: str, replica: str) -> int:
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        state = daemon.call(lambda c: c.exec_inspect(name))
        if not state.get("Running") and state.get("ExitCode") is not None:
            return int(state["ExitCode"])
        if time.monotonic() >= deadline:
            raise ConsoleError(f"how the command in {replica} ended is not known")
        time.sleep(0.02)


def _kill(daemon: Daemon, name: str) -> None:
    """Kill a command and what it started; the engine itself has no way to."""
    try:
        pid = int(daemon.call(lambda c: c.exec_inspect(name)).get("Pid") or 0)
    except ConsoleError:
        return
    for victim in reversed(descendants(pid)) if pid > 1 else ():
        with contextlib.suppress(OSError):
            os.kill(victim, signal.SIGKILL)


def descendants(pid: int) -> list[int]:
    """Return *pid* and the processes below it, parents first."""
    found = [pid]
    for parent in found:
        for task in Path(f"/proc/{parent}/task").glob("*/children"):
            with contextlib.suppress(OSError, ValueError):
                found += [int(child) for child in task.read_text().split()]
    return found
