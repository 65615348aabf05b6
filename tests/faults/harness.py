"""
Crash any operation at every boundary of every step, on any stack.

The runner is a real process and dies by SIGKILL.  After each crash the operation
must be seen as interrupted and forbid others, and resuming must end where the
operation was to end, undoing where it began; with the audit valid, the lock free,
and no process left that nobody knows.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import pytest

from console.domain.lifecycle import ACTIVE
from console.domain.operations import Operation, OperationState, StepPhase
from console.domain.plans import Json, Plan, Step
from console.domain.snapshot import Snapshot
from console.engine import Engine
from console.errors import Busy, Interrupted
from console.journal.liveness import runner_is_alive
from console.operations.crash import VARIABLE
from tests.stack import wait_for

#: Which replicas there are and whether they take tasks, with their limits, and what is
#: set: what an operation may change.
World = dict[str, list[tuple[str, bool | None]]]
#: What tells it.
LOOKED_AT = ("runtime", "broker")
EVERY_SECONDS = 0.03


@dataclass
class FaultHarness:
    """
    Puts one stack through crashes.

    Args:
        engine: Of the stack.
        seconds: How long one operation may take.
        prepare: Makes anew what an operation takes away for good, before each plan.
        told: Says what else an operation may change.
    """

    engine: Engine
    seconds: float = 60.0
    prepare: Callable[[], None] = lambda: None
    told: Callable[[Snapshot], list[str]] = lambda _: []

    def __post_init__(self) -> None:
        self._events_before = 0

    # One operation ---------------------------------------------------------

    def plan(self, verb: str, wish: dict[str, Json]) -> Plan:
        """Plan *verb* on the stack as it is."""
        self.prepare()
        return self.engine.plan(verb, wish)

    def run(self, plan: Plan, crash_at: str = "") -> Operation:
        """Submit *plan* and wait until its runner has ended."""
        self._events_before = 0
        with crashing(crash_at):
            try:
                operation_id = self.engine.submit(plan, "fault test").id
            except Interrupted:  # it died before it held the lock
                operation_id = self.engine.operations(1)[0].id
        return self.ended(operation_id)

    def resume(self, operation: Operation) -> Operation:
        """Resume and wait."""
        return self._continue(self.engine.resume, operation, "")

    def undo(self, operation: Operation, crash_at: str = "") -> Operation:
        """Undo and wait."""
        return self._continue(self.engine.undo, operation, crash_at)

    def _continue(
        self, act: Callable[[str, str], None], operation: Operation, crash_at: str
    ) -> Operation:
        told = self.engine.events(operation.id)
        self._events_before = told[-1].event_id if told else 0
        with crashing(crash_at):
            act(operation.id, "fault test")
        return self.ended(operation.id)

    def ended(self, operation_id: str) -> Operation:
        """Wait until nothing works on the operation any more."""

        def at_rest() -> Operation | None:
            operation = self.engine.operation(operation_id)
            return None if operation.state in ACTIVE else operation

        operation = wait_for(at_rest, self.seconds, f"{operation_id} did not end", EVERY_SECONDS)
        assert operation is not None
        wait_for(self._lock_is_free, 10, "the lock is held without a runner", EVERY_SECONDS)
        return operation

    def _lock_is_free(self) -> bool:
        return not runner_is_alive(self.engine.settings.state)

    def world(self) -> World:
        """Observe anew."""
        snapshot = self.engine.collector.collect(LOOKED_AT)
        world: World = {
            service.name: sorted((r.name, r.accepting) for r in service.replicas)
            for service in snapshot.services
        }
        replicas = [r for s in snapshot.services for r in s.replicas]
        told = [f"{r.name} {r.limits} {r.route}" for r in replicas]
        told.append(f"maintenance {snapshot.maintenance}")
        told += [f"{name}={value}" for name, value in snapshot.settings.items()]
        return {**world, "further": [(text, None) for text in sorted(told + self.told(snapshot))]}

    # The faults --------------------------------------------------------------

    def crash_everywhere(self, verb: str, wish: dict[str, Json]) -> int:
        """
        Crash *verb* before and after each of its steps, forwards and back.

        Returns:
            Number of crashes survived.
        """
        first = self.plan(verb, wish)
        before = self.world()
        assert first.steps
        clean = self.run(first)
        self._assert_ended(clean, OperationState.DONE)
        after = self.world()
        self._assert_ended(self.undo(clean), OperationState.UNDONE)
        assert self.world() == before
        last = boundaries(first.steps)[-1]
        for there, back in zip_longest(boundaries(first.steps), boundaries(first.undo)):
            # Where a restart, say, ended is where the next one begins: that it can be taken
            # back from there is seen once more after its last boundary alone.
            undo = before != after or back is not None or there == last
            self._crash_on_the_way(verb, wish, there, back, before, after, undo=undo)
            if there is not None:
                crashed = self._crashed(self.run(self.plan(verb, wish), there), there)
                self._assert_ended(self.undo(crashed), OperationState.UNDONE)
                assert self.world() == before, there
        return 2 * len(boundaries(first.steps)) + len(boundaries(first.undo))

    def _crash_on_the_way(
        self,
        verb: str,
        wish: dict[str, Json],
        there: str | None,
        back: str | None,
        before: World,
        after: World,
        *,
        undo: bool,
    ) -> None:
        """Crash at *there*, go on to the end, crash at *back*, to the end again, and back."""
        operation = self.run(self.plan(verb, wish), there or "")
        if there is not None:
            operation = self.resume(self._crashed(operation, there))
        self._assert_ended(operation, OperationState.DONE)
        assert self.world() == after, there
        if back is not None:
            operation = self.resume(self._crashed(self.undo(operation, back), back))
            self._assert_ended(operation, OperationState.DONE)
            assert self.world() == after, back
            operation = self._crashed(self.undo(operation, back), back)
        if undo:
            self._assert_ended(self.undo(operation), OperationState.UNDONE)
            assert self.world() == before, (there, back)

    # What must be true -------------------------------------------------------

    def _crashed(self, operation: Operation, at: str) -> Operation:
        """Check that it died at *at* and nowhere else, and forbids others; return it."""
        assert operation.state is OperationState.INTERRUPTED, (at, operation)
        assert f"resume {operation.id}" in operation.remedy
        steps = {step.name: step for step in (*operation.plan.steps, *operation.plan.undo)}
        died_at, _, when = at.rpartition(":")
        events = self.engine.events(operation.id, self._events_before)
        last = {event.name: event.phase for event in events}
        assert last[died_at] is StepPhase.INTENT, (at, events)
        under_way = {name for name, phase in last.items() if phase is StepPhase.INTENT}
        assert {steps[name].kind for name in under_way} == {steps[died_at].kind}, (at, events)
        if when == "before":  # what comes after it was not begun
            assert events[-1].name == died_at, (at, events)
        with pytest.raises(Busy, match=operation.id):
            self.engine.submit(operation.plan, "must be refused")
        self._assert_sound(at)
        return operation

    def _assert_ended(self, operation: Operation, state: OperationState) -> None:
        assert operation.state is state, (operation.outcome_message, self.runner_log())
        assert operation.exit_code == 0
        assert operation.verified
        assert operation.finished
        self._assert_sound(operation.id)

    def _assert_sound(self, where: str) -> None:
        verdict = self.engine.verify_audit()
        assert verdict.valid, (where, verdict)
        assert self._lock_is_free(), where
        wait_for(lambda: self.orphans() == [], 10, f"{where}: processes that nobody knows")

    def orphans(self) -> list[str]:
        """Return replicas' processes that are of this stack and in no snapshot."""
        snapshot = self.engine.collector.collect(LOOKED_AT)
        known = {r.pid for s in snapshot.services for r in s.replicas}
        state = str(self.engine.settings.state)
        return [
            f"{pid} {name}"
            for pid, name in replica_processes(state)
            if pid not in known and not _has_parent_among(pid, known)
        ]

    def runner_log(self) -> str:
        """Return the last lines that runners wrote."""
        try:
            text = (self.engine.settings.state / "runner.log").read_text(errors="replace")
        except OSError as error:
            return str(error)
        return "\n".join(text.splitlines()[-20:])


def boundaries(steps: tuple[Step, ...]) -> list[str]:
    """Return every crash point of *steps*."""
    return [f"{step.name}:{when}" for step in steps for when in ("before", "after")]


@contextmanager
def crashing(at: str) -> Iterator[None]:
    """Let runners that are started meanwhile die at *at*, "" for none."""
    old = os.environ.pop(VARIABLE, None)
    if at:
        os.environ[VARIABLE] = at
    try:
        yield
    finally:
        os.environ.pop(VARIABLE, None)
        if old is not None:
            os.environ[VARIABLE] = old


def replica_processes(state: str) -> Iterator[tuple[int, str]]:
    """Yield (pid, replica) of processes with a replica's environment below *state*."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            environ = (entry / "environ").read_bytes().split(b"\0")
            directory = str((entry / "cwd").readlink())
        except OSError:
            continue
        names = [v[13:].decode() for v in environ if v.startswith(b"REPLICA_NAME=")]
        ours = any(state.encode() in value for value in environ) or directory.startswith(state)
        if names and ours:
            yield int(entry.name), names[0]


def _has_parent_among(pid: int, known: set[int | None]) -> bool:
    while pid > 1:
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            return True  # it has just ended
        pid = int(stat.rpartition(")")[2].split()[1])
        if pid in known:
            return True
    return False


def leave_an_old_log(state: Path) -> None:
    """Put a log into *state* that was rotated long ago."""
    log, long_ago = state / "old.log.1", time.time() - 30 * 86400
    log.write_text("long ago")
    os.utime(log, (long_ago, long_ago))
