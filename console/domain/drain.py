"""Whether a queue drains, when, and what would make it: the words of screen and command."""

from __future__ import annotations

import math
from dataclasses import dataclass

from console.domain.demand import load_of
from console.domain.policy import Policy
from console.domain.queues import Queue
from console.domain.services import Service
from console.domain.triggers import seconds as time_words

#: What takes longer than this to drain gets an answer to "and with more workers?".
PATIENCE_SECONDS = 600.0
#: Workers are not added beyond this where no policy says how many there may be.
_MOST_MORE = 50
#: A backlog that changes by less than this in a minute stands still.
_STILL_PER_MINUTE = 0.5


@dataclass(frozen=True, slots=True)
class Drain:
    """
    The answer for one queue.

    Args:
        words: In how long it is empty, or why not.
        seconds: Until it is empty if nothing changes; inf never, None unknown.
        stuck: Whether it does not drain by itself.
        known: Whether that can be told.
        help: What more workers would do, "" where that is no question or cannot be told.
    """

    words: str
    seconds: float | None = None
    stuck: bool = False
    known: bool = True
    help: str = ""


def drain_of(queue: Queue, services: tuple[Service, ...], policy: Policy) -> Drain:
    """
    Tell whether *queue* drains, at the rates of the last 60 s.

    Work gets done at the completion rate while more arrives, so the backlog shrinks by
    the difference.

    Args:
        queue: The queue.
        services: Those that work on it.
        policy: How many workers there may be.
    """
    if queue.depth is None:
        return Drain("how much waits is unknown", known=False)
    if queue.depth == 0:
        return Drain("nothing waits", 0.0)
    arrived, completed = queue.arrived_per_second, queue.completed_per_second
    if queue.workers == 0:
        words = "never: no worker takes them"
        return Drain(words, math.inf, stuck=True, help=_started(services))
    if arrived is None or completed is None:
        return Drain("how fast they drain is not known yet", known=False)
    shrinks = completed - arrived
    more = _with_more(queue, services, policy)
    if shrinks * 60 >= _STILL_PER_MINUTE:
        seconds = queue.depth / shrinks
        slow = seconds > PATIENCE_SECONDS
        return Drain(
            f"drained in about {time_words(_coarse(seconds))}", seconds, help=more if slow else ""
        )
    if shrinks * 60 > -_STILL_PER_MINUTE:
        words = "nothing completes" if completed == 0 else "it neither grows nor shrinks"
        return Drain(f"{words}: never at this rate", math.inf, stuck=True, help=more)
    words = f"grows by {-shrinks * 60:.0f}/min: never at this rate"
    return Drain(words, math.inf, stuck=True, help=more)


def _started(services: tuple[Service, ...]) -> str:
    if services and all(service.desired == 0 for service in services):
        return f"{services[0].name} is at 0: 1 worker to begin with"
    return ""


def _with_more(queue: Queue, services: tuple[Service, ...], policy: Policy) -> str:
    """Say how few more workers drain it soon, or what as many as there may be would do."""
    if len(services) != 1:
        return ""
    service = services[0]
    load = load_of(service, queue)
    if load is None or (each := load.task_seconds) is None:
        return "what more workers would do cannot be told: how long a task takes is not known"
    bounds = policy.bounds(service.name, service.role)
    most = _MOST_MORE if bounds is None else max(0, bounds.maximum - len(service.replicas))
    if most == 0 or service.single:
        return "no more workers are allowed: " + (service.single or f"{service.name} is at its "
                                                  "maximum")  # fmt: skip
    shrinks = load.completed - load.arrived
    for more in range(1, most + 1):
        rate = shrinks + more * load.places / each
        if rate > 0 and (load.depth / rate <= PATIENCE_SECONDS or more == most):
            workers = "1 more worker" if more == 1 else f"{more} more workers"
            return f"{workers} would drain it in {time_words(load.depth / rate)}"
    return f"even {most} more workers, the most the policy allows, would not drain it"


def _coarse(seconds: float) -> float:
    """Round an estimate to what it is worth: 5 s."""
    return max(5.0, round(seconds / 5) * 5.0)
