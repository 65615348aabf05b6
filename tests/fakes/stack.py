"""
A model of a running stack: the fake runtime seen through whole snapshots.

It behaves as the product does where operations care: a worker registers when it
runs, stops taking tasks when drained, and a new process takes them again.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import timedelta

from console.domain.metrics import Metrics
from console.domain.plans import Json, Plan
from console.domain.policy import Policy
from console.domain.readings import HostReading, SourceState, SourceStatus
from console.domain.services import (
    Health,
    Replica,
    ReplicaFact,
    ReplicaState,
    Role,
    Route,
    Service,
    ServiceFact,
)
from console.domain.snapshot import AgentState, Overall, Snapshot
from console.errors import Unreachable
from console.operations.request import PlanRequest
from console.operations.table import OPERATIONS
from console.ports import ExecResult
from console.steps.seeing import WORKER_SOURCES
from tests.fakes.clock import FakeClock
from tests.fakes.runtime import PRODUCT, FakeRuntime

MIB = 1024**2
SOURCES = ("runtime", "health", "broker", "database", "host", "metrics")
#: Without one of these nothing tells how a replica is.
HEALTH = frozenset({"health", "broker", "database"})


class ModelStack(FakeRuntime):
    """
    A fake runtime that also says what a collector would see of it.

    Args:
        clock: Time; every new process starts one second after the one before.
        services: (name, role, replicas).
    """

    def __init__(
        self, clock: FakeClock, services: Sequence[tuple[str, Role, int]] = PRODUCT
    ) -> None:
        self.time = clock
        self.drained: set[int] = set()
        self.unwell: set[str] = set()
        self.active: dict[str, int] = {}
        self.failed_sources: dict[str, str] = {}
        self.environment = "dev"
        self.agent = AgentState.RUNNING
        self.host: HostReading | None = HostReading(0.1, 0.5, 0.2, 4, 8 * 1024 * MIB, 10**12)
        self.blind = False
        self.single: dict[str, str] = {}
        self.in_flight: int | None = 0
        #: Those that are old and not packed away.
        self.checkpoints: set[str] = set()
        self.memory: dict[str, int | None] = {}
        super().__init__(services, clock=clock.now)

    # What a collector sees ---------------------------------------------------

    def snapshot(self, names: Collection[str] | None = None) -> Snapshot:
        """Return what is seen; of sources that are not among *names*, nothing."""
        if self.blind:
            raise Unreachable("nothing answers")
        unread = {s: "not read yet" for s in SOURCES if names is not None and s not in names}
        failed = unread | self.failed_sources
        topology = self.topology()
        page = topology.maintenance
        return Snapshot(
            taken_at=self.time.now(),
            environment=self.environment,
            runtime="fake",
            release="v0.0.0",
            overall=Overall.UNKNOWN,
            endpoints={},
            agent=self.agent,
            services=tuple(self._see_service(fact, unread) for fact in topology.services),
            queues=(),
            metrics=Metrics(requests_in_flight=None if "metrics" in unread else self.in_flight),
            sources=tuple(
                SourceStatus(name, SourceState.FAILED, None, failed[name])
                if name in failed
                else SourceStatus(name, SourceState.FRESH, 0.0, None)
                for name in SOURCES
            ),
            host=self.host,
            settings=topology.settings,
            running=topology.running,
            maintenance=page.shown if page is not None else None,
            maintenance_since=page.since if page is not None else None,
        )

    def world(self) -> dict[str, list[tuple[str, bool | None]]]:
        """Return what an operation may change: replicas, work, limits, settings."""
        snapshot = self.snapshot()
        world = {
            s.name: sorted(
                (r.name, r.accepting if r.route is None else r.route is Route.IN)
                for r in s.replicas
            )
            for s in snapshot.services
        }
        replicas = [r for s in snapshot.services for r in s.replicas]
        told = [f"{r.name} {r.limits} {self.started_with.get(r.name) or ''}" for r in replicas]
        told += [f"{name}={value}" for name, value in snapshot.settings.items()]
        return {**world, "limits and settings": [(text, None) for text in sorted(told)]}

    def plan(self, verb: str, wish: dict[str, Json], policy: Policy | None = None) -> Plan:
        """Plan *verb* from the present picture."""
        request = PlanRequest(self.snapshot(), policy or Policy(), self, {"hold_seconds": 0} | wish)
        return OPERATIONS[verb](request)

    # The product's own admin command -----------------------------------------

    def exec(self, replica: str, command: Sequence[str], timeout_seconds: float) -> ExecResult:
        result = super().exec(replica, command, timeout_seconds)
        if result.exit_code == 0 and list(command[:3]) == ["python", "-m", "workers"]:
            if command[3] == "checkpoints":
                return self._checkpoints(command[4], [w for w in command[5:] if "/" in w])
            pid = self._fact(replica).pid
            if pid is None:
                return ExecResult(1, "no such worker")
            (self.drained.add if command[3] == "drain" else self.drained.discard)(pid)
        return result

    def _checkpoints(self, action: str, names: Sequence[str]) -> ExecResult:
        if action == "list":
            listed = [
                {"name": name, "size_bytes": MIB, "age_seconds": 10**6}
                for name in sorted(self.checkpoints)
                if not names or name in names
            ]
            return ExecResult(0, json.dumps(listed))
        (self.checkpoints.update if action == "restore" else self.checkpoints.difference_update)(
            names
        )
        return ExecResult(0, "done")

    # -------------------------------------------------------------------------

    def _fact(self, name: str) -> ReplicaFact:
        return next(r for s in self.topology().services for r in s.replicas if r.name == name)

    def _started(self, fact: ReplicaFact) -> ReplicaFact:
        started = super()._started(fact)
        self.time.advance(1)
        return replace(started, started_at=self.time.now() - timedelta(seconds=0.5))

    def _see_service(self, fact: ServiceFact, unread: Collection[str]) -> Service:
        replicas = tuple(self._see_replica(fact, r, unread) for r in fact.replicas)
        ready = sum(r.health is Health.HEALTHY for r in replicas)
        return Service(
            name=fact.name,
            role=fact.role,
            desired=fact.desired,
            ready=ready,
            health=Health.HEALTHY if ready == fact.desired else Health.UNHEALTHY,
            reason="",
            release="v0.0.0",
            cpu_cores=None,
            cpu_ratio=None,
            memory_bytes=None,
            memory_limit_bytes=None,
            restarts=0,
            replicas=replicas,
            labels=fact.labels,
            single=self.single.get(fact.name, ""),
            limits=fact.limits,
        )

    def _see_replica(
        self, service: ServiceFact, fact: ReplicaFact, unread: Collection[str]
    ) -> Replica:
        runs = fact.state is ReplicaState.RUNNING
        beats = runs and service.role is Role.WORKER and fact.name not in self.unwell
        beats = beats and "broker" not in unread
        well = runs and fact.name not in self.unwell
        health = Health.HEALTHY if well else Health.UNHEALTHY
        registers = service.role is Role.WORKER and "console.queue" in service.labels
        asked = frozenset(WORKER_SOURCES) if registers else HEALTH
        return Replica(
            id=fact.id,
            name=fact.name,
            state=fact.state,
            health=health if asked.isdisjoint(unread) else Health.UNKNOWN,
            reason="" if well else "does not answer",
            release=fact.release,
            started_at=fact.started_at,
            cpu_ratio=0.1,
            memory_bytes=self.memory.get(fact.name, 100 * MIB) if runs else None,
            restarts=fact.restarts,
            health_output="",
            pid=fact.pid,
            active_tasks=self.active.get(fact.name, 0) if beats else None,
            reserved_tasks=0 if beats else None,
            accepting=fact.pid not in self.drained if beats else None,
            route=fact.route,
            limits=fact.limits,
        )
