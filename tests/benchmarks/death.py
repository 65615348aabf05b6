"""From kill -9 of a replica to the picture that every console reads, and to the screen."""

from __future__ import annotations

import os
import signal
import statistics
import time

from console.domain.services import Health
from console.journal.picture import PictureFile
from tests.benchmarks.figures import Figure, percentile
from tests.benchmarks.terminal import in_terminal
from tests.stack import Stack, wait_for

RUNS = 50
SERVICE, REPLICA = "worker-rl", "worker-rl-1"


def measure(stack: Stack) -> list[Figure]:
    """Kill a worker again and again; look at the picture every 5 ms, and at a console."""
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
    return [
        figure
        for name, seconds in (("picture", to_picture), ("screen", to_screen))
        for figure in (
            Figure(f"kill -9 to the {name}, p50", statistics.median(seconds), "s", RUNS),
            Figure(f"kill -9 to the {name}, p95", percentile(seconds, 0.95), "s", RUNS),
        )
    ]
