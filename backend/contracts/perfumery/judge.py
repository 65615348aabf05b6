"""
Judge a formula against the limits, independently of whoever made it.

Whatever composes or optimises formulas brings them to legal by its own means; this
module answers whether that worked and shares no code with it.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from backend.contracts.perfumery import ifra
from backend.contracts.perfumery.materials import MATERIALS

if TYPE_CHECKING:
    from backend.contracts.formula import Formula

SUM_TOLERANCE_PERCENT = 0.01


@dataclass(frozen=True, slots=True)
class Violation:
    """
    One broken rule.

    Args:
        rule: ``limit``, ``prohibited``, ``unknown-material``, ``sum``, ``share``, ``dosage``.
        subject: Substance, group or material the rule is about; empty for the whole.
        found_percent: What was found: in the finished product for limits, else as given.
        allowed_percent: What is allowed; None where the rule has no figure.
        message: One sentence for a person.
    """

    rule: str
    subject: str
    found_percent: float
    allowed_percent: float | None
    message: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """
    Outcome of the judgement.

    Args:
        legal: True when no rule is broken.
        violations: Every broken rule.
        labels: Substances above the EU label threshold, alphabetical.
        tightest: Highest ratio of found to allowed over all limits; 0 when none applies.
        one_source: Limits applied here whose figure rests on one source.
        source: Where the limits come from, and that a person must check.
    """

    legal: bool
    violations: tuple[Violation, ...]
    labels: tuple[str, ...]
    tightest: float
    one_source: tuple[str, ...]
    source: str = f"{ifra.SOURCE}. {ifra.CHECK_NOTICE}"


def check_formula(formula: Formula, dosage_percent: float | None = None) -> Verdict:
    """
    Judge *formula* at a dosage, its own unless another is given.

    Args:
        formula: What to judge.
        dosage_percent: Share of the concentrate in the finished product, percent.
    Returns:
        The verdict; never raises for a bad formula, that is what violations are for.
    """
    dosage = formula.dosage_percent if dosage_percent is None else dosage_percent
    return check_composition(formula.composition(), dosage)


def check_composition(composition: Mapping[str, float], dosage_percent: float) -> Verdict:
    """Judge percentages of the concentrate by material id; see :func:`check_formula`."""
    violations = _form_violations(composition, dosage_percent)
    in_product: dict[str, float] = defaultdict(float)
    for material_id, percent in composition.items():
        share = percent * dosage_percent / 100.0
        in_product[material_id] += share
        if material_id in MATERIALS:
            for substance, content in MATERIALS[material_id].constituents.items():
                in_product[substance] += share * content / 100.0
    tightest = 0.0
    one_source = []
    for limit in ifra.LIMITS.values():
        found = math.fsum(in_product.get(member, 0.0) for member in limit.members)
        if found <= 0:
            continue
        tightest = max(tightest, found / limit.max_percent)
        if limit.one_source:
            one_source.append(limit.id)
        if found > limit.max_percent:
            sentence = f"{limit.id} is {found:.4g} % of the product, allowed {limit.max_percent} %"
            violations.append(Violation("limit", limit.id, found, limit.max_percent, sentence))
    labels = sorted(
        name
        for name in ifra.EU_LABEL_SUBSTANCES
        if in_product.get(name, 0.0) > ifra.EU_LABEL_THRESHOLD_PERCENT
    )
    return Verdict(not violations, tuple(violations), tuple(labels), tightest, tuple(one_source))


def _form_violations(composition: Mapping[str, float], dosage_percent: float) -> list[Violation]:
    """Return what is wrong before any limit is looked at."""
    broken = []
    if not 0 < dosage_percent <= 100:
        sentence = f"dosage {dosage_percent} % is not above 0 and at most 100"
        broken.append(Violation("dosage", "", dosage_percent, 100.0, sentence))
    for material_id, percent in composition.items():
        if not percent > 0 or math.isinf(percent):
            sentence = f"{material_id} has a share of {percent} %"
            broken.append(Violation("share", material_id, percent, None, sentence))
        if material_id in ifra.PROHIBITED:
            sentence = f"{material_id} is prohibited ({ifra.PROHIBITED[material_id].rule})"
            broken.append(Violation("prohibited", material_id, percent, 0.0, sentence))
        elif material_id not in MATERIALS:
            sentence = f"{material_id} is not in the palette"
            broken.append(Violation("unknown-material", material_id, percent, None, sentence))
    total = math.fsum(composition.values())
    if not abs(total - 100.0) <= SUM_TOLERANCE_PERCENT:
        broken.append(Violation("sum", "", total, 100.0, f"the shares sum to {total:.4g} %"))
    return broken
