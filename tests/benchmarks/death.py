"""
Deaths on the embedded runtime, to the picture that every console reads and to the screen.

A kill -9 counts from the kill; a replica that answers no more from the picture that says
so, for only the agent's probes can tell.  Out of memory has no meaning here: plain
processes have no limit that the kernel would kill them for.
"""

from __future__ import annotations

import contextlib
import os
import signal
import statistics
import time

from console.domain.services import Health
from console.journal.picture import PictureFile
from tests.benchmarks.figures import Figure, percentile
from tests.benchmarks.terminal import Drawn, in_terminal
from tests.stack import Stack, wait_for

RUNS = 50
#: Each waits for probes to give up, and then for the replica to be well again.
UNHEALTHY_RUNS = 5
SERVICE, REPLICA = "worker-rl", "worker-rl-1"


def measure(stack: Stack) -> list[Figure]:
    """Kill a worker again and again, hold it up; look at the picture every 5 ms, and a console."""
    pictures = PictureFile(stack.state)
    to_picture, to_screen = [], []
    with in_terminal(stack.command(), stack.environment(), (160, 48)) as console:
        console.until(SERVICE.encode())
        for _ in range(RUNS):
            stack.wait_ready(SERVICE, 1)
            picture = pictures.read()
            replica = picture.replica(REPLICA) if picture else None
            if replica is None or replica.pid is None:
                raise RuntimeError(f"{REPLICA} is not in the picture")
            pid = replica.pid

            def noticed(pid: int = pid) -> bool:
                now = pictures.read()
                seen = now.replica(REPLICA) if now else None
                return seen is not None and (seen.pid != pid or seen.health is not Health.HEALTHY)

            time.sleep(1.0)  # what the screen drew of the one before is drawn
            since, begin = console.count, time.perf_counter()
            os.kill(pid, signal.SIGKILL)
            wait_for(noticed, 10, "the death is unseen", every=0.005)
            to_picture.append(time.perf_counter() - begin)
            to_screen.append(console.until(b"0/1", since) - begin)
        unwell = [_held_up(stack, console, pictures) for _ in range(UNHEALTHY_RUNS)]
    return [
        figure
        for name, seconds in (
            ("kill -9 to the picture", to_picture),
            ("kill -9 to the screen", to_screen),
            ("unhealthy, picture to the screen", unwell),
        )
        for figure in (
            Figure(f"{name}, p50", statistics.median(seconds), "s", len(seconds)),
            Figure(f"{name}, p95", percentile(seconds, 0.95), "s", len(seconds)),
        )
    ]


def _held_up(stack: Stack, console: Drawn, pictures: PictureFile) -> float:
    """Stop a worker in its tracks; return the seconds from the picture to the screen."""
    stack.wait_ready(SERVICE, 1)
    picture = pictures.read()
    replica = picture.replica(REPLICA) if picture else None
    if replica is None or replica.pid is None:
        raise RuntimeError(f"{REPLICA} is not in the picture")

    def unwell() -> bool:
        now = pictures.read()
        seen = now.replica(REPLICA) if now else None
        return seen is not None and seen.health is not Health.HEALTHY

    time.sleep(1.0)
    since = console.count
    os.kill(replica.pid, signal.SIGSTOP)
    try:
        wait_for(unwell, 120, "no probe has noticed", every=0.005)
        begin = time.perf_counter()
        return max(0.0, console.until(b"0/1", since) - begin)
    finally:
        with contextlib.suppress(ProcessLookupError):  # the supervisor may have replaced it
            os.kill(replica.pid, signal.SIGCONT)
