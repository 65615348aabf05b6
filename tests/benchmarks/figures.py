"""Figures, and the stack that they are taken on."""

from __future__ import annotations

import math
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.stack import Stack


@dataclass(frozen=True, slots=True)
class Figure:
    """
    One figure: ours, and a peer's from the same run where there is one.

    ``better`` is ``lower`` or ``higher``; values are medians of ``runs`` runs.
    """

    name: str
    ours: float
    unit: str
    runs: int
    better: str = "lower"
    peer: float | None = None
    peer_name: str | None = None
    note: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return the figure as ``bench --json`` gives it."""
        return {
            "name": self.name,
            "ours": self.ours,
            "peer": self.peer,
            "peer_name": self.peer_name,
            "unit": self.unit,
            "ratio": self.ours / self.peer if self.peer else None,
            "better": self.better,
            "runs": self.runs,
            "note": self.note,
        }

    def line(self) -> str:
        """Return the figure as one line for people."""
        peer = f"  {self.peer_name} {self.peer:.3g} {self.unit}" if self.peer is not None else ""
        note = f"  ({self.note})" if self.note else ""
        return f"{self.name:36} {self.ours:8.3g} {self.unit:8}{peer}{note}"


def median_seconds(what: Callable[[], object], runs: int) -> float:
    """Return the median wall time of *runs* calls, after one that is not counted."""
    what()
    times = []
    for _ in range(runs):
        begin = time.perf_counter()
        what()
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def percentile(values: Sequence[float], part: float) -> float:
    """Return the value that *part* (0-1) of *values* do not exceed; the nearest rank."""
    ranked = sorted(values)
    return ranked[max(0, math.ceil(part * len(ranked)) - 1)]


@contextmanager
def running_stack() -> Iterator[Stack]:
    """Give a real embedded stack in a directory of its own, healthy."""
    with tempfile.TemporaryDirectory(prefix="fragrance-bench-") as directory:
        stack = Stack(Path(directory) / "state")
        try:
            started = stack.fragrance("start", "--detach", timeout=180)
            if started.returncode != 0:
                raise RuntimeError(started.stderr)
            yield stack
        finally:
            stack.fragrance("stop", timeout=120)
