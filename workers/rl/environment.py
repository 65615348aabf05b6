"""
The environment: many formulas changed at once, each kept legal and scored.

A state is a composition over a fixed list of ingredients, with the odour families asked
for, the dosage and the steps left; an action changes shares by factors.  The score is
the cosine to what is asked for, minus penalties for a lopsided pyramid, cost and
number of ingredients.  It models neither the odour of a mixture nor its safety, and its
way to legality shares no code with the judge that has the last word.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.contracts.perfumery import CARRIER, FAMILIES, LIMITS, MATERIALS, PROHIBITED, Note

Array = NDArray[np.float64]

EPISODE_STEPS = 16
ACTION_SCALE = 0.7
"""Largest change of the logarithm of a share in one step: a factor of two."""

START_NOISE = 0.3
"""Standard deviation of the logarithms at the start of an episode."""

TRACE_PERCENT = 0.5
"""Share that every ingredient has at least at the start of an episode."""

MARGIN = 1e-6
"""Relative distance kept from every limit, against rounding."""

PRESENT_PERCENT = 0.1
"""A smaller share does not count as an ingredient."""

PYRAMID_PERCENT = {Note.TOP: 25.0, Note.HEART: 35.0, Note.BASE: 40.0}
PYRAMID_WEIGHT = 0.3
COST_WEIGHT = 0.2
COUNT_WEIGHT = 0.1
COUNT_FREE = 12
"""Ingredients that cost nothing in the score."""


@dataclass(frozen=True, slots=True)
class Problem:
    """
    What is to be optimised.

    Args:
        ingredients: Material ids, without the carrier, which is always added.
        start: Percent of the concentrate by ingredient, carrier last; sums to 100.
        target: Odour families asked for, in the contract's order, length 1.
        dosage_percent: Share of the concentrate in the finished product.
        reference_cost: Euro per kilogram up to which cost is not penalised.
    """

    ingredients: tuple[str, ...]
    start: tuple[float, ...]
    target: tuple[float, ...]
    dosage_percent: float
    reference_cost: float

    def __post_init__(self) -> None:
        if len(self.start) != len(self.ingredients) + 1:
            raise ValueError("the start needs a share for every ingredient and the carrier")
        if len(self.target) != len(FAMILIES):
            raise ValueError(f"the target needs {len(FAMILIES)} families")
        if not 0 < self.dosage_percent <= 100:
            raise ValueError("the dosage must be above 0 and at most 100 percent")
        for id_ in self.ingredients:
            if id_ not in MATERIALS or id_ == CARRIER or id_ in PROHIBITED:
                raise ValueError(f"{id_} is no ingredient to optimise with")


class Chemistry:
    """
    The palette of a problem as matrices, for any number of compositions at once.

    Every method takes percent of the concentrate with shape (compositions, ingredients),
    the carrier last.
    """

    def __init__(self, problem: Problem) -> None:
        self.ids = (*problem.ingredients, CARRIER)
        materials = [MATERIALS[id_] for id_ in self.ids]
        self._families = np.array(
            [[material.families.get(name, 0.0) for name in FAMILIES] for material in materials]
        )
        self._prices = np.array([material.price_per_kg for material in materials])
        self._notes = np.array(
            [[1.0 if material.note is note else 0.0 for note in Note] for material in materials]
        )
        self._notes[-1] = 0.0  # the carrier has no place in the pyramid
        self._wanted_notes = np.array([PYRAMID_PERCENT[note] / 100.0 for note in Note])
        self._target = np.asarray(problem.target)
        self._reference_cost = max(problem.reference_cost, 1e-9)
        contents = np.array(
            [[_counted(id_, limit.members) for id_ in self.ids] for limit in LIMITS.values()]
        )
        relevant = contents.any(axis=1)
        self._contents = contents[relevant]
        allowed = np.array([limit.max_percent for limit in LIMITS.values()])[relevant]
        self._allowed = allowed * 100.0 / problem.dosage_percent * (1 - MARGIN)
        self._free: NDArray[np.bool_] = np.asarray(~self._contents.any(axis=0), dtype=np.bool_)
        self._free[-1] = False  # only where nothing else can take what a limit frees

    def legalised(self, shares: Array) -> Array:
        """Return the nearest compositions within every limit, each summing to 100."""
        shares = np.maximum(shares, 0.0)
        totals = shares.sum(axis=1, keepdims=True)
        empty = totals[:, 0] <= 0
        shares = np.where(empty[:, None], 0.0, 100.0 * shares / np.where(totals > 0, totals, 1.0))
        for content, allowed in zip(self._contents, self._allowed, strict=True):
            present = shares @ content
            factor = np.where(present > allowed, allowed / np.maximum(present, 1e-300), 1.0)
            shares = np.where(content > 0, shares * factor[:, None], shares)
        freed = 100.0 - shares.sum(axis=1)
        takers = np.where(self._free, shares, 0.0)
        taker_totals = takers.sum(axis=1)
        has_takers = taker_totals > 0
        growth = np.where(has_takers, freed / np.where(has_takers, taker_totals, 1.0), 0.0)
        shares = shares + takers * growth[:, None]
        shares[:, -1] += np.where(has_takers, 0.0, freed)
        return shares

    def scores(self, shares: Array) -> Array:
        """Return how good each composition is; 1 would be perfect."""
        profiles = shares @ self._families
        lengths = np.linalg.norm(profiles, axis=1) * np.linalg.norm(self._target)
        cosines = (profiles @ self._target) / np.where(lengths > 0, lengths, 1.0)
        by_note = shares @ self._notes
        odorous = by_note.sum(axis=1, keepdims=True)
        by_note = by_note / np.where(odorous > 0, odorous, 1.0)
        lopsided = np.abs(by_note - self._wanted_notes).sum(axis=1) / 2.0
        dear = np.clip((shares @ self._prices) / 100.0 / self._reference_cost - 1.0, 0.0, 1.0)
        many = np.maximum((shares[:, :-1] > PRESENT_PERCENT).sum(axis=1) - COUNT_FREE, 0)
        crowded = many / max(1, len(self.ids) - 1 - COUNT_FREE)
        penalty = PYRAMID_WEIGHT * lopsided + COST_WEIGHT * dear + COUNT_WEIGHT * crowded
        result: Array = cosines - penalty
        return result


class FormulaEnvironment:
    """
    A batch of formulas, stepped together.

    Args:
        problem: What is optimised.
        copies: Formulas in the batch.
        seed: Of the noise at the start of episodes.
    """

    def __init__(self, problem: Problem, copies: int, seed: int) -> None:
        self.problem = problem
        self.chemistry = Chemistry(problem)
        self.copies = copies
        self.rng = np.random.Generator(np.random.PCG64(seed))
        self.shares: Array = np.zeros((copies, len(self.chemistry.ids)))
        self.steps_left = np.zeros(copies, dtype=np.int64)
        start = self.chemistry.legalised(np.array([problem.start]))
        self.start_score = float(self.chemistry.scores(start)[0])
        self.best_shares: Array = start[0]
        self.best_score = self.start_score

    @property
    def observation_size(self) -> int:
        """Length of one observation."""
        return len(self.chemistry.ids) + len(FAMILIES) + 2

    @property
    def action_size(self) -> int:
        """Length of one action: one figure per ingredient, the carrier included."""
        return len(self.chemistry.ids)

    def reset(self) -> NDArray[np.float32]:
        """Begin an episode in every copy."""
        self._begin(np.ones(self.copies, dtype=bool))
        return self.observations()

    def step(
        self, actions: NDArray[np.floating]
    ) -> tuple[NDArray[np.float32], Array, NDArray[np.bool_]]:
        """
        Change every formula once; copies whose episode ends begin a new one.

        Args:
            actions: Shape (copies, action size), each figure from -1 to 1.

        Returns:
            Observations (of the new episode where one ended), rewards, and which ended.
        """
        factors = np.exp(ACTION_SCALE * np.clip(np.asarray(actions, dtype=np.float64), -1.0, 1.0))
        self.shares = self.chemistry.legalised(self.shares * factors)
        rewards = self.chemistry.scores(self.shares)
        best = int(np.argmax(rewards))
        if rewards[best] > self.best_score:
            self.best_score = float(rewards[best])
            self.best_shares = self.shares[best].copy()
        self.steps_left -= 1
        ended: NDArray[np.bool_] = self.steps_left <= 0
        if ended.any():
            self._begin(ended)
        return self.observations(), rewards, ended

    def observations(self) -> NDArray[np.float32]:
        """Return what an agent sees: shares, target, dosage, steps left, all 0 to 1."""
        target = np.broadcast_to(np.asarray(self.problem.target), (self.copies, len(FAMILIES)))
        dosage = np.full((self.copies, 1), self.problem.dosage_percent / 100.0)
        left = self.steps_left[:, None] / EPISODE_STEPS
        seen = np.concatenate([self.shares / 100.0, target, dosage, left], axis=1)
        return seen.astype(np.float32)

    def _begin(self, which: NDArray[np.bool_]) -> None:
        count = int(which.sum())
        noise = self.rng.normal(0.0, START_NOISE, size=(count, len(self.chemistry.ids)))
        # Factors cannot bring back what is absent, so every ingredient begins with a trace.
        begun = (np.asarray(self.problem.start) + TRACE_PERCENT) * np.exp(noise)
        self.shares[which] = self.chemistry.legalised(begun)
        self.steps_left[which] = EPISODE_STEPS


def composition_of(chemistry_ids: Sequence[str], shares: Array) -> dict[str, float]:
    """Name the shares of one composition; what is too small to count is left out."""
    return {
        id_: float(percent)
        for id_, percent in zip(chemistry_ids, shares, strict=True)
        if percent > PRESENT_PERCENT / 10
    }


def _counted(material_id: str, members: tuple[str, ...]) -> float:
    """Return the fraction of a material that counts towards a limit on *members*."""
    constituents = MATERIALS[material_id].constituents
    inside = sum(percent for name, percent in constituents.items() if name in members) / 100.0
    return inside + (1.0 if material_id in members else 0.0)
