"""Running the product's own admin command where a replica runs."""

from __future__ import annotations

from collections.abc import Sequence

from console.domain.plans import Step, require_text
from console.domain.text import plain_text
from console.errors import ConsoleError
from console.ports import Runtime

EXEC_TIMEOUT_SECONDS = 30.0


def execute(runtime: Runtime, step: Step, argument: str) -> None:
    """
    Run the command that *step* has under *argument* in its replica.

    Raises:
        ConsoleError: When it ends with anything but 0.
        Unreachable: When it does not end in time.
    """
    command = step.arguments.get(argument)
    if not isinstance(command, Sequence) or isinstance(command, str):
        raise ValueError(f"step {step.name} has no {argument}")
    words = [str(word) for word in command]
    done = runtime.exec(require_text(step.arguments, "replica"), words, EXEC_TIMEOUT_SECONDS)
    if done.exit_code != 0:
        said = plain_text(done.output[-300:])
        raise ConsoleError(f"{' '.join(words)} ended with {done.exit_code}: {said}")
