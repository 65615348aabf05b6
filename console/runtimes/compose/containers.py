"""
The containers of one project, with as few questions to the engine as will do.

One list call a reading.  What the list does not say (process, restarts, output of
the health check) is asked for containers that are new or that events spoke of;
without events, as in a command that looks once, for all.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from console.domain.services import Health, Limits, RuntimeHealth
from console.runtimes.compose.daemon import PROJECT_LABEL, Daemon
from console.runtimes.compose.marks import container_marks

SERVICE_LABEL = "com.docker.compose.service"
NUMBER_LABEL = "com.docker.compose.container-number"
ONE_OFF_LABEL = "com.docker.compose.oneoff"
#: Of a container that is not well the health check's last words change without an event.
UNWELL_SECONDS = 3.0
OUTPUT_LIMIT = 500
#: Docker writes this where there is no time.
_NEVER = "0001-01-01T00:00:00Z"


@dataclass(frozen=True, slots=True)
class Container:
    """
    One container as the engine knows it.

    Args:
        name: Its own, ``fragrance-ai-app-1``.
        state: ``created``, ``running``, ``paused``, ``restarting``, ``exited``, …
        exit_words: How its last process ended, "" while the first one runs.
        addresses: IP address by network.
        known_as: Name that its processes know themselves by.
        tty: Its output is one stream, not framed.
        limits: As the engine has set them; it tells when they are changed.
        image: Name it was made from while that still means the same, else an id.
        marks: Digests of how it was made, as :mod:`.marks` has them.
    """

    id: str
    name: str
    service: str
    number: int
    state: str
    labels: Mapping[str, str]
    pid: int | None = None
    started_at: datetime | None = None
    restarts: int = 0
    exit_words: str = ""
    exit_code: int | None = None
    checked: RuntimeHealth | None = None
    addresses: Mapping[str, str] = field(default_factory=dict)
    known_as: str = ""
    tty: bool = False
    limits: Limits | None = None
    image: str = ""
    marks: Mapping[str, str] = field(default_factory=dict)

    def short_name(self, project: str) -> str:
        """Return its name without the project's: ``app-1``."""
        prefix = f"{project}-"
        return self.name[len(prefix) :] if self.name.startswith(prefix) else self.name

    @property
    def alive(self) -> bool:
        """Whether it has a process, or soon has one again."""
        return self.state in {"running", "paused", "restarting"}


class ContainerTable:
    """
    Reads the containers of one project; remembers what need not be asked again.

    Args:
        daemon: The engine.
        watched: Whether events are being received now, so that memory can be trusted.
    """

    def __init__(self, daemon: Daemon, watched: Callable[[], bool] = lambda: False) -> None:
        self._daemon = daemon
        self._watched = watched
        self._guard = threading.Lock()
        self._known: dict[str, tuple[Container, float]] = {}
        self._doubted: set[str] = set()
        self._deaths: dict[str, str] = {}
        self._asked_for_deaths = False

    def read(self, project: str) -> list[Container]:
        """
        Return the project's containers; one-off ones (``compose run``) left out.

        Raises:
            Unreachable: If the engine does not answer.
        """
        with self._guard:
            trusted = self._watched()
            doubted, self._doubted = self._doubted, set()
        try:
            return self._read(project, doubted, trusted)
        except BaseException:
            self.doubt(doubted)
            raise

    def doubt(self, containers: Iterable[str]) -> None:
        """Ask again about these at the next reading."""
        with self._guard:
            self._doubted.update(containers)

    def doubt_all(self) -> None:
        """Ask again about everything: events may have been missed."""
        with self._guard:
            self._known.clear()

    def died(self, container: str, exit_code: int, *, out_of_memory: bool) -> None:
        """Remember how a process ended; a new one in its place hides it."""
        words = exit_words(exit_code, out_of_memory=out_of_memory)
        with self._guard:
            self._deaths[container] = words
            self._doubted.add(container)

    def _read(self, project: str, doubted: set[str], trusted: bool) -> list[Container]:
        listed = [
            item
            for item in self._daemon.containers(project)
            if (item.get("Labels") or {}).get(ONE_OFF_LABEL, "").lower() != "true"
        ]
        now = time.monotonic()
        asked = [
            item["Id"] for item in listed if self._must_ask(item, doubted, trusted=trusted, now=now)
        ]
        found = self._daemon.inspect_all(asked)
        fresh = {name: parse_container(answer) for name, answer in found.items()}
        if not self._asked_for_deaths and any(
            c.restarts and c.state == "running" for c in fresh.values()
        ):
            self._remember_deaths(project)
        with self._guard:
            known = {
                item["Id"]: self._known[item["Id"]]
                for item in listed
                if item["Id"] in self._known and item["Id"] not in asked
            }
            known |= {name: (container, now) for name, container in fresh.items()}
            self._known = known
            # A name can come to mean another image without an event of the container.
            images = {item["Id"]: str(item.get("Image") or "") for item in listed}
            return [
                replace(self._with_death(container), image=images.get(container.id, ""))
                for container, _ in known.values()
            ]

    def _must_ask(
        self, item: Mapping[str, Any], doubted: set[str], *, trusted: bool, now: float
    ) -> bool:
        kept = self._known.get(item["Id"])
        if kept is None or not trusted or item["Id"] in doubted:
            return True
        container, asked_at = kept
        if container.state != item.get("State"):
            return True
        unwell = container.state == "restarting" or (
            container.checked is not None and container.checked.health is not Health.HEALTHY
        )
        return unwell and now - asked_at >= UNWELL_SECONDS

    def _with_death(self, container: Container) -> Container:
        words = self._deaths.get(container.id)
        if words is None or container.exit_words or not container.restarts:
            return container

        return replace(container, exit_words=words)

    def _remember_deaths(self, project: str) -> None:
        """Ask the engine once how those ended that were restarted before we looked."""
        self._asked_for_deaths = True
        filters = {
            "type": ["container"],
            "event": ["die", "oom"],
            "label": [f"{PROJECT_LABEL}={project}"],
        }
        now = int(time.time())
        events = list(self._daemon.events(filters, now - 86_400, now))
        out_of_memory: set[str] = set()
        for event in events:
            container = str(event.get("id", ""))
            if event.get("Action") == "oom":
                out_of_memory.add(container)
                continue
            code = int(event["Actor"]["Attributes"].get("exitCode", 0))
            words = exit_words(code, out_of_memory=container in out_of_memory)
            out_of_memory.discard(container)
            with self._guard:
                self._deaths[container] = words


def parse_container(found: Mapping[str, Any]) -> Container:
    """Return the container that an answer of ``inspect`` describes."""
    state: Mapping[str, Any] = found.get("State") or {}
    config: Mapping[str, Any] = found.get("Config") or {}
    labels: Mapping[str, str] = config.get("Labels") or {}
    networks: Mapping[str, Any] = (found.get("NetworkSettings") or {}).get("Networks") or {}
    status = str(state.get("Status") or "")
    runs = status in {"running", "paused"}
    code = None if runs or status == "created" else int(state.get("ExitCode") or 0)
    number = labels.get(NUMBER_LABEL, "")
    hostname = str(config.get("Hostname") or "")
    environment = dict(v.split("=", 1) for v in config.get("Env") or () if "=" in v)
    return Container(
        id=found["Id"],
        name=str(found.get("Name", "")).lstrip("/"),
        service=labels.get(SERVICE_LABEL, ""),
        number=int(number) if number.isdecimal() else 0,
        state=status,
        labels=labels,
        pid=(int(state.get("Pid") or 0) or None) if runs else None,
        started_at=parse_time(state.get("StartedAt")) if runs else None,
        restarts=int(found.get("RestartCount") or 0),
        exit_words=(
            ""
            if code is None
            else exit_words(code, out_of_memory=bool(state.get("OOMKilled")))
            + (f": {state['Error']}" if state.get("Error") else "")
        ),
        exit_code=code,
        checked=_health(state.get("Health")) if runs else None,
        addresses={
            name: address
            for name, network in sorted(networks.items())
            if (address := (network or {}).get("IPAddress") or "")
        },
        known_as=(environment.get("REPLICA_NAME") or "%h").replace("%h", hostname),
        tty=bool(config.get("Tty")),
        limits=limits_of(found.get("HostConfig") or {}),
        marks=container_marks(config),
    )


def limits_of(host: Mapping[str, Any]) -> Limits:
    """Return the limits in the part of an answer that says what the host gives."""
    nano, quota = int(host.get("NanoCpus") or 0), int(host.get("CpuQuota") or 0)
    cores = nano / 1e9 if nano > 0 else None
    if cores is None and quota > 0:
        cores = quota / (int(host.get("CpuPeriod") or 0) or 100_000)
    memory, kept = int(host.get("Memory") or 0), int(host.get("MemoryReservation") or 0)
    return Limits(
        cpu_cores=cores,
        memory_bytes=memory if memory > 0 else None,
        memory_reserved_bytes=kept if kept > 0 else None,
    )


def exit_words(code: int, *, out_of_memory: bool) -> str:
    """Return how a process ended: ``exited with 1``, ``killed by SIGKILL``."""
    if code > 128:
        try:
            words = f"killed by {signal.Signals(code - 128).name}"
        except ValueError:
            words = f"exited with {code}"
    else:
        words = f"exited with {code}"
    return f"out of memory, {words}" if out_of_memory else words


def parse_time(text: object) -> datetime | None:
    """Return a time as Docker writes it, with nanoseconds; None where there is none."""
    if not isinstance(text, str) or not text or text == _NEVER:
        return None
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        return None


def _health(health: Mapping[str, Any] | None) -> RuntimeHealth | None:
    """Return what the health check says; None where there is none."""
    known = {
        "healthy": Health.HEALTHY,
        "unhealthy": Health.UNHEALTHY,
        "starting": Health.STARTING,
    }
    if not health or health.get("Status") not in known:
        return None
    log: Sequence[Mapping[str, Any]] = health.get("Log") or ()
    output = str(log[-1].get("Output") or "").strip() if log else ""
    return RuntimeHealth(known[health["Status"]], output[:OUTPUT_LIMIT])
