"""
Runners without their start-up: forked from one process that has loaded everything.

A crash test starts hundreds of them, and most of their time would be imports.  Each is
still a process of its own, in a session of its own, with the command line, the log and
the environment that the console gives it, and dies by SIGKILL.  How a runner is really
started is for the other tests.

``python -m tests.faults.forked_runner MODULE:BUILD`` reads one JSON line per runner.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from console.errors import Interrupted
from console.operations.crash import VARIABLE
from console.operations.launch import READY
from tests.stack import PROJECT

LOADED = (
    *("console.bootstrap", "console.cli.operations", "console.steps", "console.sources"),
    *("console.runtimes.compose", "console.runtimes.embedded", "console.sources.http"),
    *("console.sources.host", "console.sources.journal_state", "console.sources.postgres"),
    *("console.sources.probes", "console.sources.redis_queue", "console.sources.scrape"),
    *("console.sources.runtime_state", "docker", "redis", "psycopg", "psutil", "h11"),
)


class Forks:
    """The process that forks; see the module."""

    def __init__(self, server: subprocess.Popen[str], log: Path, options: Sequence[str]) -> None:
        self._server = server
        self._log = log
        self._options = options

    def launch(self, operation_id: str, mode: str) -> None:
        """Start a runner, as :func:`console.operations.launch.launch_runner` does."""
        words = ["operations", "_run", operation_id, "--mode", mode, *self._options]
        wish = {"words": words, "log": str(self._log), "crash_at": os.environ.get(VARIABLE)}
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps(wish) + "\n")
        self._server.stdin.flush()
        if self._server.stdout.readline() != "ready\n":
            raise Interrupted(f"the runner of operation {operation_id} did not start")


@contextmanager
def forking(state: Path, build: str, *options: str) -> Iterator[Forks]:
    """
    Give what forks runners of the stack in *state*.

    Args:
        build: ``module:function`` that builds its engine.
        options: Further ones of the runner's command line.
    """
    command = [sys.executable, "-m", "tests.faults.forked_runner", build]
    with subprocess.Popen(
        command, cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            yield Forks(server, state / "runner.log", ("--state", str(state), *options))
        finally:
            assert server.stdin is not None
            server.stdin.close()
            server.wait(30)


def serve(build: str) -> None:
    """Fork a runner for each line, and say whether it came to hold the lock."""
    module, _, function = build.partition(":")
    builder = getattr(importlib.import_module(module), function)
    for name in LOADED:
        importlib.import_module(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # they are reaped by themselves
    for line in sys.stdin:
        wish = json.loads(line)
        read_end, write_end = os.pipe()
        if os.fork() == 0:
            os.close(read_end)
            run(builder, wish, write_end)
        os.close(write_end)
        said = os.read(read_end, len(READY))
        os.close(read_end)
        print("ready" if said == READY else "dead", flush=True)


def run(builder: object, wish: dict[str, object], ready_fd: int) -> None:
    """Be one runner; never returns."""
    from console.cli.main import main

    code = 1
    try:
        os.setsid()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        log = os.open(str(wish["log"]), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o660)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for target, source in ((0, nothing), (1, log), (2, log)):
            os.dup2(source, target)
        os.environ[VARIABLE] = str(wish["crash_at"] or "")
        words = [*wish["words"], "--ready-fd", str(ready_fd)]  # type: ignore[misc]  # of JSON
        code = main(words, builder)[0]  # type: ignore[arg-type]  # named on the command line
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    serve(sys.argv[1])
