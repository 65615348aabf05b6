"""Asking a program of this host, with a deadline."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from console.domain.text import plain_text

ANSWER_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Said:
    """
    What a program answered.

    Args:
        code: Exit code; None when there is no such program, or it did not end in time.
        out: Standard output, as it came; foreign text.
        problem: In one line why there is no answer; "" when there is one.
        found: Whether there is such a program.
    """

    code: int | None
    out: str = ""
    problem: str = ""
    found: bool = True

    @property
    def ok(self) -> bool:
        """Whether it ended well."""
        return self.code == 0


def run(command: Sequence[str], timeout_seconds: float = ANSWER_SECONDS) -> Said:
    """Run a program and return what it answered; never raises."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_seconds,
            check=False,
            env={**os.environ, "LC_ALL": "C.UTF-8"},
        )
    except subprocess.TimeoutExpired:
        return Said(None, problem=f"no answer within {timeout_seconds:g} s")
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        words = "not found" if missing else plain_text(error.strerror or str(error))
        return Said(None, problem=words, found=not missing)
    lines = (done.stderr or done.stdout).strip().splitlines()
    problem = plain_text(lines[-1], 200) if done.returncode and lines else ""
    return Said(done.returncode, done.stdout, problem or ("failed" if done.returncode else ""))
