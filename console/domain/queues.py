"""Queues: depth, waiting time, and whether they drain."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Queue:
    """
    One queue in a snapshot.

    ``depth`` is what waits in the broker, priority lists included and in-flight
    excluded; rates are averages over 60 s, completions counting failures too, because
    they leave the queue alike; None is unknown.  ``busy_average`` is how many tasks its
    workers were working on, by their own word, on average over 60 s.
    ``failed_per_second`` is the part of the completions that failed.
    """

    name: str
    depth: int | None
    in_flight: int | None
    oldest_age_seconds: float | None
    arrived_per_second: float | None
    completed_per_second: float | None
    workers: int | None
    busy_average: float | None = None
    failed_per_second: float | None = None

    @property
    def seconds_per_task(self) -> float | None:
        """How long one task takes: tasks under way ÷ completions (Little's law)."""
        if self.busy_average is None or not self.completed_per_second:
            return None
        return self.busy_average / self.completed_per_second


def estimate_wait_seconds(backlog: int, completed_per_second: float) -> float:
    """
    Estimate how long a task enqueued now waits before it starts.

    Little's law, W = L / λ; assumes the completion rate holds.

    Args:
        backlog: Tasks waiting in the broker, in-flight excluded.
        completed_per_second: Completions per second, averaged over the window.

    Returns:
        Seconds; ``math.inf`` when something waits and nothing completes.

    Raises:
        ValueError: If *backlog* or the rate is negative.
    """
    if backlog < 0 or completed_per_second < 0:
        raise ValueError("backlog and completion rate cannot be negative")
    if backlog == 0:
        return 0.0
    return backlog / completed_per_second if completed_per_second else math.inf
