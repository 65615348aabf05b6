"""
A simulated stack under a trace of arrivals, scaled by the real autoscaler.

Only the tasks are simulated: arrivals by chance (seeded) at the rate of the trace, one
queue, replicas that take one task at a time, take a while to start and finish what they
have when they leave.  Advice, decisions, switches, cooldowns and the record of
operations are the console's own code on the journal of the tests.
"""

from __future__ import annotations

import math
import random
import statistics
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime

from console.domain.operations import Actor, OperationState
from console.domain.plans import Plan, Step
from console.domain.policy import Policy
from console.domain.queues import Queue
from console.domain.services import Replica
from console.domain.snapshot import Snapshot
from console.duties.autoscale import AutoscaleDuty, turn
from tests.fakes.clock import FakeClock
from tests.fakes.journal import FakeJournal
from tests.unit.test_advice import picture, replica, worker

SERVICE = "worker-llm"
#: How long a new replica loads its model before it takes tasks, seconds.
START_SECONDS = 20
WINDOW_SECONDS = 60
#: How often the agent decides here, seconds.
DECIDE_SECONDS = 5

#: Tasks per second at a second of the trace.
Trace = Callable[[float], float]


@dataclass
class Server:
    """One replica: when it may take tasks, and when it will be done with its own."""

    name: str
    ready_at: float
    done_at: float = 0.0
    leaving: bool = False

    def busy(self, now: float) -> bool:
        return self.done_at > now

    def free(self, now: float) -> bool:
        return not self.leaving and self.ready_at <= now and not self.busy(now)


@dataclass
class Outcome:
    """What became of the tasks, and what it cost."""

    waits: list[float] = field(default_factory=list)
    replica_seconds: float = 0.0
    changes: list[tuple[float, int]] = field(default_factory=list)
    peak: int = 0

    def wait(self, share: float) -> float:
        """Return a quantile of the waits, seconds."""
        if share == 0.5:
            return statistics.median(self.waits)
        return sorted(self.waits)[min(len(self.waits) - 1, int(share * len(self.waits)))]

    @property
    def replica_hours(self) -> float:
        return self.replica_seconds / 3600

    def most_reversals(self, seconds: float = 600.0) -> int:
        """Return the most changes of direction in any window of so many seconds."""
        turns = [
            at
            for (_, before), (at, sign) in zip(self.changes, self.changes[1:], strict=False)
            if sign != before
        ]
        return max(
            (sum(begin <= at < begin + seconds for at in turns) for begin in turns), default=0
        )


class Day:
    """
    One run.

    Args:
        trace: Arrivals.
        policy: Bounds and patience.
        replicas: To begin with.
        automatic: Whether the autoscaler is on.
        seed: Of chance.
        task_seconds: Mean time of a task.
    """

    def __init__(
        self,
        trace: Trace,
        policy: Policy,
        *,
        replicas: int = 1,
        automatic: bool = True,
        seed: int = 1,
        task_seconds: float = 4.0,
    ) -> None:
        self.clock = FakeClock()
        self.journal = FakeJournal(self.clock)
        self.outcome = Outcome()
        self._trace = trace
        self._task_seconds = task_seconds
        self._chance = random.Random(seed)  # noqa: S311 -- chance, no secret
        self._servers = [Server(f"{SERVICE}-{n}", 0.0) for n in range(1, replicas + 1)]
        self._queue: deque[float] = deque()
        self._arrived: deque[float] = deque()
        self._completed: deque[float] = deque()
        self._busy: deque[int] = deque(maxlen=WINDOW_SECONDS)
        self._number = replicas
        self._running: tuple[str, list[Server]] | None = None
        self._duty = AutoscaleDuty(self.journal, policy, self.clock, self._scale)
        if automatic:
            turn(self.journal, [SERVICE], Actor("anna", 1), "", self.clock.now(), on=True)

    def run(self, seconds: int) -> Outcome:
        """Let so many seconds pass."""
        for second in range(seconds):
            self._tick(float(second))
            if second % DECIDE_SECONDS == 0:
                self._settle_operation(float(second))
                self._duty.attend(self.snapshot(float(second)))
            self.clock.advance(1.0)
        return self.outcome

    # The tasks -----------------------------------------------------------------

    def _tick(self, now: float) -> None:
        for _ in range(self._poisson(self._trace(now))):
            self._queue.append(now)
            self._arrived.append(now)
        for server in self._servers:
            if now - 1.0 < server.done_at <= now:
                self._completed.append(now)
        self._servers = [s for s in self._servers if not s.leaving or s.busy(now)]
        for server in self._servers:
            if self._queue and server.free(now):
                self.outcome.waits.append(now - self._queue.popleft())
                took = self._chance.uniform(0.5, 1.5) * self._task_seconds
                server.done_at = now + max(1.0, took)
        for seen in (self._arrived, self._completed):
            while seen and seen[0] <= now - WINDOW_SECONDS:
                seen.popleft()
        self._busy.append(sum(s.busy(now) for s in self._servers))
        self.outcome.replica_seconds += len(self._servers)
        self.outcome.peak = max(self.outcome.peak, len(self._servers))

    def _poisson(self, rate: float) -> int:
        limit, count, product = math.exp(-rate), 0, self._chance.random()
        while product > limit:
            count += 1
            product *= self._chance.random()
        return count

    # What the agent sees ---------------------------------------------------------

    def snapshot(self, now: float) -> Snapshot:
        """Return what a collector would show."""
        here = [s for s in self._servers if not s.leaving]
        replicas: tuple[Replica, ...] = tuple(
            replica(s.name, active_tasks=int(s.busy(now)), task_slots=1) for s in here
        )
        load = sum(s.busy(now) for s in here) / max(1, len(here))
        service = replace(worker(len(here), cpu=0.75 * load), replicas=replicas)
        window = min(WINDOW_SECONDS, max(1.0, now))
        queue = Queue(
            name="llm",
            depth=len(self._queue),
            in_flight=sum(s.busy(now) for s in here),
            oldest_age_seconds=now - self._queue[0] if self._queue else None,
            arrived_per_second=len(self._arrived) / window,
            completed_per_second=len(self._completed) / window,
            workers=len(here),
            busy_average=statistics.fmean(self._busy),
        )
        return replace(picture(service, queues=(queue,)), taken_at=self.clock.now())

    # What the agent does ---------------------------------------------------------

    def _scale(self, service: str, target: int, reason: str) -> str:
        now = (self.clock.now() - self._begin).total_seconds()
        here = [s for s in self._servers if not s.leaving]
        plan = Plan(
            "scale",
            f"{service} {len(here)} → {target}",
            (Step("start", "start_replica"),),
            expects={service: [s.name for s in here]},
            wish={"targets": {service: target}},
        )
        operation = self.journal.submit(plan, Actor("autoscaler", 1), reason)
        affected = []
        for _ in range(target - len(here)):
            self._number += 1
            affected.append(Server(f"{SERVICE}-{self._number}", now + START_SECONDS))
        self._servers += affected
        for server in sorted(here, key=lambda s: s.done_at)[: max(0, len(here) - target)]:
            server.leaving = True
            affected.append(server)
        self.outcome.changes.append((now, 1 if target > len(here) else -1))
        self._running = (operation.id, affected)
        return operation.id

    @property
    def _begin(self) -> datetime:
        return FakeClock().now()

    def _settle_operation(self, now: float) -> None:
        """End the operation once its replicas take tasks, or are gone."""
        if self._running is None:
            return
        operation_id, affected = self._running
        if all(s.ready_at <= now and not (s.leaving and s.busy(now)) for s in affected):
            self.journal.set_state(
                operation_id, OperationState.DONE, ended_at=self.clock.now(), exit_code=0
            )
            self._running = None


# Traces ----------------------------------------------------------------------------


def working_day(second: float) -> float:
    """Quiet at night, most at two in the afternoon, a rush at noon and one at six."""
    hour = second / 3600
    bell = 1.3 * math.exp(-(((hour - 14) / 4) ** 2))
    rush = 0.9 if 12.0 <= hour < 12.5 or 18.0 <= hour < 18.25 else 0.0
    return 0.15 + bell + rush
