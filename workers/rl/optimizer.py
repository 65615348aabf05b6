"""
From a stored formula to a better one: pose the problem, search, bring home, judge.

What is asked for are the odour families of the brief that the formula answered, or,
where it has none, its own; candidates are its ingredients and those closest to the
target.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from backend.contracts.embedding import family_target
from backend.contracts.formula import Formula
from backend.contracts.payloads import Method
from backend.contracts.perfumery import (
    CARRIER,
    FAMILIES,
    MATERIALS,
    PROHIBITED,
    Note,
    Verdict,
    check_formula,
    cost_per_kg,
    family_profile,
    project_to_legal,
)
from workers.rl.checkpoint import Checkpoint
from workers.rl.environment import Problem, composition_of
from workers.rl.genetic import evolve
from workers.rl.search import Found, Observer
from workers.vectors import cosine

CANDIDATES_PER_NOTE = 2


class Unsolvable(ValueError):
    """The formula cannot be optimised; the message says why."""


@dataclass(frozen=True, slots=True)
class Task:
    """
    A problem with where its target comes from.

    Args:
        problem: For the environment.
        target_source: ``brief`` or ``own profile``.
    """

    problem: Problem
    target_source: str


@dataclass(frozen=True, slots=True)
class Improved:
    """
    The outcome of an optimisation.

    Args:
        formula: Legal at its dosage; the original where nothing better was met.
        verdict: The independent judge's.
        origin: Method, steps, scores before and after.
    """

    formula: Formula
    verdict: Verdict
    origin: dict[str, Any]


def pose(formula: Formula, brief: str | None) -> Task:
    """
    Make the problem of a formula.

    Args:
        formula: What to improve.
        brief: What it was to answer; None where that is not known.

    Raises:
        Unsolvable: If the formula smells of nothing.
    """
    composition = formula.composition()
    asked = family_target(brief) if brief else None
    target = asked or _unit(family_profile(composition))
    if target is None:
        raise Unsolvable("the formula has no odour to optimise")
    own = [
        id_ for id_ in composition if id_ in MATERIALS and id_ != CARRIER and id_ not in PROHIBITED
    ]
    ingredients = (*own, *_candidates(target, set(own)))
    start = [composition.get(id_, 0.0) for id_ in (*ingredients, CARRIER)]
    problem = Problem(
        ingredients=ingredients,
        start=tuple(start),
        target=target,
        dosage_percent=formula.dosage_percent,
        reference_cost=cost_per_kg({id_: composition[id_] for id_ in own}),
    )
    return Task(problem, "brief" if asked else "own profile")


def optimise(
    formula: Formula,
    brief: str | None,
    *,
    method: Method,
    steps: int,
    batch: int,
    seed: int,
    observer: Observer,
    resume: Checkpoint | None,
) -> Improved:
    """
    Improve a formula.

    Args:
        formula: What to improve.
        brief: What it was to answer.
        method: How to search.
        steps: Environment steps (ppo) or generations (genetic).
        batch: Copies of the environment, or individuals.
        seed: Makes the search reproducible.
        observer: Told while it runs.
        resume: Where an earlier run stopped.

    Raises:
        Unsolvable: If there is nothing to optimise, or the judge refuses the outcome.
    """
    task = pose(formula, brief)
    found = _search(task.problem, method, steps, batch, seed, observer, resume)
    composition = composition_of((*task.problem.ingredients, CARRIER), found.shares)
    legal = project_to_legal(composition, formula.dosage_percent)
    better = Formula.from_composition(formula.name, legal, formula.dosage_percent)
    verdict = check_formula(better)
    if not verdict.legal:
        raise Unsolvable(f"the judge refused the outcome: {verdict.violations[0].message}")
    origin = {
        "method": method.value,
        "steps": steps,
        "brief": brief,
        "target": task.target_source,
        "score_before": round(found.start_score, 4),
        "score_after": round(found.score, 4),
        "improved": found.score > found.start_score,
        "cosine": round(cosine(task.problem.target, family_profile(better.composition())), 4),
        "figures": {name: round(value, 6) for name, value in found.figures.items()},
    }
    return Improved(better, verdict, origin)


def _search(
    problem: Problem,
    method: Method,
    steps: int,
    batch: int,
    seed: int,
    observer: Observer,
    resume: Checkpoint | None,
) -> Found:
    if method is Method.GENETIC:
        return evolve(
            problem,
            generations=steps,
            population=batch,
            seed=seed,
            observer=observer,
            resume=resume,
        )
    from workers.rl.training import train  # torch; the genetic search needs none

    return train(problem, steps=steps, copies=batch, seed=seed, observer=observer, resume=resume)


def _candidates(target: tuple[float, ...], taken: set[str]) -> list[str]:
    """Name the closest materials of each place in the pyramid that are not in the formula."""
    chosen: list[str] = []
    for note in Note:
        close = sorted(
            (
                (_closeness(material.families, target), id_)
                for id_, material in MATERIALS.items()
                if material.note is note and id_ not in taken and id_ != CARRIER
            ),
            reverse=True,
        )
        chosen += [id_ for _, id_ in close[:CANDIDATES_PER_NOTE]]
    return chosen


def _closeness(weights: Mapping[str, float], target: tuple[float, ...]) -> float:
    return cosine([weights.get(name, 0.0) for name in FAMILIES], target)


def _unit(vector: tuple[float, ...]) -> tuple[float, ...] | None:
    length = math.hypot(*vector)
    return tuple(value / length for value in vector) if length > 0 else None
