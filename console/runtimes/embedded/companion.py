"""Keeps the agent running, as the agent keeps the supervisor running."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from console.runtimes.embedded.layout import Layout
from console.runtimes.embedded.rotation import open_log
from console.runtimes.embedded.specs import Companion
from console.runtimes.locks import is_locked

LOOK_EVERY_SECONDS = 1.0
LONGEST_BACKOFF_SECONDS = 30.0


class CompanionKeeper:
    """
    Starts the companion whenever its lock is free.

    It lives apart: its own session and no death signal, because it is the one
    who starts the supervisor again.

    Args:
        companion: What to keep.
        layout: Where its output goes.
    """

    def __init__(self, companion: Companion, layout: Layout) -> None:
        self._companion = companion
        self._layout = layout
        self._next_at = 0.0
        self._backoff = LOOK_EVERY_SECONDS

    def look(self, now: float) -> float:
        """Start it when it is missing; return when to look again."""
        if now < self._next_at:
            return self._next_at
        if is_locked(Path(self._companion.lock)):
            self._backoff = LOOK_EVERY_SECONDS
            self._next_at = now + LOOK_EVERY_SECONDS
            return self._next_at
        log = open_log(self._layout.log("agent"))
        try:
            process = subprocess.Popen(
                self._companion.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self._companion.directory,
                start_new_session=True,
            )
            process.returncode = 0  # reaped with all other children
        finally:
            os.close(log)
        # Time to take its lock before it is judged missing again.
        self._next_at = now + self._backoff
        self._backoff = min(2 * self._backoff, LONGEST_BACKOFF_SECONDS)
        return self._next_at
