"""
One step carried out: observe, act if need be, wait until it is observed.

Nothing is remembered that can be observed, so the same call serves a first run,
a resumed one and an undo.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from console.domain.plans import Observation, Step
from console.domain.questions import WAIT, YES
from console.domain.snapshot import Snapshot
from console.errors import ConsoleError, Unreachable
from console.operations.asking import Asking
from console.ports import Clock, StepKind

#: Pause before a step whose far side did not answer is begun once more, seconds.
RETRY_SECONDS = 2.0


class StepFailed(Exception):
    """A step did not come true; carries the words for the operator."""

    def __init__(self, step: Step, message: str) -> None:
        super().__init__(f"{step.name}: {message}")


@dataclass(frozen=True, slots=True)
class Stepper:
    """
    Carries out single steps.

    Args:
        kinds: Step kinds by name.
        observe: Takes a new snapshot.
        clock: Time.
        poll_seconds: Pause between two looks.
    """

    kinds: Mapping[str, StepKind]
    observe: Callable[[], Snapshot]
    clock: Clock
    poll_seconds: float = 0.25

    def make_true(
        self,
        step: Step,
        operation_id: str,
        check: Callable[[], None],
        asking: Asking | None = None,
    ) -> tuple[bool, str]:
        """
        Make the effect of *step* true, and wait for it.

        An unknown observation neither counts as true nor lets anything be done:
        what cannot be seen is waited for until the timeout, then it fails.

        Args:
            step: What to make true; ``hold_seconds`` among its arguments says how
                long it must stay true without a break.
            operation_id: Given to the step kind as the argument ``operation``.
            check: Called between looks; raises to stop waiting.
            asking: What a person is asked when it has not come true in time.

        Returns:
            False when it was true at the first look and nothing was done or waited
            for; and what was seen in the end.

        Raises:
            StepFailed: When it did not come true in time or cannot be done.
        """
        kind = self.kinds.get(step.kind)
        if kind is None:
            raise StepFailed(step, f"this version knows no step of kind {step.kind!r}")
        hold_seconds = float(step.arguments.get("hold_seconds", 0.0))
        labelled = replace(step, arguments={**step.arguments, "operation": operation_id})
        patience = step.timeout_seconds + hold_seconds
        deadline = self.clock.monotonic()
        if asking is None or not asking.asked_before:
            deadline += patience
        holds_since: float | None = None
        first_look, acted, act_again_at, obstacle = True, False, float("-inf"), ""
        while True:
            seen = self._look(step)
            now = self.clock.monotonic()
            if seen.holds:
                holds_since = now if holds_since is None else holds_since
                held = now - holds_since >= hold_seconds
                if held and (asking is None or asking.settle()):
                    return not first_look or hold_seconds > 0, seen.detail
            else:
                holds_since = None
            if now >= deadline:
                waited = f"not within {step.timeout_seconds:g} s"
                words = obstacle or seen.detail or "it was not seen to come true"
                if asking is None:
                    raise StepFailed(step, f"{waited}: {words}")
                reply = asking.ask(words)
                if reply is not None and reply.word == YES:
                    return True, f"{words}; answered {reply.told}"
                if reply is not None and reply.word == WAIT:
                    deadline = now + patience
                elif reply is not None:
                    raise StepFailed(step, f"{waited}: {words}; answered {reply.told}")
            if seen.holds is False and not seen.coming and not acted and now >= act_again_at:
                try:
                    kind.do(labelled)
                    acted, obstacle = True, ""
                except Unreachable as error:
                    obstacle, act_again_at = error.message, now + RETRY_SECONDS
                except ConsoleError as error:
                    raise StepFailed(step, error.message) from error
                except (ValueError, TypeError, KeyError, OSError) as error:
                    raise StepFailed(step, f"{type(error).__name__}: {error}") from error
            first_look = False
            check()
            self.clock.sleep(self.poll_seconds)

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

    def _look(self, step: Step) -> Observation:
        try:
            return self.look_at(step, self.observe())
        except ConsoleError as error:
            return Observation(None, error.message)
