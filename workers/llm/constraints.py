"""
Bring a model's draft within what the brief and the law allow.

Nothing is added that the model did not write, with one exception that the contract
itself makes: share freed by a limit may go to the odourless carrier.
"""

from __future__ import annotations

from dataclasses import dataclass

from backend.contracts.formula import Formula
from backend.contracts.perfumery import (
    MATERIALS,
    Verdict,
    check_formula,
    cost_per_kg,
    find_material,
    project_to_legal,
)
from workers.llm.parser import MIN_INGREDIENTS, Draft

_PRICE_STEPS = 20


class Unacceptable(ValueError):
    """A draft cannot be made to fit; the message says why."""


@dataclass(frozen=True, slots=True)
class Constraints:
    """
    What the brief demands besides its words.

    Args:
        max_price: Euro per kilogram of concentrate; None is no limit.
        exclude: Material ids that must not occur.
    """

    max_price: float | None = None
    exclude: frozenset[str] = frozenset()

    @classmethod
    def of(cls, max_price: float | None, exclude: list[str]) -> Constraints:
        """
        Read the demands of a payload.

        Raises:
            Unacceptable: If something to be excluded is not in the palette.
        """
        ids = set()
        for name in exclude:
            material = find_material(name)
            if material is None:
                raise Unacceptable(f"{name!r} is not in the palette and cannot be excluded")
            ids.add(material.id)
        return cls(max_price, frozenset(ids))


def fit(draft: Draft, constraints: Constraints) -> tuple[Formula, Verdict]:
    """
    Make a legal formula of a draft.

    Args:
        draft: What the model wrote.
        constraints: What the brief demands.

    Returns:
        The formula and the independent judge's verdict on it, which is legal.

    Raises:
        Unacceptable: If too little is left, the price cannot be met, or the judge says no.
    """
    kept = {
        id_: percent for id_, percent in draft.composition.items() if id_ not in constraints.exclude
    }
    if len(kept) < MIN_INGREDIENTS:
        raise Unacceptable("too little is left without the excluded ingredients")
    legal = _affordable(kept, draft.dosage_percent, constraints.max_price)
    formula = Formula.from_composition(draft.name, legal, draft.dosage_percent)
    verdict = check_formula(formula)
    if not verdict.legal:
        raise Unacceptable(verdict.violations[0].message)
    if constraints.exclude & set(formula.composition()):
        raise Unacceptable("an excluded ingredient would be needed as the carrier")
    return formula, verdict


def _affordable(
    composition: dict[str, float], dosage_percent: float, max_price: float | None
) -> dict[str, float]:
    """Cut what is dearer than the price, as little as it takes, and project to legal."""
    legal = project_to_legal(composition, dosage_percent)
    if max_price is None or cost_per_kg(legal) <= max_price:
        return legal
    for step in range(1, _PRICE_STEPS + 1):
        keep = 1.0 - step / _PRICE_STEPS
        cut = {
            id_: percent * (keep if MATERIALS[id_].price_per_kg > max_price else 1.0)
            for id_, percent in composition.items()
        }
        cut = {id_: percent for id_, percent in cut.items() if percent > 0}
        if len(cut) < MIN_INGREDIENTS:
            break
        legal = project_to_legal(cut, dosage_percent)
        if cost_per_kg(legal) <= max_price:
            return legal
    raise Unacceptable(f"the price of at most {max_price:g} per kilogram cannot be met")
