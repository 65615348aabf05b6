"""
Plans: an operation as data.

A plan is an ordered list of steps of known kinds.  It is made by a pure
``plan_*`` function from one snapshot and one wish, shown to the operator, stored
in the journal and executed by the runner; resuming means running it again.  Its
``undo`` is a plan of the same kind of steps, made in the same breath, so that
going back needs no second mechanism.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeAlias

#: Any JSON value; a recursive alias cannot be decoded by type, so it is open.
Json: TypeAlias = Any


class Risk(StrEnum):
    """What can go wrong for users while the step runs."""

    NONE = "none"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


@dataclass(frozen=True, slots=True)
class Question:
    """
    What a person is asked when a step has not come true in its time.

    Args:
        text: The question; what was seen is told beneath it.
        choices: What each answer does, by its word: ``yes`` counts the step as done,
            ``no`` goes back, ``wait`` (where it is offered) waits as long once more.
        wait_seconds: How long an answer is waited for; without one it is ``no``.
    """

    text: str
    choices: dict[str, str]
    wait_seconds: float


@dataclass(frozen=True, slots=True)
class Step:
    """
    One step of a plan.

    Args:
        name: Unique in the plan and stable, ``start-worker-llm-3``.
        kind: Name of a step kind, ``start_replica``.
        arguments: What the kind needs, plain JSON.
        command: The exact command or action, as text for the operator.
        risk: What can go wrong for users.
        timeout_seconds: Until its observation must hold.
        undoes: In an undo list, the name of the step whose effect it reverts.
        question: Asked when it has not come true in its time; None: it has failed then.
    """

    name: str
    kind: str
    arguments: dict[str, Json] = field(default_factory=dict)
    command: str = ""
    risk: Risk = Risk.LOW
    timeout_seconds: float = 60.0
    undoes: str | None = None
    question: Question | None = None


@dataclass(frozen=True, slots=True)
class ListItem:
    """
    One thing to be seen to before a plan is run.

    Args:
        id: Short and stable, ``status-page``.
        text: What is to be so.
        state: ``open`` (nobody answered), ``unknown`` (the machine cannot tell and says
            why) or ``confirmed`` (by who runs it).
        detail: Why it is unknown.
    """

    id: str
    text: str
    state: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """
    What will be done, in order, and how it is taken back.

    Args:
        verb: ``scale``.
        summary: One line, ``worker-llm 1 → 3``.
        steps: In execution order; names unique.
        undo: The inverse, in execution order.
        warnings: What the operator should weigh before confirming.
        expects: Replica names by service when the plan was made; the runner
            refuses when the world no longer matches.
        wish: The arguments it was planned from, for planning afresh.
        before: Figures when it was planned, by service, to compare with afterwards.
        checklist: What is to be seen to before, with the answers; kept with the operation.
        typed: What has to be typed to confirm it; "" where a yes is enough.
    """

    verb: str
    summary: str
    steps: tuple[Step, ...]
    undo: tuple[Step, ...] = ()
    warnings: tuple[str, ...] = ()
    expects: dict[str, list[str]] = field(default_factory=dict)
    wish: dict[str, Json] = field(default_factory=dict)
    before: dict[str, dict[str, float | None]] = field(default_factory=dict)
    checklist: tuple[ListItem, ...] = ()
    typed: str = ""

    def __post_init__(self) -> None:
        for steps in (self.steps, self.undo):
            names = [step.name for step in steps]
            if len(names) != len(set(names)):
                raise ValueError(f"step names repeat in plan {self.verb}: {names}")


@dataclass(frozen=True, slots=True)
class Observation:
    """
    Whether a step's effect is true now.

    Args:
        holds: True or False; None when it cannot be told (a source is down).
        detail: What was seen, for the operator.
        coming: With False: it is on its way, and all there is to do is wait.
    """

    holds: bool | None
    detail: str = ""
    coming: bool = False


def require_text(arguments: Mapping[str, Json], key: str) -> str:
    """
    Return the text argument *key* of a step.

    Raises:
        ValueError: If it is absent or not a text; a plan of ours always has it,
            so this means a journal written by another version.
    """
    value = arguments.get(key)
    if not isinstance(value, str):
        raise ValueError(f"step argument {key!r} should be text, got {value!r}")
    return value
