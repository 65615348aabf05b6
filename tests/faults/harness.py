"""
Crash any operation at every boundary of every step, on any stack.

The runner is a real process and dies by SIGKILL.  After each crash the operation
must be seen as interrupted and forbid others, and resuming must end where the
operation was to end, undoing where it began; with the audit valid, the lock free,
and no process left that nobody knows.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from console.domain.lifecycle import ACTIVE
from console.domain.operations import Operation, OperationState, StepPhase
from console.domain.plans import Json, Plan, Step
from console.engine import Engine
from console.errors import Busy, Interrupted
from console.journal.liveness import runner_is_alive
from console.operations.crash import VARIABLE
from tests.stack import wait_for

#: Which replicas there are and whether they take tasks, with their limits, and what is
#: set: what an operation may change.
World = dict[str, list[tuple[str, bool | None]]]


@dataclass
class FaultHarness:
    """
    Puts one stack through crashes.

    Args:
        engine: Of the stack.
        seconds: How long one operation may take.
    """

    engine: Engine
    seconds: float = 60.0

    # One operation ---------------------------------------------------------

    def run(self, plan: Plan, crash_at: str = "") -> Operation:
        """Submit *plan* and wait until its runner has ended."""
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
        with crashing(crash_at):
            act(operation.id, "fault test")
        return self.ended(operation.id)

    def ended(self, operation_id: str) -> Operation:
        """Wait until nothing works on the operation any more."""

        def at_rest() -> Operation | None:
            operation = self.engine.operation(operation_id)
            return None if operation.state in ACTIVE else operation

        operation = wait_for(at_rest, self.seconds, f"{operation_id} did not end")
        assert operation is not None
        wait_for(self._lock_is_free, 10, "the lock is held without a runner")
        return operation

    def _lock_is_free(self) -> bool:
        return not runner_is_alive(self.engine.settings.state)

    def world(self) -> World:
        """Observe anew."""
        snapshot = self.engine.collector.collect()
        world: World = {
            service.name: sorted((r.name, r.accepting) for r in service.replicas)
            for service in snapshot.services
        }
        replicas = [r for s in snapshot.services for r in s.replicas]
        told = [f"{r.name} {r.limits}" for r in replicas]
        told += [f"{name}={value}" for name, value in snapshot.settings.items()]
        return {**world, "limits and settings": [(text, None) for text in sorted(told)]}

    # The faults --------------------------------------------------------------

    def crash_everywhere(self, verb: str, wish: dict[str, Json]) -> int:
        """
        Crash *verb* before and after each of its steps, forwards and back.

        Returns:
            Number of crashes survived.
        """
        before = self.world()
        plan = self.engine.plan(verb, wish)
        assert plan.steps
        clean = self.run(plan)
        self._assert_ended(clean, OperationState.DONE)
        after = self.world()
        self._assert_ended(self.undo(clean), OperationState.UNDONE)
        assert self.world() == before
        crashes = 0
        for at in boundaries(plan.steps):
            self._crash_and(self.resume, verb, wish, at, before, after)
            self._crash_and(self.undo, verb, wish, at, before, after)
            crashes += 2
        for at in boundaries(plan.undo):
            self._crash_the_undo(verb, wish, at, before, after)
            crashes += 1
        return crashes

    def _crash_and(
        self,
        then: Callable[[Operation], Operation],
        verb: str,
        wish: dict[str, Json],
        at: str,
        before: World,
        after: World,
    ) -> None:
        plan = self.engine.plan(verb, wish)
        crashed = self.run(plan, at)
        self._assert_crashed(crashed, plan, at)
        ended = then(crashed)
        if then == self.resume:
            self._assert_ended(ended, OperationState.DONE)
            assert self.world() == after, at
            ended = self.undo(ended)
        self._assert_ended(ended, OperationState.UNDONE)
        assert self.world() == before, at

    def _crash_the_undo(
        self, verb: str, wish: dict[str, Json], at: str, before: World, after: World
    ) -> None:
        plan = self.engine.plan(verb, wish)
        done = self.run(plan)
        self._assert_ended(done, OperationState.DONE)
        crashed = self.undo(done, at)
        self._assert_crashed(crashed, plan, at)
        resumed = self.resume(crashed)
        self._assert_ended(resumed, OperationState.DONE)
        assert self.world() == after, at
        crashed = self.undo(resumed, at)
        self._assert_crashed(crashed, plan, at)
        self._assert_ended(self.undo(crashed), OperationState.UNDONE)
        assert self.world() == before, at

    # What must be true -------------------------------------------------------

    def _assert_crashed(self, operation: Operation, plan: Plan, at: str) -> None:
        assert operation.state is OperationState.INTERRUPTED, (at, operation)
        assert f"resume {operation.id}" in operation.remedy
        events = self.engine.events(operation.id)
        last = events[-1]
        assert (last.name, last.phase) == (at.rpartition(":")[0], StepPhase.INTENT), (at, last)
        with pytest.raises(Busy, match=operation.id):
            self.engine.submit(plan, "must be refused")
        self._assert_sound(at)

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
        snapshot = self.engine.collector.collect()
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
