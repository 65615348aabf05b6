"""
An engine of scripted pictures, for the screens alone.

A test sets :attr:`FakeEngine.picture`, or makes the next call fail; what the
screens asked for is in :attr:`FakeEngine.asked`.  It imports nothing of the
real engine, so that a screen can be tested whatever state that is in.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from console.domain.alerts import PROMETHEUS, Delivery, Silence
from console.domain.audit import AuditVerdict
from console.domain.description import ServiceDescription
from console.domain.film import Frame, gap_between
from console.domain.happenings import Happening, concerning, merged
from console.domain.measures import Curve, MeasuredRange, measures_of, step_of
from console.domain.operations import (
    Actor,
    Change,
    Operation,
    OperationState,
    StepEvent,
    StepPhase,
    StepRecord,
)
from console.domain.plans import Plan
from console.domain.policy import Policy
from console.domain.runbook import Runbook, parse_runbook
from console.domain.settling import Settling
from console.domain.snapshot import Snapshot
from console.duties.autoscale import Switch
from console.errors import ConsoleError, ReadOnly, Unreachable
from console.ports import LogLine, LogRequest
from console.settings import PROJECT
from tests.fakes.capable import CapableRuntime
from tests.fakes.clock import FakeClock
from tests.fakes.insight import curve_values, described
from tests.fakes.operations import operation, scale_plan
from tests.fakes.pictures import NOW


@dataclass
class FakeSettings:
    state: Path
    environment: str = "dev"
    policy: Policy = field(default_factory=Policy)
    low_bandwidth: bool = False

    @property
    def production(self) -> bool:
        return self.environment in {"prod", "production"}


@dataclass(frozen=True)
class FakeAccess:
    write: bool
    until: datetime | None = None


class FakeEngine:
    """
    The engine's surface over scripted pictures.

    Args:
        picture: What ``snapshot`` returns; None lets it wait until one is set.
        state: Directory for files the screens save.
        environment: ``APP_ENV``.
    """

    def __init__(
        self, picture: Snapshot | None, state: Path = Path("state"), environment: str = ""
    ) -> None:
        chosen = environment or (picture.environment if picture else "dev")
        self.settings = FakeSettings(state, chosen)
        self.runtime: object = CapableRuntime()
        self.clock = FakeClock(NOW)
        self.actor = Actor("ana", 1000)
        self.recalled: Snapshot | None = None
        self.failure: Exception | None = None
        self.refusal: ConsoleError | None = None
        self.asked: list[tuple[Any, ...]] = []
        self.journal: list[Operation] = []
        #: Newest first, as the engine gives them.
        self.entries: list[dict[str, Any]] = []
        self.verdict = AuditVerdict(valid=True, entries=0)
        self.next_plan: Plan | None = None
        self.settled: Settling | None = None
        self.switched: dict[str, Switch] = {}
        self.history: dict[str, list[tuple[datetime, float | None]]] = {}
        #: What the agent saw, what people did, means by figure, what services are made of.
        self.seen: list[Happening] = []
        self.past: list[Snapshot] = []
        self.done: list[Change] = []
        self.trends: dict[str, tuple[float | None, ...]] = {}
        self.descriptions: dict[str, ServiceDescription] = {}
        self.describe_failure: ConsoleError | None = None
        self.procedures = ""
        self.measured_from = PROMETHEUS
        self.prometheus_trouble = ""
        self.unmeasured: ConsoleError | None = None
        self.log: deque[LogLine] = deque()
        self._events: list[StepEvent] = []
        self._granted = FakeAccess(write=not self.settings.production)
        self._picture = picture
        self._closed = False
        self._there = threading.Condition()

    # What a test makes happen ------------------------------------------------

    @property
    def picture(self) -> Snapshot | None:
        return self._picture

    @picture.setter
    def picture(self, picture: Snapshot | None) -> None:
        with self._there:
            self._picture = picture
            self._there.notify_all()

    def step(self, name: str, phase: StepPhase, detail: str = "") -> None:
        """Let the newest operation's step *name* enter *phase*."""
        current = self.journal[0]
        seq = next((i for i, s in enumerate(current.plan.steps, 1) if s.name == name), 99)
        self._events.append(
            StepEvent(len(self._events) + 1, current.id, seq, name, phase, self.clock.now(), detail)
        )
        record = StepRecord(seq, name, phase, self.clock.now(), detail)
        others = tuple(s for s in current.steps if s.name != name)
        steps = tuple(sorted((*others, record), key=lambda s: s.seq))
        self.journal[0] = replace(current, state=OperationState.RUNNING, steps=steps)

    def end(self, state: OperationState, **changes: Any) -> None:
        """Let the newest operation end in *state*."""
        self.journal[0] = replace(
            self.journal[0], state=state, ended_at=self.clock.now(), **changes
        )

    # Engine ------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        if self.failure is not None:
            raise self.failure
        with self._there:
            # The real one waits for its slowest source, bounded by that one's timeout.
            self._there.wait_for(lambda: self._picture is not None or self._closed, timeout=30)
            if self._picture is None:
                raise ConsoleError("no source has answered")
            return self._picture

    def last_picture(self) -> Snapshot | None:
        return self.recalled

    def rewound(self, at: datetime, steps: int = 0) -> Frame | None:
        """Every picture a film of :attr:`past`, oldest first; a minute apart is a gap."""
        place = max((n for n, one in enumerate(self.past) if one.taken_at <= at), default=-1)
        asked, place = (at if not steps else self.past[place].taken_at), place + steps
        if place >= len(self.past):
            return None
        if place < 0 or not self.past:
            raise Unreachable("nothing was kept before 03:00:00 UTC")
        found = self.past[place].taken_at
        later = [*self.past, self.past[-1]][place + 1].taken_at
        gap = gap_between(asked, found, 10.0)
        if asked > found and gap_between(found, asked, 10.0):
            gap = found, later
        return Frame(self.past[place], gap)

    def watch(self) -> None:
        if ("watch",) not in self.asked:
            self.asked.append(("watch",))

    def close(self) -> None:
        self.asked.append(("close",))
        with self._there:
            self._closed = True
            self._there.notify_all()

    def logs(self, request: LogRequest) -> Iterator[LogLine | None]:
        self.asked.append(("logs", request.services))
        given = len(self.log)
        past = [line for line in list(self.log)[:given] if _asked_for(line, request)]
        left = Counter(line.replica for line in past)
        for line in past:
            left[line.replica] -= 1
            if left[line.replica] < request.tail:
                yield line
        while True:
            lines = list(self.log)
            yield from (line for line in lines[given:] if _asked_for(line, request))
            given = len(lines)
            if not request.follow or request.until is not None:
                return
            yield None
            threading.Event().wait(0.02)

    def access(self) -> FakeAccess:
        return self._granted

    def elevate(self, minutes: int, reason: str) -> FakeAccess:
        self.asked.append(("elevate", minutes, reason))
        self._granted = FakeAccess(minutes > 0, self.clock.now() + timedelta(minutes=minutes))
        return self._granted

    def plan(self, verb: str, wish: dict[str, Any]) -> Plan:
        self.asked.append(("plan", verb, wish))
        if self.refusal is not None:
            raise self.refusal
        if self.next_plan is not None:
            return replace(self.next_plan, wish=wish)
        plans = []
        for name, target in wish["targets"].items():
            found = self._picture.service(name) if self._picture else None
            plans.append(scale_plan(name, found.desired if found else 0, target))
        return replace(
            plans[0],
            summary=", ".join(p.summary for p in plans),
            steps=tuple(step for p in plans for step in p.steps),
            undo=tuple(step for p in reversed(plans) for step in p.undo),
            expects={name: names for p in plans for name, names in p.expects.items()},
            wish=wish,
        )

    def preempt(self) -> Operation | None:
        self._require_write()
        active = {OperationState.RUNNING, OperationState.SUBMITTED}
        for place, found in enumerate(self.journal):
            if found.state in active:
                self.asked.append(("preempt", found.id))
                self.journal[place] = replace(found, state=OperationState.CANCELLED)
                return self.journal[place]
        return None

    def settling(self, operation: Operation) -> Settling | None:
        return self.settled

    def series(self, name: str, seconds: float) -> list[tuple[datetime, float | None]]:
        since = self.clock.now() - timedelta(seconds=seconds)
        return [(at, value) for at, value in self.history.get(name, []) if at >= since]

    def means(
        self, names: Collection[str], seconds: float, count: int, until: datetime | None = None
    ) -> dict[str, tuple[float | None, ...]]:
        known = self.trends
        return {name: known[name] for name in names if name in known}

    def happened(
        self, seconds: float, service: str | None = None, until: datetime | None = None
    ) -> list[Happening]:
        end = until or self.clock.now()
        since = end - timedelta(seconds=seconds)
        found = merged([one for one in self.seen if one.at >= since], self.done, self.journal)
        found = found if until is None else [one for one in found if one.at <= until]
        return found if service is None else concerning(found, service)

    def describe(self, service: str) -> ServiceDescription:
        self.asked.append(("describe", service))
        if self.describe_failure is not None:
            raise self.describe_failure
        return self.descriptions.get(service) or described(service, self._picture)

    def measured(self, seconds: float, then: Snapshot | None = None) -> MeasuredRange:
        self.asked.append(("measured", seconds))
        if self.unmeasured is not None:
            raise self.unmeasured
        count = round(seconds / step_of(seconds))
        end = NOW if then is None else then.taken_at
        begin = end - timedelta(seconds=step_of(seconds) * (count - 1))
        curves = tuple(
            Curve(
                measure,
                curve_values(measure, count, self.measured_from)
                if self._picture and self._picture.running
                else (None,) * count,
                self.measured_from,
            )
            for measure in measures_of(self._picture, self.settings.policy)
        )
        trouble = "" if self.measured_from == PROMETHEUS else self.prometheus_trouble
        silent = NOW - timedelta(minutes=7) if trouble else None
        return MeasuredRange(begin, step_of(seconds), curves, trouble, silent)

    def runbook(self) -> Runbook:
        return parse_runbook(self.procedures or (PROJECT / "RUNBOOK.md").read_text("utf-8"))

    def silence(self, alert: str, seconds: float, reason: str) -> Silence:
        self._require_write()
        if self.refusal is not None:
            raise self.refusal
        self.asked.append(("silence", alert, seconds, reason))
        now = self.clock.now()
        return Silence(alert, now + timedelta(seconds=seconds), "ana", reason, now)

    def test_alerts(self, reason: str = "") -> tuple[Delivery, ...]:
        self._require_write()
        if self.refusal is not None:
            raise self.refusal
        self.asked.append(("test_alerts", reason))
        return (Delivery("slack", 1, 0), Delivery("webhook", 3, 3))

    def unsilence(self, alert: str, reason: str = "") -> list[Silence]:
        self._require_write()
        self.asked.append(("unsilence", alert, reason))
        return []

    def submit(self, plan: Plan, reason: str) -> Operation:
        self.asked.append(("submit", plan.summary, reason))
        self._require_write()
        made = operation(OperationState.RUNNING, plan=plan, reason=reason, operation_id="op-0008")
        self.journal.insert(0, replace(made, submitted_at=NOW, started_at=NOW))
        return self.journal[0]

    def operation(self, operation_id: str) -> Operation:
        return next(o for o in self.journal if o.id == operation_id)

    def operations(self, limit: int = 50, before: str | None = None) -> list[Operation]:
        number = float("inf") if before is None else int(before.removeprefix("op-"))
        return [o for o in self.journal if int(o.id.removeprefix("op-")) < number][:limit]

    def audit(self, limit: int = 50, before: int | None = None) -> list[dict[str, Any]]:
        if self.failure is not None:
            raise self.failure
        return [e for e in self.entries if before is None or e["seq"] < before][:limit]

    def verify_audit(self) -> AuditVerdict:
        if self.failure is not None:
            raise self.failure
        return self.verdict

    def events(self, operation_id: str, after_event_id: int = 0) -> list[StepEvent]:
        return [
            e
            for e in self._events
            if e.operation_id == operation_id and e.event_id > after_event_id
        ]

    def cancel(self, operation_id: str, reason: str = "") -> None:
        self._change("cancel", operation_id, reason)

    def answer(
        self, operation_id: str, word: str, reason: str = "", step: str | None = None
    ) -> None:
        self._change("answer", operation_id, word, reason, step or "")

    def autoscaled(self) -> dict[str, Switch]:
        return self.switched

    def autoscale(self, service: str, reason: str, *, on: bool) -> list[str]:
        self._change("autoscale", service, reason, "on" if on else "off")
        return [service]

    def resume(self, operation_id: str, reason: str = "") -> None:
        self._change("resume", operation_id, reason)

    def undo(self, operation_id: str, reason: str = "") -> None:
        self._change("undo", operation_id, reason)

    def accept(self, operation_id: str, reason: str) -> None:
        self._change("accept", operation_id, reason)

    def _change(self, *what: str) -> None:
        self._require_write()
        if self.refusal is not None:
            raise self.refusal
        self.asked.append(what)

    def _require_write(self) -> None:
        if not self._granted.write:
            raise ReadOnly(
                f"read-only: this is {self.settings.environment}",
                unchanged="nothing was changed",
                remedy="w takes write access",
            )


def _asked_for(line: LogLine, request: LogRequest) -> bool:
    if line.at is not None and (
        (request.since is not None and line.at < request.since)
        or (request.until is not None and line.at > request.until)
    ):
        return False
    return not request.services or bool({line.service, line.replica} & {*request.services})
