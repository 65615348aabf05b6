"""
Fifty deaths of three kinds on Docker, each to the screen of a console that watches.

A kill -9 counts from the kill; a probe that fails and a process that is out of memory
count from the moment at which Docker itself says so.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks.containers import IMAGE
from tests.benchmarks.figures import Figure, percentile
from tests.benchmarks.terminal import Drawn, in_terminal
from tests.stack import PROJECT, wait_for

KINDS = {"kill -9": "killed", "unhealthy": "sick", "out of memory": "eater"}
EACH = 17
SETTLE_SECONDS = 10.0
PAUSE_SECONDS = 1.5
#: High enough for every service, so that none dies below the fold.
SIZE = (160, 90)
EATER = (
    "import os, time\nwhile not os.path.exists('/tmp/now'): time.sleep(0.05)\n"
    "x = []\nwhile True: x.append(bytearray(1 << 20))"
)


def measure() -> list[Figure]:
    """Start a project of single replicas and let one after the other die."""
    figures, together = [], []
    with _project() as (name, file):
        said = _Said(name)
        command = ["./fragrance", "--file", str(file)]
        environment = {k: v for k, v in os.environ.items() if k != "FRAGRANCE_STATE"}
        with said, in_terminal(command, environment, SIZE) as console:
            console.until(
                f"{EACH * len(KINDS)} of {EACH * len(KINDS)} services ready".encode(), 0, 90
            )
            time.sleep(SETTLE_SECONDS)
            for kind, service in KINDS.items():
                seconds = [
                    _death(console, said, kind, f"{service}{number:02}", name)
                    for number in range(EACH)
                ]
                together += seconds
                figures.append(Figure(f"{kind} to the screen, p50", statistics.median(seconds),
                                      "s", EACH))  # fmt: skip
    late = percentile(together, 0.95)
    return [*figures, Figure("a death to the screen, p95", late, "s", len(together))]


def _death(console: Drawn, said: _Said, kind: str, service: str, project: str) -> float:
    container = f"{project}-{service}-1"
    if kind == "kill -9":
        pid = int(_docker("inspect", "-f", "{{.State.Pid}}", container))
        begin = time.time()
        os.kill(pid, 9)
    else:
        _docker("exec", container, "touch", "/tmp/now")
        word = "health_status: unhealthy" if kind == "unhealthy" else "die"
        begin = wait_for(lambda: said.at.get((container, word)), 30, f"{kind}: no event", 0.005)
    seconds = max(0.0, console.until_row(f" {service} ", " 0/1 ") - begin)
    time.sleep(PAUSE_SECONDS)
    return seconds


class _Said:
    """What Docker says of the project's containers, with its own times."""

    def __init__(self, project: str) -> None:
        self.at: dict[tuple[str, str], float] = {}
        self._events = subprocess.Popen(
            ["docker", "events", "--filter", f"label=com.docker.compose.project={project}",
             "--format", "{{.TimeNano}}|{{.Actor.Attributes.name}}|{{.Action}}"],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def __enter__(self) -> None:
        threading.Thread(target=self._read, daemon=True).start()

    def __exit__(self, *_: object) -> None:
        self._events.terminate()
        self._events.wait(10)

    def _read(self) -> None:
        assert self._events.stdout is not None
        for line in self._events.stdout:
            nanoseconds, container, action = line.strip().split("|", 2)
            self.at.setdefault((container, action), int(nanoseconds) / 1e9)


@contextlib.contextmanager
def _project() -> Iterator[tuple[str, Path]]:
    """Give name and file of a running project of single replicas."""
    name = f"fragrance-deaths-{os.getpid()}"
    base = f"    image: {IMAGE}\n    init: true\n    stop_grace_period: 1s\n"
    sleeps = "    command: [sleep, infinity]\n"
    probe = (
        '    healthcheck: {test: [CMD, test, "!", "-e", /tmp/now], interval: 2s, timeout: 5s,'
        " retries: 1}\n"
    )
    # A string of JSON is one of YAML too.
    program = json.dumps(EATER)
    eats = f"    command: [python3, -c, {program}]\n    mem_limit: 32m\n    memswap_limit: 32m\n"
    more = {"killed": sleeps, "sick": sleeps + probe, "eater": eats}
    with tempfile.TemporaryDirectory(prefix="fragrance-bench-") as directory:
        file = Path(directory) / "compose.yaml"
        services = "".join(
            f"  {service}{number:02}:\n{base}{more[service]}"
            for service in KINDS.values()
            for number in range(EACH)
        )
        file.write_text(f"name: {name}\nservices:\n{services}", encoding="utf-8")
        compose = ["compose", "-f", str(file)]
        try:
            _docker(*compose, "up", "-d", "--wait", timeout=300)
            yield name, file
        finally:
            _docker(*compose, "down", "--volumes", "--timeout", "1", timeout=300)


def _docker(*arguments: str, timeout: float = 60) -> str:
    done = subprocess.run(
        ["docker", *arguments], cwd=PROJECT, capture_output=True, text=True,
        stdin=subprocess.DEVNULL, timeout=timeout, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise RuntimeError(f"docker {' '.join(arguments)}: {done.stderr[-2000:]}")
    return done.stdout.strip()
