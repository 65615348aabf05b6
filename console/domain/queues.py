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
    """

    name: str
    depth: int | None
    in_flight: int | None
    oldest_age_seconds: float | None
    arrived_per_second: float | None
    completed_per_second: float | None
    workers: int | None
    busy_average: float | None = None


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
