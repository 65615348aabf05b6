"""
A compose project of a hundred replicas: how fast it is seen, and what watching it costs.

The peers look at the same containers in the same run: ``docker stats`` for one picture,
lazydocker (its path in FRAGRANCE_PEER_LAZYDOCKER) for watching.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import psutil

from tests.benchmarks.figures import Figure, median_seconds
from tests.benchmarks.terminal import cpu_seconds, in_terminal
from tests.stack import PROJECT

REPLICAS = 100
RUNS = 5
SETTLE_SECONDS = 15.0
WATCH_SECONDS = 30.0
SIZE = (160, 48)
PEER = "FRAGRANCE_PEER_LAZYDOCKER"
IMAGE = "fragrance-base-python:local"


def measure() -> list[Figure]:
    """Start the project, look at it in each way, and take it down."""
    with _project() as file:
        environment = {k: v for k, v in os.environ.items() if k != "FRAGRANCE_STATE"}
        ours = ["./fragrance", "--file", str(file)]

        def seen() -> None:
            status = _run([*ours, "status", "--json"], environment)
            ready = json.loads(status)["services"][0]["replicas"]
            if len(ready) != REPLICAS:
                raise RuntimeError(f"{len(ready)} replicas seen instead of {REPLICAS}")

        status = median_seconds(seen, RUNS)
        stats = median_seconds(lambda: _run(["docker", "stats", "--no-stream"], environment), 1)
        figures = [
            Figure(
                f"status of {REPLICAS} containers",
                status,
                "s",
                RUNS,
                peer=stats,
                peer_name="docker stats --no-stream",
            )
        ]
        peer = os.environ.get(PEER)
        figures.append(
            Figure(
                f"console, first complete picture of {REPLICAS}",
                statistics.median(_first_picture(ours, environment) for _ in range(RUNS)),
                "s",
                RUNS,
                peer=stats,
                peer_name="docker stats --no-stream",
                note="all replicas counted and healthy, launcher included",
            )
        )
        if peer:
            lazy = [peer, "-f", str(file)]
            firsts = [_first_bytes(lazy, environment) for _ in range(RUNS)]
            figures.append(Figure("lazydocker, first frame", statistics.median(firsts), "s", RUNS))
        watching = _watch(ours, environment)
        other: tuple[float, float] | None = None
        if peer:
            other = _watch([peer, "-f", str(file)], environment)
        else:
            print(f"lazydocker is not measured: {PEER} does not name it", file=sys.stderr)
        for number, who in enumerate(("the console", "Docker's daemons")):
            figures.append(
                Figure(
                    f"watching {REPLICAS} containers, {who}",
                    watching[number],
                    "% core",
                    1,
                    peer=None if other is None else other[number],
                    peer_name=None if other is None else "lazydocker",
                )
            )
        return figures


def _first_picture(command: Sequence[str], environment: Mapping[str, str]) -> float:
    begin = time.perf_counter()
    with in_terminal(command, environment, SIZE) as drawn:
        return drawn.until(f"{REPLICAS}/{REPLICAS}".encode()) - begin


def _first_bytes(command: Sequence[str], environment: Mapping[str, str]) -> float:
    """Return when a program that names no figures of ours has drawn something."""
    begin = time.perf_counter()
    with in_terminal(command, environment, SIZE) as drawn:
        while drawn.count < 2000:
            if time.perf_counter() - begin > 30:
                raise RuntimeError(f"{command[0]} drew nothing")
            time.sleep(0.005)
        return time.perf_counter() - begin


@contextlib.contextmanager
def _project() -> Iterator[Path]:
    """Give the file of a running project of one small service with a hundred replicas."""
    with tempfile.TemporaryDirectory(prefix="fragrance-bench-") as directory:
        file = Path(directory) / "compose.yaml"
        file.write_text(
            f"name: fragrance-bench-{os.getpid()}\n"
            f"services:\n  small:\n    image: {IMAGE}\n    command: [sleep, infinity]\n"
            f"    init: true\n    stop_grace_period: 1s\n    scale: {REPLICAS}\n",
            encoding="utf-8",
        )
        compose = ["docker", "compose", "-f", str(file)]
        try:
            _run([*compose, "up", "-d", "--quiet-pull"], os.environ, timeout=300)
            yield file
        finally:
            _run([*compose, "down", "--volumes", "--timeout", "1"], os.environ, timeout=300)


def _watch(command: Sequence[str], environment: Mapping[str, str]) -> tuple[float, float]:
    """Return percent of a core used by a program that watches, and by Docker meanwhile."""
    with in_terminal(command, environment, SIZE) as drawn:
        time.sleep(SETTLE_SECONDS)
        watcher, daemons = psutil.Process(drawn.process.pid), _daemons()
        before = _used([watcher, *watcher.children(recursive=True)]), _used(daemons)
        time.sleep(WATCH_SECONDS)
        after = _used([watcher, *watcher.children(recursive=True)]), _used(daemons)
        if drawn.process.poll() is not None:
            raise RuntimeError(f"{command[0]} ended by itself")
    ours, theirs = (100 * (b - a) / WATCH_SECONDS for a, b in zip(before, after, strict=True))
    return ours, theirs


def _daemons() -> list[psutil.Process]:
    names = {"dockerd", "containerd"}
    return [p for p in psutil.process_iter(["name"]) if p.info["name"] in names]


def _used(processes: Sequence[psutil.Process]) -> float:
    return sum(cpu_seconds(process) for process in processes)


def _run(command: Sequence[str], environment: Mapping[str, str], timeout: float = 60) -> str:
    done = subprocess.run(
        command, cwd=PROJECT, env=dict(environment), capture_output=True, text=True,
        stdin=subprocess.DEVNULL, timeout=timeout, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr[-2000:]}")
    return done.stdout
