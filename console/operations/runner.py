"""
The runner: executes any plan, forwards or back, and survives being killed.

It holds the lock, writes its intent before and the outcome after each step, and
decides by observation alone what is still to be done.  Whatever goes wrong, the
stack ends as planned, as before, or is handed to a person in so many words.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby

from console.domain.lifecycle import EXIT_CODES, ways_on
from console.domain.operations import Change, Operation, OperationState, StepPhase
from console.domain.plans import Step
from console.domain.text import plain_text
from console.errors import ConsoleError
from console.operations import crash
from console.operations.actor import current_actor
from console.operations.asking import Asking
from console.operations.lock import OperationLock
from console.operations.stepping import Observe, StepFailed, Stepper
from console.operations.world import RUNTIME_SOURCE, difference
from console.ports import Clock, Journal, StepKind


class _Stopped(Exception):
    """The runner was told to end (SIGTERM, SIGHUP)."""


class _Cancelled(Exception):
    """The operator asked for the way back."""


class _RefusedWorld(Exception):
    """The world is not what the plan was made for, or cannot be seen."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class _JournalLost(Exception):
    """The journal does not take any more; nothing further may be done."""


class Runner:
    """
    Runs one operation to its end.

    Args:
        journal: Where every step is recorded.
        kinds: Step kinds by name.
        observe: Takes a new snapshot, sources by name, None for all; may raise Unreachable.
        clock: Time.
        lock: Held from the first to the last write.
        crash_at: Called at each boundary of each step.
        on_locked: Called once the lock is held.
        poll_seconds: Pause between two looks at the stack.
        settle_seconds: How long the final check, and the first look, may take.
        tell: Takes one line per thing that happens, for the runner's log.
    """

    def __init__(
        self,
        *,
        journal: Journal,
        kinds: Mapping[str, StepKind],
        observe: Observe,
        clock: Clock,
        lock: OperationLock,
        crash_at: crash.CrashPoint = crash.never,
        on_locked: Callable[[], None] = lambda: None,
        poll_seconds: float = 0.25,
        settle_seconds: float = 15.0,
        tell: Callable[[str], None] = lambda line: print(line, file=sys.stderr, flush=True),
    ) -> None:
        self._journal = journal
        self._stepper = Stepper(kinds, observe, clock, poll_seconds)
        self._observe = observe
        self._clock = clock
        self._lock = lock
        self._crash_at = crash_at
        self._on_locked = on_locked
        self._poll_seconds = poll_seconds
        self._settle_seconds = settle_seconds
        self._tell = tell
        self._stop = threading.Event()
        self._decided: set[str] = set()

    def stop(self) -> None:
        """End at the next boundary and leave the operation interrupted; any thread."""
        self._stop.set()

    def run(self, operation_id: str, mode: str) -> int:
        """
        Run (``run``) or take back (``undo``) one operation.

        Returns:
            Its exit code by the public contract.

        Raises:
            ConsoleError: When it could not be begun; nothing was changed then.
        """
        submitted = self._journal.operation(operation_id)
        with self._lock.held(operation_id, submitted.actor):
            operation = self._journal.claim(operation_id, mode)
            self._on_locked()
            try:
                self._record_takeover(operation.id)
                if mode == "undo":
                    return self._take_back(operation, OperationState.UNDONE, "taken back")
                return self._carry_out(operation)
            except _Stopped:
                return self._interrupt(operation)
            except _JournalLost as lost:
                self._tell(
                    f"{operation.id}: stopped, because it cannot be recorded: {lost}; "
                    f"when the journal is well again: {ways_on(operation.id)}"
                )
                return EXIT_CODES[OperationState.INTERRUPTED]

    # Forwards ----------------------------------------------------------------

    def _carry_out(self, operation: Operation) -> int:
        try:
            if all(step.phase is StepPhase.PENDING for step in operation.steps):
                self._check_world(operation)
            self._do_steps(operation, operation.plan.steps, 1, lambda: self._check(operation.id))
            self._check(operation.id)
            # What a person decided to go on without is not looked for again.
            self._verify([s for s in operation.plan.steps if s.name not in self._decided])
        except _RefusedWorld as refusal:
            return self._finish(
                operation,
                OperationState.REFUSED,
                f"{refusal}; nothing was changed",
                exit_code=refusal.exit_code,
                remedy="fragrance status; then plan it afresh",
            )
        except _Cancelled:
            return self._go_back(operation, OperationState.CANCELLED, "cancelled")
        except StepFailed as failure:
            return self._go_back(operation, OperationState.REVERTED, str(failure))
        return self._finish(operation, OperationState.DONE, operation.plan.summary, verified=True)

    def _check_world(self, operation: Operation) -> None:
        """Refuse when the world is no longer the one that was planned for."""
        deadline = self._clock.monotonic() + self._settle_seconds
        while True:
            try:
                snapshot = self._observe({RUNTIME_SOURCE})
                unseen = not snapshot.source_is_fresh(RUNTIME_SOURCE)
                why = "the runtime does not answer"
            except ConsoleError as error:
                unseen, why = True, error.message
            if not unseen:
                break
            if self._clock.monotonic() >= deadline:
                raise _RefusedWorld(f"the stack cannot be seen: {why}", exit_code=5)
            self._check(operation.id)
            self._clock.sleep(self._poll_seconds)
        if changed := difference(operation.plan, snapshot):
            raise _RefusedWorld(f"the stack has changed since the plan: {changed}", exit_code=3)

    # Back --------------------------------------------------------------------

    def _go_back(self, operation: Operation, state: OperationState, why: str) -> int:
        """Undo what was done, because of *why*."""
        self._tell(f"{operation.id}: {why}; going back")
        with self._recording():
            self._journal.set_state(
                operation.id, OperationState.RUNNING, outcome_message=f"{why}; going back"
            )
        return self._take_back(operation, state, why)

    def _take_back(self, operation: Operation, state: OperationState, why: str) -> int:
        forward = {step.name: seq for seq, step in enumerate(operation.plan.steps, 1)}
        with self._recording():
            begun = {
                record.name
                for record in self._journal.operation(operation.id).steps
                if record.phase is not StepPhase.PENDING
            }
        undo = operation.plan.undo

        def undone(step: Step) -> None:
            if step.undoes in begun and step.undoes in forward:
                seq, words = forward[step.undoes], f"by {step.name}"
                self._record(operation.id, seq, step.undoes, StepPhase.UNDONE, words)

        try:
            self._do_steps(operation, undo, len(forward) + 1, self._check_stop, undone)
            self._verify(undo)
        except StepFailed as failure:
            return self._finish(
                operation,
                OperationState.FROZEN,
                f"{why}; going back failed too: {failure}",
                remedy=f"look: fragrance operations show {operation.id}; "
                f"then {ways_on(operation.id)}",
            )
        return self._finish(
            operation,
            state,
            f"{operation.plan.summary}: {why}; the stack is as it was before",
            verified=state is OperationState.UNDONE,
        )

    # Steps -------------------------------------------------------------------

    def _do_steps(
        self,
        operation: Operation,
        steps: Sequence[Step],
        first_seq: int,
        check: Callable[[], None],
        done: Callable[[Step], None] = lambda _: None,
    ) -> None:
        """Do all steps in order; consecutive ones of one kind side by side."""
        for _, run in groupby(enumerate(steps, first_seq), lambda numbered: _side(numbered[1])):
            self._do_run(operation, {step.name: (seq, step) for seq, step in run}, check, done)

    def _do_run(
        self,
        operation: Operation,
        run: Mapping[str, tuple[int, Step]],
        check: Callable[[], None],
        done: Callable[[Step], None],
    ) -> None:
        under_way: list[str] = []
        try:
            with self._stepper.together(operation.id) as together:
                for name, (seq, step) in run.items():
                    check()
                    self._record(operation.id, seq, name, StepPhase.INTENT, step.command)
                    under_way.append(name)
                    self._crash_at(name, "before")
                    together.begin(step, self._asking(operation, seq, step))
                for step, acted, detail in together.ended(check):
                    self._crash_at(step.name, "after")
                    phase = StepPhase.DONE if acted else StepPhase.SKIPPED
                    self._record(operation.id, run[step.name][0], step.name, phase, detail)
                    under_way.remove(step.name)
                    self._decided.update(together.decided)
                    done(step)
        except (StepFailed, _Cancelled) as end:
            for name in under_way:
                words = str(end) if isinstance(end, StepFailed) else "cancelled"
                self._record(operation.id, run[name][0], name, StepPhase.FAILED, words)
            raise

    def _asking(self, operation: Operation, seq: int, step: Step) -> Asking | None:
        """Return what has a person decide to go on without *step*; None where it asks nothing."""
        if step.question is None:
            return None
        return Asking(
            self._journal, self._clock, operation, seq, step, step.question, self._recording
        )

    def _verify(self, steps: Sequence[Step]) -> None:
        """Observe every step's effect once more, all in one snapshot."""
        deadline = self._clock.monotonic() + self._settle_seconds
        while True:
            failure = self._first_untrue(steps)
            if failure is None:
                return
            if self._clock.monotonic() >= deadline:
                raise failure
            self._check_stop()
            self._clock.sleep(self._poll_seconds)

    def _first_untrue(self, steps: Sequence[Step]) -> StepFailed | None:
        if not steps:
            return None
        try:
            snapshot = self._stepper.look(steps)
        except ConsoleError as error:
            return StepFailed(steps[-1], f"could not be verified: {error.message}")
        for step in steps:
            seen = self._stepper.look_at(step, snapshot)
            if not seen.holds:
                return StepFailed(step, f"not true at the end: {seen.detail}")
        return None

    # Records -----------------------------------------------------------------

    def _check(self, operation_id: str) -> None:
        self._check_stop()
        with self._recording():
            cancelled = self._journal.operation(operation_id).cancel_requested
        if cancelled:
            raise _Cancelled

    def _check_stop(self) -> None:
        if self._stop.is_set():
            raise _Stopped

    def _record_takeover(self, operation_id: str) -> None:
        """Say whose lock this was when its holder died; a pid there proves nothing by now."""
        dead = self._lock.left_behind
        if dead is None:
            return
        with self._recording():
            self._journal.record(
                Change(
                    at=self._clock.now(),
                    actor=str(current_actor()),
                    what=f"took over the lock of a runner that died (pid {dead.pid}, "
                    f"{dead.operation_id} by {dead.actor}, since {dead.since})",
                    outcome="done",
                    operation_id=operation_id,
                )
            )

    def _interrupt(self, operation: Operation) -> int:
        message = "its runner was told to end; what it had done is still done"
        try:
            self._journal.set_state(
                operation.id,
                OperationState.INTERRUPTED,
                exit_code=EXIT_CODES[OperationState.INTERRUPTED],
                outcome_message=message,
                remedy=ways_on(operation.id),
            )
        except ConsoleError as error:
            self._tell(f"{operation.id}: {message}; could not be recorded: {error.message}")
        return EXIT_CODES[OperationState.INTERRUPTED]

    def _record(
        self, operation_id: str, seq: int, name: str, phase: StepPhase, detail: str
    ) -> None:
        self._tell(f"{operation_id} {name} {phase.value} {plain_text(detail)}".rstrip())
        with self._recording():
            self._journal.step(operation_id, seq, name, phase, detail)

    @contextmanager
    def _recording(self) -> Iterator[None]:
        try:
            yield
        except ConsoleError as error:
            raise _JournalLost(error.message) from error

    def _finish(
        self,
        operation: Operation,
        state: OperationState,
        message: str,
        *,
        exit_code: int | None = None,
        remedy: str = "",
        verified: bool = False,
    ) -> int:
        code = EXIT_CODES[state] if exit_code is None else exit_code
        with self._recording():
            self._journal.set_state(
                operation.id,
                state,
                ended_at=self._clock.now(),
                exit_code=code,
                outcome_message=message,
                remedy=remedy,
                verified=verified,
            )
        self._tell(f"{operation.id} {state.value}: {message}")
        return code


def _side(step: Step) -> tuple[str, str]:
    """Return what consecutive steps that go side by side have in common; who asks goes alone."""
    return step.kind, step.name if step.question is not None else ""
