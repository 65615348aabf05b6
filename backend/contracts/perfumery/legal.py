"""
Bring any composition within the limits, changing as little as that takes.

The judge in :mod:`backend.contracts.perfumery.judge` shares no code with this module: a
mistake here is found there.
"""

from __future__ import annotations

from collections.abc import Mapping

from backend.contracts.perfumery.ifra import LIMITS, PROHIBITED
from backend.contracts.perfumery.materials import CARRIER, MATERIALS

_TRACE_PERCENT = 1e-9
"""Shares below this are left out: no formula can be weighed that finely."""

_MARGIN = 1e-6
"""Relative distance kept from each limit, so that rounding cannot cross it."""


_RESTRICTED = frozenset(member for limit in LIMITS.values() for member in limit.members)


def is_unrestricted(material_id: str) -> bool:
    """Tell whether neither the material nor any of its constituents has a limit."""
    return material_id not in _RESTRICTED and _RESTRICTED.isdisjoint(
        MATERIALS[material_id].constituents
    )


def project_to_legal(composition: Mapping[str, float], dosage_percent: float) -> dict[str, float]:
    """
    Scale contributors down to every limit and give the freed share to free materials.

    Scaling a material down can only lower the other sums, so one pass over the limits
    is enough.  What is freed goes, in proportion, to materials of the composition that
    carry nothing restricted, which at most double, and beyond that to the odourless
    carrier: a trace must not become the formula.

    Args:
        composition: Share by material id; any positive total, negative shares count as 0.
        dosage_percent: Share of the concentrate in the finished product, percent.
    Returns:
        Percent of the concentrate by material id, summing to 100; prohibited and unknown
        materials are gone; nothing usable gives pure carrier.
    Raises:
        ValueError: If the dosage is not above 0 and at most 100.
    """
    if not 0 < dosage_percent <= 100:
        raise ValueError(f"dosage must be above 0 and at most 100 percent, not {dosage_percent}")
    shares = {
        id_: share
        for id_, share in composition.items()
        if share > 0 and id_ in MATERIALS and id_ not in PROHIBITED
    }
    total = sum(shares.values())
    if total <= 0:
        return {CARRIER: 100.0}
    shares = {id_: 100.0 * share / total for id_, share in shares.items()}
    shares = {id_: share for id_, share in shares.items() if share > _TRACE_PERCENT}
    for limit in LIMITS.values():
        allowed = limit.max_percent * 100.0 / dosage_percent * (1 - _MARGIN)
        contents = {id_: _content(id_, limit.members) for id_ in shares}
        present = sum(shares[id_] * content for id_, content in contents.items())
        if present > allowed:
            factor = allowed / present
            for id_, content in contents.items():
                if content > 0:
                    shares[id_] *= factor
    freed = max(0.0, 100.0 - sum(shares.values()))
    free = [id_ for id_ in shares if is_unrestricted(id_)]
    free_total = sum(shares[id_] for id_ in free)
    growth = min(1.0, freed / free_total) if free_total > 0 else 0.0
    for id_ in free:
        shares[id_] *= 1.0 + growth
    rest = freed - growth * free_total
    if rest > _TRACE_PERCENT:
        shares[CARRIER] = shares.get(CARRIER, 0.0) + rest
    return shares


def _content(material_id: str, members: tuple[str, ...]) -> float:
    """Return which fraction of the material counts towards a limit, 0 to 1."""
    own = 1.0 if material_id in members else 0.0
    constituents = MATERIALS[material_id].constituents
    return own + sum(constituents.get(member, 0.0) for member in members) / 100.0
