"""
The triggers of one service: each figure against its limit, in words.

A figure that is not fresh is unknown, and unknown is never calm.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from console.domain.policy import Policy, ScaleTriggers
from console.domain.queues import Queue
from console.domain.services import Role, Service
from console.domain.snapshot import Snapshot


class TriggerState(StrEnum):
    """Whether one figure calls for more replicas."""

    FIRES = "fires"
    CALM = "calm"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Trigger:
    """
    One figure against its limit.

    Args:
        name: Field of :class:`console.domain.policy.ScaleTriggers`.
        value: Measured, in *unit*; None is unknown (or nothing to measure: see *state*).
        threshold: Above this it fires.
        unit: ``seconds``, ``ratio``, ``requests`` or ``tasks``.
        state: Fires, calm or unknown.
        words: For the operator, with the limit: ``120 tasks wait (limit 50)``.
        short: The same without it.
    """

    name: str
    value: float | None
    threshold: float
    unit: str
    state: TriggerState
    words: str
    short: str


def service_queue(service: Service, snapshot: Snapshot) -> Queue | None:
    """Return the queue that *service* takes its tasks from, None where it has or shows none."""
    name = service.labels.get("console.queue")
    return next((q for q in snapshot.queues if q.name == name), None)


def average_wait_seconds(queue: Queue) -> float | None:
    """
    Return how long the tasks in *queue* wait on average before they start.

    Little's law, depth ÷ completion rate, and never more than the oldest has waited,
    which bounds what a calm minute before a burst would make of it.

    Returns:
        Seconds, 0 when nothing waits, None when neither is known.
    """
    if queue.depth == 0:
        return 0.0
    oldest, rate = queue.oldest_age_seconds, queue.completed_per_second
    by_rate = queue.depth / rate if queue.depth is not None and rate else None
    known = [seconds for seconds in (oldest, by_rate) if seconds is not None]
    return min(known, default=None)


def read_triggers(service: Service, snapshot: Snapshot, policy: Policy) -> tuple[Trigger, ...]:
    """Return every trigger that is set for *service*, in a fixed order."""
    return measure(service, snapshot, policy.triggers(service.name, service.role))


def measure(service: Service, snapshot: Snapshot, limits: ScaleTriggers) -> tuple[Trigger, ...]:
    """Return each figure of *service* that *limits* limits, in a fixed order."""
    found: list[Trigger] = []
    for name, read in _READERS.items():
        threshold: float | None = getattr(limits, name)
        if threshold is not None:
            found.append(read(service, snapshot, threshold))
    return tuple(found)


def _p95(service: Service, snapshot: Snapshot, threshold: float) -> Trigger:
    metrics = snapshot.metrics
    value = metrics.p95_seconds if _measures_requests(service, snapshot) else None
    if value is None and _measures_requests(service, snapshot) and metrics.request_rate == 0:
        words = "nothing was asked in 60 s"
        return Trigger("p95_seconds", None, threshold, "seconds", TriggerState.CALM, words, words)
    return _judge("p95_seconds", value, threshold, "seconds", lambda v: f"p95 {seconds(v)}", "p95")


def _requests(service: Service, snapshot: Snapshot, threshold: float) -> Trigger:
    value = snapshot.metrics.requests_in_flight if _measures_requests(service, snapshot) else None
    return _judge(
        "requests_in_flight",
        value,
        threshold,
        "requests",
        lambda v: f"{v:.0f} requests in flight",
        "requests in flight",
    )


def _measures_requests(service: Service, snapshot: Snapshot) -> bool:
    """Whether the stack's request figures are fresh and of this service alone."""
    if service.role is not Role.APP or not snapshot.source_is_fresh("metrics"):
        return False
    return sum(s.role is Role.APP for s in snapshot.services) == 1


def _cpu(service: Service, snapshot: Snapshot, threshold: float) -> Trigger:
    value = service.cpu_ratio if snapshot.source_is_fresh("runtime") else None
    return _judge("cpu_ratio", value, threshold, "ratio", lambda v: f"CPU {percent(v)}", "CPU")


def _depth(service: Service, snapshot: Snapshot, threshold: float) -> Trigger:
    queue = service_queue(service, snapshot) if snapshot.source_is_fresh("broker") else None
    value = None if queue is None or queue.depth is None else float(queue.depth)
    return _judge(
        "queue_depth", value, threshold, "tasks", lambda v: f"{v:.0f} tasks wait", "queue"
    )


def _wait(service: Service, snapshot: Snapshot, threshold: float) -> Trigger:
    queue = service_queue(service, snapshot) if snapshot.source_is_fresh("broker") else None
    value = None if queue is None or queue.depth is None else average_wait_seconds(queue)
    return _judge(
        "wait_seconds", value, threshold, "seconds", lambda v: f"wait {seconds(v)}", "wait"
    )


_READERS: dict[str, Callable[[Service, Snapshot, float], Trigger]] = {
    "queue_depth": _depth,
    "wait_seconds": _wait,
    "p95_seconds": _p95,
    "requests_in_flight": _requests,
    "cpu_ratio": _cpu,
}


def _judge(
    name: str,
    value: float | None,
    threshold: float,
    unit: str,
    tell: Callable[[float], str],
    noun: str,
) -> Trigger:
    if value is None:
        words = f"{noun} unknown"
        return Trigger(name, None, threshold, unit, TriggerState.UNKNOWN, words, words)
    state = TriggerState.FIRES if value > threshold else TriggerState.CALM
    short = tell(value)
    return Trigger(
        name, value, threshold, unit, state, f"{short} (limit {figure(threshold, unit)})", short
    )


def figure(value: float | None, unit: str) -> str:
    """Return a trigger's value as an operator reads it."""
    if value is None:
        return "unknown"
    if unit == "seconds":
        return seconds(value)
    return percent(value) if unit == "ratio" else f"{value:.0f}"


def seconds(value: float) -> str:
    """Return a time: milliseconds below one second, minutes from two on."""
    if 0 < value < 1:
        return f"{1000 * value:.0f} ms"
    if value < 120:
        return f"{value:.1f} s".replace(".0 s", " s") if value < 10 else f"{value:.0f} s"
    return f"{value / 60:.0f} min"


def percent(ratio: float) -> str:
    """Return a share in whole percent."""
    return f"{100 * ratio:.0f} %"


def in_state(triggers: tuple[Trigger, ...], state: TriggerState) -> Iterator[Trigger]:
    """Yield those in *state*."""
    return (trigger for trigger in triggers if trigger.state is state)
