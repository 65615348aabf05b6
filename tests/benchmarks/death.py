"""From kill -9 of a replica to the picture that every console reads."""

from __future__ import annotations

import os
import signal
import statistics
import time

from console.domain.services import Health
from console.journal.picture import PictureFile
from tests.benchmarks.figures import Figure
from tests.stack import Stack, wait_for

RUNS = 5
REPLICA = "worker-rl-1"


def measure(stack: Stack) -> list[Figure]:
    """Kill a worker again and again; look at the agent's picture every 5 ms."""
    pictures = PictureFile(stack.state)
    seconds = []
    for _ in range(RUNS):
        stack.wait_ready("worker-rl", 1)
        picture = pictures.read()
        replica = picture.replica(REPLICA) if picture else None
        if replica is None or replica.pid is None:
            raise RuntimeError(f"{REPLICA} is not in the picture")
        pid = replica.pid

        def noticed(pid: int = pid) -> bool:
            now = pictures.read()
            seen = now.replica(REPLICA) if now else None
            return seen is not None and (seen.pid != pid or seen.health is not Health.HEALTHY)

        begin = time.perf_counter()
        os.kill(pid, signal.SIGKILL)
        wait_for(noticed, 10, "the death is unseen", every=0.005)
        seconds.append(time.perf_counter() - begin)
    return [
        Figure("kill -9 to the picture", statistics.median(seconds), "s", RUNS),
        Figure("kill -9 to the picture, worst", max(seconds), "s", RUNS),
    ]
