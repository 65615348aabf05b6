"""
A runtime in memory: all ports and capabilities, nothing started.

It passes the same contract suite as the real ones.  A test says what happens to
the replicas (``crash``, ``hang``, ``settle``) and looks at what was asked of the
runtime (``commands``).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from console.domain.description import (
    ReplicaDescription,
    RuntimeEvent,
    ServiceDescription,
    variables_of,
)
from console.domain.leftovers import Leftover
from console.domain.services import (
    Maintenance,
    ReplicaFact,
    ReplicaState,
    ReplicaStats,
    Role,
    Route,
    ServiceFact,
    Topology,
)
from console.errors import ConsoleError, Unreachable, UsageError
from console.ports import ExecResult, LogLine, LogRequest
from console.runtimes.naming import lowest_free_names
from tests.fakes.limits import USUAL_FIGURES, USUAL_LIMITS, FakeLimits

#: (name, role, default replicas) of the product's services on the embedded runtime.
PRODUCT: tuple[tuple[str, Role, int], ...] = (
    ("app", Role.APP, 2),
    ("worker-llm", Role.WORKER, 1),
    ("worker-rl", Role.WORKER, 1),
    ("postgres", Role.DATABASE, 1),
    ("redis", Role.BROKER, 1),
)

LONG_AGO = datetime.min.replace(tzinfo=UTC)

LABELS: Mapping[str, dict[str, str]] = {
    "worker-llm": {"console.queue": "llm", "console.drain": "celery"},
    "worker-rl": {"console.queue": "rl", "console.drain": "celery"},
    "app": {"console.drain": "http"},
}


@dataclass
class _Service:
    role: Role
    default: int
    labels: dict[str, str]
    replicas: dict[str, ReplicaFact] = field(default_factory=dict)
    leaving: set[str] = field(default_factory=set)


class FakeRuntime(FakeLimits):
    """
    In-memory runtime.

    Args:
        services: (name, role, default replicas), in the order of the topology.
        up: Begin with the default replicas running.
        instant: Removals and restarts take effect at once; else only when the
            test calls :meth:`settle`, as with a replica that takes its time.
        clock: Gives ``started_at`` of new replicas.
    """

    name = "fake"

    def __init__(
        self,
        services: Sequence[tuple[str, Role, int]] = PRODUCT,
        *,
        up: bool = True,
        instant: bool = True,
        clock: Callable[[], datetime] = lambda: datetime(2026, 1, 1, tzinfo=UTC),
    ) -> None:
        super().__init__()
        self.instant = instant
        self.clock = clock
        self.commands: list[tuple[str, ...]] = []
        self.unreachable: str | None = None
        self.refuse_start: ConsoleError | None = None
        self.default_answer = ExecResult(0, "")
        self.answers: dict[tuple[str, ...], ExecResult] = {}
        self.figures: dict[str, ReplicaStats] = {}
        self.urls: dict[str, str] = {}
        #: Services behind a proxy that can be told, and the replicas it sends to.
        self.routed: set[str] = set()
        self.members: set[str] = set()
        self.refuse_route: ConsoleError | None = None
        #: Whether there is a maintenance page; since when it is shown.
        self.page = False
        self.page_since: datetime | None = None
        #: What can be cleaned up, with sizes.
        self.images: dict[str, int] = {}
        self.rotated: dict[str, int] = {}
        self.cache = 0
        self._running = False
        self._supervised = False
        self._seeded = False
        self._next_pid = 1000
        self._told: list[RuntimeEvent] = []
        self._lines: list[LogLine] = []
        self._changed = threading.Condition()
        self._seen = self._version = 0
        self._services = {
            name: _Service(role, default, dict(LABELS.get(name, {})))
            for name, role, default in services
        }
        if up:
            self.bring_up(lambda _: None)
        self.commands.clear()

    # What a test makes happen ------------------------------------------------

    def crash(self, replica: str, reason: str = "killed by SIGKILL") -> None:
        """Let *replica* die; it waits to be started again."""
        self._tell(replica, f"ended: {reason}", grave=True)
        self._update(
            replica,
            lambda r: replace(
                r, state=ReplicaState.BACKOFF, pid=None, started_at=None, exit_reason=reason
            ),
        )

    def recover(self, replica: str) -> None:
        """Let a crashed replica be started again by the supervision."""
        self._update(
            replica,
            lambda r: replace(self._started(r), restarts=r.restarts + 1, exit_reason=r.exit_reason),
        )

    def hang(self, replica: str) -> None:
        """Let *replica* begin to start and never finish."""
        self._update(replica, lambda r: replace(r, state=ReplicaState.STARTING))

    def settle(self) -> None:
        """Let everything that is leaving go."""
        for service in self._services.values():
            for name in service.leaving:
                if service.replicas.pop(name, None) is not None:
                    self._tell(name, "removed")
            service.leaving.clear()
        self._notify()

    def say(
        self, replica: str, text: str, *, level: str = "info", at: datetime | None = None
    ) -> None:
        """Let *replica* write one log line."""
        self._lines.append(LogLine(replica, self._owner(replica), at or self.clock(), level, text))
        self._notify()

    def kill_supervision(self) -> None:
        """Let the supervision and, with it, every replica die."""
        self._supervised = False
        for name in [r for s in self._services.values() for r in s.replicas]:
            self.crash(name)

    def _tell(self, replica: str, words: str, *, grave: bool = False) -> None:
        self._told.append(RuntimeEvent(self.clock(), replica, words, grave))

    # Runtime -----------------------------------------------------------------

    def events(self) -> tuple[RuntimeEvent, ...]:
        told, self._told = self._told, []
        return tuple(told)

    def topology(self) -> Topology:
        self._reach()
        services = tuple(
            ServiceFact(
                name=name,
                role=service.role,
                desired=len(service.replicas.keys() - service.leaving),
                replicas=tuple(
                    replace(
                        r,
                        route=self._route(name, r.name),
                        limits=self.limits.get(r.name, USUAL_LIMITS),
                    )
                    for r in sorted(service.replicas.values(), key=_number)
                ),
                labels={"console.role": service.role.value, **service.labels},
                limits=self._new_limits(name),
            )
            for name, service in self._services.items()
        )
        running = self._running and self._supervised
        shown = Maintenance(self.page_since is not None, self.page_since)
        return Topology(
            running,
            services,
            {"api": "http://127.0.0.1:8000"} if running else {},
            maintenance=shown if self.page else None,
            settings=dict(self.values),
        )

    def wait_for_change(self, timeout_seconds: float) -> bool:
        with self._changed:
            changed = self._changed.wait_for(lambda: self._version != self._seen, timeout_seconds)
            self._seen = self._version
            return changed

    def stats(self, topology: Topology) -> dict[str, ReplicaStats]:
        self._reach()
        return {
            r.id: self.figures.get(r.name, USUAL_FIGURES)
            for service in topology.services
            for r in service.replicas
            if r.pid is not None
        }

    def logs(self, request: LogRequest) -> Iterator[LogLine | None]:
        self._reach()
        shown: dict[str, int] = {}
        past = [x for x in self._lines if not _too_young(x, request)]
        for line in past:
            shown[line.replica] = shown.get(line.replica, 0) + 1
        sent = len(self._lines)
        for line in sorted(past, key=lambda x: x.at or LONG_AGO):
            shown[line.replica] -= 1
            if request.tail > shown[line.replica] and _matches(line, request):
                yield line
        while request.follow and request.until is None:
            fresh, sent = self._lines[sent:], len(self._lines)
            for line in fresh:
                if _matches(line, request):
                    yield line
            if not fresh:
                yield None

    def exec(self, replica: str, command: Sequence[str], timeout_seconds: float) -> ExecResult:
        self._reach()
        self._owner(replica)
        self.commands.append(("exec", replica, *command))
        for key in ((replica, *command), tuple(command)):
            if key in self.answers:
                return self.answers[key]
        return self.default_answer

    def connection_url(self, service: str) -> str | None:
        return self.urls.get(service)

    # Capabilities ------------------------------------------------------------

    def describe(self, service: str) -> ServiceDescription:
        self._reach()
        self.commands.append(("describe", service))
        environment = {"GREETING": "100 $ for all", "API_TOKEN": "hush-hush"}
        return ServiceDescription(
            service,
            tuple(
                ReplicaDescription(
                    name,
                    command=f"fake {name}",
                    addresses=("127.0.0.1:80",),
                    environment=variables_of(environment, {}),
                )
                for name in sorted(self._service(service).replicas)
            ),
        )

    def replica_names(self, service: str, count: int, taken: Sequence[str]) -> list[str]:
        known = self._service(service).replicas
        return lowest_free_names(service, count, {*taken, *known})

    def start_replica(self, service: str, replica: str, labels: dict[str, str]) -> None:
        self._reach()
        owner = self._service(service)
        self.commands.append(("start", service, replica))
        if self.refuse_start is not None:
            raise self.refuse_start
        owner.leaving.discard(replica)
        if replica not in owner.replicas:
            owner.replicas[replica] = self._started(
                ReplicaFact(replica, replica, ReplicaState.STARTING, release="v0.0.0")
            )
            self._start_limited(service, replica)
            self._tell(replica, "started")
        self._notify()

    def start_command(self, service: str, replica: str) -> str:
        return f"fake start {replica} of {service}"

    def remove_replica(self, replica: str, grace_seconds: float) -> None:
        self._reach()
        self.commands.append(("remove", replica, f"{grace_seconds:g}"))
        for service in self._services.values():
            if replica in service.replicas:
                service.leaving.add(replica)
                fact = service.replicas[replica]
                service.replicas[replica] = replace(fact, state=ReplicaState.STOPPING)
        if self.instant:
            self.settle()
        self._notify()

    def remove_command(self, replica: str, grace_seconds: float) -> str:
        return f"fake remove {replica} within {grace_seconds:g} s"

    def restart_replica(self, replica: str, grace_seconds: float) -> None:
        self._reach()
        self._owner(replica)
        self.commands.append(("restart", replica, f"{grace_seconds:g}"))
        self._update(replica, self._started)

    def restart_command(self, replica: str, grace_seconds: float) -> str:
        return f"fake restart {replica} within {grace_seconds:g} s"

    def routes(self, service: str) -> bool:
        return service in self.routed

    def set_route(self, replica: str, *, member: bool) -> None:
        self._reach()
        self.commands.append(("route" if member else "unroute", replica))
        if self.refuse_route is not None:
            raise self.refuse_route
        (self.members.add if member else self.members.discard)(replica)
        self._notify()

    def route_command(self, replica: str, *, member: bool) -> str:
        return f"fake {'route' if member else 'unroute'} {replica}"

    def has_maintenance(self) -> bool:
        return self.page

    def set_maintenance(self, *, on: bool) -> None:
        self._reach()
        self.commands.append(("maintenance", "on" if on else "off"))
        self.page_since = (self.page_since or self.clock()) if on else None
        self._notify()

    def maintenance_command(self, *, on: bool) -> str:
        return f"fake maintenance {'on' if on else 'off'}"

    def removable_images(self, kept: int) -> list[Leftover]:
        self._reach()
        return [Leftover(*item) for item in sorted(self.images.items())]

    def image_exists(self, image: str) -> bool:
        self._reach()
        return image in self.images

    def remove_image(self, image: str) -> None:
        self._reach()
        self.commands.append(("remove_image", image))
        self.images.pop(image, None)

    def old_build_cache(self) -> int:
        return self.cache

    def remove_build_cache(self) -> None:
        self.cache = 0

    def old_logs(self, days: float) -> list[Leftover]:
        self._reach()
        return [Leftover(*item) for item in sorted(self.rotated.items())]

    def remove_log(self, name: str) -> None:
        self._reach()
        self.commands.append(("remove_log", name))
        self.rotated.pop(name, None)

    def bring_up(self, progress: Callable[[str], None]) -> None:
        self._reach()
        self.commands.append(("bring_up",))
        for name, service in self._services.items():
            if not self._seeded:
                for replica in lowest_free_names(name, service.default, ()):
                    service.replicas[replica] = ReplicaFact(
                        replica, replica, ReplicaState.EXITED, release="v0.0.0"
                    )
            for replica, fact in service.replicas.items():
                if fact.pid is None:
                    service.replicas[replica] = self._started(fact)
        progress("already running" if self._running and self._supervised else "started")
        self._running = self._supervised = self._seeded = True
        self._notify()

    def wanted(self) -> bool:
        return self._running

    def take_down(self, progress: Callable[[str], None], timeout_seconds: float) -> None:
        self._reach()
        self.commands.append(("take_down",))
        for service in self._services.values():
            for name, fact in service.replicas.items():
                service.replicas[name] = replace(
                    fact, state=ReplicaState.EXITED, pid=None, started_at=None
                )
        self._running = self._supervised = False
        progress("stopped")
        self._notify()

    def revive(self) -> bool:
        if not self._running or self._supervised:
            return False
        self._supervised = True
        for name in [r for s in self._services.values() for r in s.replicas]:
            self.recover(name)
        return True

    # -------------------------------------------------------------------------

    def _route(self, service: str, replica: str) -> Route | None:
        if service not in self.routed:
            return None
        return Route.IN if replica in self.members else Route.OUT

    @property
    def service_names(self) -> tuple[str, ...]:
        return tuple(self._services)

    def _reach(self) -> None:
        if self.unreachable is not None:
            raise Unreachable(self.unreachable)

    def _service(self, name: str) -> _Service:
        if name not in self._services:
            raise UsageError(f"there is no service {name!r}")
        return self._services[name]

    def _owner(self, replica: str) -> str:
        for name, service in self._services.items():
            if replica in service.replicas:
                return name
        raise UsageError(f"there is no replica {replica!r}")

    def _update(self, replica: str, change: Callable[[ReplicaFact], ReplicaFact]) -> None:
        owner = self._services[self._owner(replica)]
        owner.replicas[replica] = change(owner.replicas[replica])
        self._notify()

    def _started(self, fact: ReplicaFact) -> ReplicaFact:
        self._next_pid += 1
        return replace(
            fact,
            state=ReplicaState.RUNNING,
            pid=self._next_pid,
            started_at=self.clock(),
            health_url=f"http://127.0.0.1:{20000 + self._next_pid}/ready",
        )

    def _notify(self) -> None:
        with self._changed:
            self._version += 1
            self._changed.notify_all()


def _number(fact: ReplicaFact) -> tuple[int, str]:
    tail = fact.name.rpartition("-")[2]
    return (int(tail) if tail.isdigit() else 0, fact.name)


def _too_young(line: LogLine, request: LogRequest) -> bool:
    return request.until is not None and line.at is not None and line.at > request.until


def _matches(line: LogLine, request: LogRequest) -> bool:
    wanted, since = {*request.services}, request.since
    if wanted and line.service not in wanted and line.replica not in wanted:
        return False
    return since is None or line.at is None or line.at >= since
