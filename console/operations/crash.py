"""
Crash points: die exactly at one boundary of one step, to prove that resuming works.

``FRAGRANCE_CRASH_AT=<step>:<before|after>`` kills the runner with SIGKILL, the
hardest death there is: nothing is flushed, no handler runs.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping

from console.errors import UsageError

VARIABLE = "FRAGRANCE_CRASH_AT"

#: Called with the step's name and ``before`` or ``after`` at each boundary.
CrashPoint = Callable[[str, str], None]


def never(step: str, boundary: str) -> None:
    """Go on."""


def crash_point(environ: Mapping[str, str] | None = None) -> CrashPoint:
    """
    Return the crash point that the environment asks for.

    Raises:
        UsageError: When the variable is set and is not ``<step>:<before|after>``.
    """
    wanted = (os.environ if environ is None else environ).get(VARIABLE, "")
    if not wanted:
        return never
    name, _, when = wanted.rpartition(":")
    if not name or when not in {"before", "after"}:
        raise UsageError(
            f"{VARIABLE} is {wanted!r}", remedy=f"write {VARIABLE}=<step>:<before|after>"
        )

    def crash(step: str, boundary: str) -> None:
        if (step, boundary) == (name, when):
            os.kill(os.getpid(), signal.SIGKILL)

    return crash
