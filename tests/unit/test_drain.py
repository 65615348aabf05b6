"""Whether a queue drains, when, and how many more workers would make it."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from console.domain.drain import drain_of
from console.domain.policy import Policy, ScalePolicy
from console.domain.queues import Queue
from tests.fakes import pictures

POLICY = Policy(scale={"worker-llm": ScalePolicy(minimum=0, maximum=4)})
_LLM = pictures.services()[1]
#: Two workers with two places each.
LLM = replace(_LLM, replicas=tuple(replace(r, task_slots=2) for r in _LLM.replicas))


def queue(**changes: object) -> Queue:
    made = Queue("llm", 120, 4, 60.0, 1.0, 0.8, 2, busy_average=4.0)
    return replace(made, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "grows by 12/min: never at this rate"),
        ({"completed_per_second": 1.0}, "it neither grows nor shrinks: never at this rate"),
        ({"completed_per_second": 0.0, "arrived_per_second": 0.0},
         "nothing completes: never at this rate"),
        ({"completed_per_second": 2.0}, "drained in about 2 min"),
        ({"depth": 0}, "nothing waits"),
        ({"depth": None}, "how much waits is unknown"),
        ({"arrived_per_second": None}, "how fast they drain is not known yet"),
        ({"workers": 0}, "never: no worker takes them"),
    ],
)  # fmt: skip
def test_what_is_said(changes: dict[str, object], words: str) -> None:
    assert drain_of(queue(**changes), (LLM,), POLICY).words == words


def test_more_workers_are_asked_for_as_few_as_drain_it_soon() -> None:
    # A task takes 4 ÷ 0.8 = 5 s: each more worker takes 2 ÷ 5 s = 0.4 a second more.
    drain = drain_of(queue(), (LLM,), POLICY)
    assert math.isinf(drain.seconds or 0)
    assert drain.stuck
    assert drain.help == "1 more worker would drain it in 10 min"
    more = drain_of(queue(depth=240), (LLM,), POLICY)
    assert more.help == "2 more workers would drain it in 7 min"


def test_what_the_policy_allows_may_not_be_enough() -> None:
    drain = drain_of(queue(arrived_per_second=9.0), (LLM,), POLICY)
    assert drain.help == "even 2 more workers, the most the policy allows, would not drain it"
    narrow = Policy(scale={"worker-llm": ScalePolicy(minimum=0, maximum=2)})
    assert "at its maximum" in drain_of(queue(), (LLM,), narrow).help


def test_without_the_time_of_a_task_nothing_is_promised() -> None:
    still = queue(completed_per_second=0.0)
    assert "is not known" in drain_of(still, (LLM,), POLICY).help
    assert drain_of(queue(), (), POLICY).help == ""


def test_what_drains_soon_needs_no_help() -> None:
    assert drain_of(queue(completed_per_second=2.0), (LLM,), POLICY).help == ""
