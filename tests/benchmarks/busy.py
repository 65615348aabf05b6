"""
A large and busy stack as a console sees it: 300 replicas, a thousand log lines a second.

Only what runs is made up: a process of its own holds the agent's lock, writes a new
picture every second as an agent does, and appends to log files as replicas do.  The
console that looks at it is the real one, from its command line to its terminal.

``python -m tests.benchmarks.busy STATE REPLICAS LINES_PER_SECOND`` is that process.
"""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from console.clock import SystemClock
from console.domain.metrics import Metrics
from console.domain.queues import Queue
from console.domain.readings import SourceState, SourceStatus
from console.domain.services import Health, Replica, ReplicaState, Role, Service
from console.domain.snapshot import AgentState, Overall, Snapshot
from console.journal.agent_lock import AgentLock
from console.journal.history import HistoryStore
from console.journal.picture import PictureFile
from console.runtimes.embedded.layout import Layout
from console.runtimes.embedded.rotation import open_log, rotate_if_large
from console.settings import load_settings, record_runtime
from tests.stack import PROJECT, Stack, wait_for

REPLICAS = 300
LINES_PER_SECOND = 1000
#: How much of a history it has, seconds.
HISTORY_SECONDS = 1800
#: Replicas that write logs; each line goes to one of them in turn.
WRITERS = 10
SERVICES = (("app", Role.APP), ("worker-llm", Role.WORKER), ("worker-rl", Role.WORKER))
_GIB = 1024**3


@contextmanager
def busy_stack(
    replicas: int = REPLICAS, lines_per_second: int = LINES_PER_SECOND
) -> Iterator[Stack]:
    """Give a stack that has *replicas* and writes *lines_per_second*, until the block ends."""
    with tempfile.TemporaryDirectory(prefix="fragrance-busy-") as directory:
        stack = Stack(Path(directory) / "state")
        load = subprocess.Popen(
            [sys.executable, "-m", __name__, str(stack.state), str(replicas),
             str(lines_per_second)],
            cwd=PROJECT,
        )  # fmt: skip
        try:
            wait_for((stack.state / "picture.json").exists, 30, "no picture was written")
            yield stack
        finally:
            load.send_signal(signal.SIGTERM)
            load.wait(10)


def make_picture(at: datetime, replicas: int, chance: random.Random) -> Snapshot:
    """Return a healthy stack in which every figure moves a little from picture to picture."""
    services = []
    for name, role in SERVICES:
        own = tuple(
            Replica(
                id=f"{name}-{number}",
                name=f"{name}-{number}",
                state=ReplicaState.RUNNING,
                health=Health.HEALTHY,
                reason="",
                release="v1.4.2",
                started_at=at,
                cpu_ratio=chance.uniform(0.05, 0.6),
                memory_bytes=chance.randrange(200, 900) * 1024**2,
                restarts=0,
                health_output="",
                active_tasks=chance.randrange(2) if role is Role.WORKER else None,
                accepting=True if role is Role.WORKER else None,
            )
            for number in range(1, replicas // len(SERVICES) + 1)
        )
        services.append(
            Service(
                name=name,
                role=role,
                desired=len(own),
                ready=len(own),
                health=Health.HEALTHY,
                reason="",
                release="v1.4.2",
                cpu_cores=sum(r.cpu_ratio or 0 for r in own),
                cpu_ratio=sum(r.cpu_ratio or 0 for r in own) / len(own),
                memory_bytes=sum(r.memory_bytes or 0 for r in own),
                memory_limit_bytes=_GIB * len(own),
                restarts=0,
                replicas=own,
                labels={"console.queue": name[7:]} if role is Role.WORKER else {},
            )
        )
    return Snapshot(
        taken_at=at,
        environment="dev",
        runtime="embedded",
        release="v1.4.2",
        overall=Overall.HEALTHY,
        endpoints={},
        agent=AgentState.RUNNING,
        services=tuple(services),
        queues=tuple(
            Queue(name, chance.randrange(90), 60, 4.0, 9.1, 9.4, 100) for name in ("llm", "rl")
        ),
        metrics=Metrics(
            request_rate=chance.uniform(300, 400),
            error_ratio=0.001,
            p50_seconds=chance.uniform(0.02, 0.05),
            p95_seconds=chance.uniform(0.1, 0.2),
            p99_seconds=0.4,
            host_cpu_ratio=chance.uniform(0.3, 0.5),
            host_memory_ratio=0.5,
            host_disk_ratio=0.4,
        ),
        sources=tuple(
            SourceStatus(name, SourceState.FRESH, 0.2, None)
            for name in ("runtime", "health", "metrics", "broker", "host", "journal")
        ),
    )


def main(state: Path, replicas: int, lines_per_second: int) -> int:
    """Be the agent and the replicas until told to end."""
    record_runtime(load_settings(state=str(state), environ={}), "embedded")
    logs = Layout(state).logs
    logs.mkdir(parents=True)
    lock, pictures = AgentLock(state), PictureFile(state)
    if not lock.take():
        raise RuntimeError("another agent lives")
    chance = random.Random(7)  # noqa: S311 - figures, no secret
    names = [f"{SERVICES[n % 3][0]}-{n // 3 + 1}" for n in range(WRITERS)]
    files = [open(open_log(logs / f"{name}.log"), "ab", buffering=0) for name in names]  # noqa: SIM115, PTH123 - open until the end
    with closing(HistoryStore(state, SystemClock())) as history:
        present = datetime.now(UTC)
        for ago in range(HISTORY_SECONDS, 0, -5):
            history.append(make_picture(present - timedelta(seconds=ago), replicas, chance))
    begun, written, pictured = time.monotonic(), 0, 0.0
    while True:
        now = time.monotonic()
        if now - pictured >= 1:
            pictured = now
            pictures.write(make_picture(datetime.now(UTC), replicas, chance))
            for name in names:
                rotate_if_large(logs / f"{name}.log")
        due = int((now - begun) * lines_per_second)
        # Held up for more than a second it does not make up for it: its pictures come first.
        written = max(written, due - lines_per_second)
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        lines: list[list[str]] = [[] for _ in files]
        for number in range(written, due):
            level = "ERROR" if number % 97 == 0 else "INFO"
            lines[number % WRITERS].append(
                f"{at} {level} GET /v1/formulas/f-{number} 200 in 38 ms\n"
            )
        for file, said in zip(files, lines, strict=True):
            file.write("".join(said).encode())
        written = due
        time.sleep(0.02)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
