"""What is told of a service besides its picture: of what it is made, and what it did over time."""

from __future__ import annotations

import math
from datetime import timedelta

from console.domain.description import (
    CheckRun,
    ReplicaDescription,
    RuntimeEvent,
    ServiceDescription,
    variables_of,
)
from console.domain.happenings import Happening, Kind
from console.domain.measures import Measure, Unit
from console.domain.services import Health, ReplicaState
from console.domain.snapshot import Snapshot
from console.ports import LogLine
from tests.fakes.pictures import NOW


def described(name: str, picture: Snapshot | None) -> ServiceDescription:
    """What a runtime would tell of a service: each replica alike, a check that failed."""
    found = picture.service(name) if picture else None
    environment = {
        "LOG_LEVEL": "INFO",
        "POSTGRES_PASSWORD": "not for the screen",
        "BROKER_URL": "redis://:not-for-the-screen@redis:6379/0",
        "WORDS": "[/x] \x1b[2J \u202e hostile",
    }
    replicas = tuple(
        ReplicaDescription(
            r.name,
            image="fragrance-ai-app:v1.4.2",
            image_id="f0b90d591a25",
            command="python -m workers llm",
            user="fragrance",
            addresses=("172.18.0.5 in fragrance_default",),
            ports=("127.0.0.1:8443 → 8443/tcp",),
            mounts=("/data ← volume fragrance_data", "/etc/app ← /srv/app, read only"),
            environment=variables_of(environment, {}),
            checks=(
                CheckRun(NOW - timedelta(seconds=20), passed=r.health is Health.HEALTHY,
                         output="ready" if r.health is Health.HEALTHY else "no answer in 2 s"),
            ),
            failures=0 if r.health is Health.HEALTHY else 3,
            out_of_memory=r.state is ReplicaState.BACKOFF,
            exit_code=137 if r.state is ReplicaState.BACKOFF else None,
        )
        for r in (found.replicas if found else ())
    )  # fmt: skip
    events = tuple(
        RuntimeEvent(NOW - timedelta(minutes=minutes), r.name, words, grave)
        for r in (found.replicas[:2] if found else ())
        if r.restarts
        for minutes, words, grave in (
            (1, "started", False),
            (2, "ended: killed by SIGKILL", True),
            (2, "out of memory: the kernel kills", True),
        )
    )
    drift = found.drift if found else ()
    return ServiceDescription(name, replicas, events, drift)


def rising(cells: int = 12, top: float = 1.0) -> tuple[float | None, ...]:
    """Means that rise from nothing to *top*."""
    return tuple(top * place / (cells - 1) for place in range(cells))


def happenings() -> list[Happening]:
    """An hour in which something happened."""
    return [
        Happening(NOW - timedelta(minutes=50), Kind.ALERT, "HighErrorRate",
                  "alert HighErrorRate firing (critical): 5xx 6.1 % over 5 %", True),
        Happening(NOW - timedelta(minutes=48), Kind.REPLICA, "app-1",
                  "app-1 healthy → unhealthy: killed by SIGKILL, restarted once", True),
        Happening(NOW - timedelta(minutes=30), Kind.ALERT, "HighErrorRate",
                  "alert HighErrorRate is over"),
        Happening(NOW - timedelta(minutes=12), Kind.SETTING, "LOG_LEVEL",
                  "setting LOG_LEVEL INFO → DEBUG"),
    ]  # fmt: skip


_USUAL = {
    Unit.RATE: 6.0,
    Unit.RATIO: 0.3,
    Unit.SECONDS: 0.2,
    Unit.COUNT: 14.0,
    Unit.BYTES: 40.0 * 1024**2,
}


def curve_values(measure: Measure, count: int, origin: str) -> tuple[float | None, ...]:
    """A wave with a peak at the end, a gap in it, and nothing before the first third."""
    usual = _USUAL[measure.unit]
    high = 1.2 * measure.limit if measure.name == "error_ratio" and measure.limit else usual
    return tuple(
        None
        if place < count / 3 or count * 0.55 < place < count * 0.6
        else high
        if place > count * 0.9
        else usual * (0.6 + 0.4 * math.sin(place * 12 / count)) * (0.1 if high != usual else 1)
        for place in range(count)
    )


def log_lines(count: int = 30) -> list[LogLine]:
    """Ordinary log lines, one a second."""
    words = ("GET /v1/formulas 200 in 38 ms", "composed formula f-81 in 4.2 s", "heartbeat sent")
    replicas = ("app-1", "worker-llm-1", "worker-rl-1")
    return [
        LogLine(
            replica=replicas[n % 3],
            service=replicas[n % 3].rsplit("-", 1)[0],
            at=NOW - timedelta(seconds=count - n),
            level="error" if n % 11 == 10 else "warning" if n % 7 == 6 else "info",
            text="connection to redis lost, trying again" if n % 11 == 10 else words[n % 3],
        )
        for n in range(count)
    ]
