"""
Steps carried out: observe, act if need be, wait until it is observed.

Consecutive steps of one kind are begun one after the other and waited for together,
so that four replicas that start and become ready side by side cost the time of the
slowest.
Nothing is remembered that can be observed, so the same call serves a first run,
a resumed one and an undo.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from types import TracebackType

from console.domain.plans import Observation, Step
from console.domain.questions import WAIT, YES
from console.domain.snapshot import Snapshot
from console.errors import ConsoleError, Unreachable
from console.operations.asking import Asking
from console.ports import Clock, NarrowsSources, StepKind

#: Pause before a step whose far side did not answer is begun once more, seconds.
RETRY_SECONDS = 2.0
#: Kinds whose action concerns one replica alone, and takes its time: to start it, or to
#: ask it and wait for its answer.  Several are done at the same moment; what all others
#: do changes something shared, and is done in turn.
SIDE_BY_SIDE = frozenset({"start_replica", "drain_replica", "undrain_replica"})
DONE_AT_ONCE = 8

#: Takes a new snapshot; reads anew the sources named, all for None.
Observe = Callable[[Collection[str] | None], Snapshot]


class StepFailed(Exception):
    """A step did not come true; carries the words for the operator."""

    def __init__(self, step: Step, message: str) -> None:
        super().__init__(f"{step.name}: {message}")
        self.step = step


@dataclass(frozen=True, slots=True)
class Stepper:
    """
    Carries out steps.

    Args:
        kinds: Step kinds by name.
        observe: Takes a new snapshot.
        clock: Time.
        poll_seconds: Pause between two looks.
    """

    kinds: Mapping[str, StepKind]
    observe: Observe
    clock: Clock
    poll_seconds: float = 0.25

    def together(self, operation_id: str) -> Together:
        """Return what carries out steps of one kind; *operation_id* is their ``operation``."""
        return Together(self, operation_id)

    def look(self, steps: Collection[Step]) -> Snapshot:
        """
        Return a snapshot that has anew whatever *steps* are observed from.

        Raises:
            ConsoleError: When nothing can be seen.
        """
        names: set[str] = set()
        for step in steps:
            kind = self.kinds.get(step.kind)
            if kind is None:
                continue
            needed = kind.sources_of(step) if isinstance(kind, NarrowsSources) else kind.sources
            if needed is None:
                return self.observe(None)
            names.update(needed)
        return self.observe(names)

    def look_at(self, step: Step, snapshot: Snapshot) -> Observation:
        """Tell whether the effect of *step* holds in *snapshot*; unknown if it cannot be told."""
        kind = self.kinds.get(step.kind)
        if kind is None:
            return Observation(None, f"this version knows no step of kind {step.kind!r}")
        try:
            return kind.observe(step, snapshot)
        except ConsoleError as error:
            return Observation(None, error.message)
        except (ValueError, TypeError, KeyError) as error:
            raise StepFailed(step, f"{type(error).__name__}: {error}") from error


@dataclass(slots=True)
class _Begun:
    """One step that is being made true."""

    step: Step
    hold_seconds: float
    deadline: float
    asking: Asking | None = None
    seen: Observation = field(default_factory=lambda: Observation(None))
    seen_at: float = float("-inf")
    holds_since: float | None = None
    #: Seen to be true for as long as it must be, without a break.
    settled: bool = False
    #: So at the first look.
    true_at_once: bool = False
    #: How a person went on without it.
    answer: str = ""
    acted: bool = False
    act_again_at: float = float("-inf")
    obstacle: str = ""

    @property
    def patience(self) -> float:
        """How long it may take."""
        return self.step.timeout_seconds + self.hold_seconds

    @property
    def ended(self) -> bool:
        """Whether it is true, or a person went on without it."""
        return self.settled or bool(self.answer)

    @property
    def waited(self) -> bool:
        """Whether anything was done or waited for."""
        return self.seen_at > float("-inf") and (not self.true_at_once or self.hold_seconds > 0)

    @property
    def must_act(self) -> bool:
        """Whether it is known to be untrue, and neither on its way nor begun."""
        untrue = self.seen.holds is False and not self.seen.coming
        return untrue and not self.acted and self.seen_at >= self.act_again_at

    def take(self, seen: Observation, now: float) -> None:
        """Take note of a look."""
        first = self.seen_at == float("-inf")
        self.seen, self.seen_at = seen, now
        if not seen.holds:
            self.holds_since = None
        elif self.holds_since is None:
            self.holds_since = now
        since = self.holds_since
        held = since is not None and now - since >= self.hold_seconds
        # Of an answer and the truth in the same moment, the one that came first counts.
        self.settled = held and (self.asking is None or self.asking.settle())
        self.true_at_once = first and self.settled


class Together:
    """
    Steps of one kind, made true side by side.

    As a context manager: at its end nothing that was begun is still being asked for.

    Args:
        stepper: See there.
        operation_id: Given to the step kind as the argument ``operation``.
    """

    def __init__(self, stepper: Stepper, operation_id: str) -> None:
        #: Names of the steps that a person decided to go on without.
        self.decided: set[str] = set()
        self._stepper = stepper
        self._operation_id = operation_id
        self._open: list[_Begun] = []
        self._pool = ThreadPoolExecutor(DONE_AT_ONCE, thread_name_prefix="do")
        self._doing: list[tuple[_Begun, Future[None]]] = []

    def __enter__(self) -> Together:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # An answer that came later would be an action after the end.
        self._pool.shutdown(wait=True)

    def begin(self, step: Step, asking: Asking | None = None) -> None:
        """
        Look, and begin to make *step* true unless it is, or cannot be seen.

        Args:
            step: ``hold_seconds`` among its arguments says how long it must stay true
                without a break.
            asking: What a person is asked when it has not come true in time.

        Raises:
            StepFailed: When it cannot be done.
        """
        if step.kind not in self._stepper.kinds:
            raise StepFailed(step, f"this version knows no step of kind {step.kind!r}")
        hold_seconds = float(step.arguments.get("hold_seconds", 0.0))
        begun = _Begun(step, hold_seconds, self._stepper.clock.monotonic(), asking)
        self._open.append(begun)
        if asking is not None and asking.went_on is not None:
            begun.answer = f"answered {asking.went_on}"
            return
        if asking is None or not asking.asked_before:
            begun.deadline += begun.patience
        self._look()
        if not begun.must_act:
            return
        begun.acted = True
        if step.kind in SIDE_BY_SIDE:
            self._doing.append((begun, self._pool.submit(self._do, step)))
        else:
            self._settle(begun, partial(self._do, step))

    def ended(self, check: Callable[[], None]) -> Iterator[tuple[Step, bool, str]]:
        """
        Yield the steps as they come true.

        An unknown observation neither counts as true nor lets anything be done:
        what cannot be seen is waited for until the timeout, then it fails.

        Args:
            check: Called between looks; raises to stop waiting.

        Yields:
            The step; False when it was true at the first look and nothing was done or
            waited for; and what was seen in the end.

        Raises:
            StepFailed: When one did not come true in time or cannot be done.
        """
        clock = self._stepper.clock
        for begun, answer in self._doing:
            self._settle(begun, answer.result)
        while True:
            if not all(begun.ended for begun in self._open):
                self._look()
            for begun in list(self._open):
                if not begun.ended:
                    self._if_late(begun)
                if begun.ended:
                    self._open.remove(begun)
                    if begun.asking is not None and begun.asking.decided:
                        self.decided.add(begun.step.name)
                    yield begun.step, begun.waited, begun.answer or begun.seen.detail
            if not self._open:
                return
            for begun in self._open:
                if begun.must_act:
                    begun.acted = True
                    self._settle(begun, partial(self._do, begun.step))
            check()
            clock.sleep(self._stepper.poll_seconds)

    def _if_late(self, begun: _Begun) -> None:
        """Give up what has not come true in time, unless a person says otherwise."""
        if begun.seen_at < begun.deadline:
            return
        words = begun.obstacle or begun.seen.detail or "it was not seen to come true"
        late = f"not within {begun.step.timeout_seconds:g} s: {words}"
        if begun.asking is None:
            raise StepFailed(begun.step, late)
        reply = begun.asking.ask(words)
        if reply is None:
            return
        if reply.word == YES:
            begun.answer = f"{words}; answered {reply.told}"
        elif reply.word == WAIT:
            begun.deadline = begun.seen_at + begun.patience
        else:
            raise StepFailed(begun.step, f"{late}; answered {reply.told}")

    def _look(self) -> None:
        """See how far those are that have not ended; one look serves all."""
        looked_at = [begun for begun in self._open if not begun.ended]
        unseen = None
        try:
            snapshot = self._stepper.look([begun.step for begun in looked_at])
        except ConsoleError as error:
            unseen = Observation(None, error.message)
        now = self._stepper.clock.monotonic()
        for begun in looked_at:
            begun.take(unseen or self._stepper.look_at(begun.step, snapshot), now)

    def _do(self, step: Step) -> None:
        arguments = {**step.arguments, "operation": self._operation_id}
        self._stepper.kinds[step.kind].do(replace(step, arguments=arguments))

    def _settle(self, begun: _Begun, act: Callable[[], None]) -> None:
        """Take note of what came of the action."""
        try:
            act()
            begun.obstacle = ""
        except Unreachable as error:
            begun.acted, begun.obstacle = False, error.message
            begun.act_again_at = self._stepper.clock.monotonic() + RETRY_SECONDS
        except ConsoleError as error:
            raise StepFailed(begun.step, error.message) from error
        except (ValueError, TypeError, KeyError, OSError) as error:
            raise StepFailed(begun.step, f"{type(error).__name__}: {error}") from error
