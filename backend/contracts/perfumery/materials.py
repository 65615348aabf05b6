"""
The palette: real materials, and what we assign to them.

Name and CAS number identify the material.  Family weights, descriptors, price, Poucher
coefficient and the typical constituents of natural materials are **our own assignments**
for this product, made by hand and rounded; they are no measurement, no quotation and
copied from no descriptor collection.  The rows are in ``materials.csv``.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib.resources import files
from types import MappingProxyType


class Note(StrEnum):
    """Place in the pyramid, by Poucher coefficient: 1-14, 15-60, 61-100."""

    TOP = "top"
    HEART = "heart"
    BASE = "base"


TOP_MAX, HEART_MAX = 14, 60

FAMILIES = (
    "citrus",
    "aldehydic",
    "green",
    "marine",
    "aromatic",
    "fruity",
    "floral",
    "rosy",
    "spicy",
    "sweet",
    "powdery",
    "balsamic",
    "woody",
    "ambery",
    "musky",
    "mossy",
)
"""Odour families in the order of every family vector."""


@dataclass(frozen=True, slots=True)
class Material:
    """
    One raw material.

    Args:
        id: Stable slug, used in formulas.
        name: Name as a perfumer reads it.
        cas: CAS registry number.
        poucher: Coefficient of volatility, 1 (gone first) to 100; our assignment.
        price_per_kg: Euro, order of magnitude only; our assignment.
        families: Weight by odour family, at most 1.0; empty for the carrier.
        descriptors: Finer odour words, all known to :mod:`backend.contracts.embedding`.
        constituents: Percent of substances that are restricted or labelled and occur in
            this natural material, typical shares; the material itself is not listed.
    """

    id: str
    name: str
    cas: str
    poucher: int
    price_per_kg: float
    families: Mapping[str, float]
    descriptors: tuple[str, ...]
    constituents: Mapping[str, float]

    @property
    def note(self) -> Note:
        """Return the place in the pyramid that follows from the Poucher coefficient."""
        if self.poucher <= TOP_MAX:
            return Note.TOP
        return Note.HEART if self.poucher <= HEART_MAX else Note.BASE


def _read_rows() -> Iterator[Material]:
    text = files(__package__).joinpath("materials.csv").read_text("utf-8")
    for row in csv.DictReader(text.splitlines()):
        yield Material(
            row["id"],
            row["name"],
            row["cas"],
            int(row["poucher"]),
            float(row["eur_per_kg"]),
            MappingProxyType(_weights(row["families"])),
            tuple(row["descriptors"].split()),
            MappingProxyType(_weights(row["constituents_percent"])),
        )


def _weights(text: str) -> dict[str, float]:
    pairs = (item.split(":") for item in text.split())
    return {name: float(weight) for name, weight in pairs}


CARRIER = "dipropylene-glycol"
"""The odourless solvent; takes up what a limit cuts from a formula."""


MATERIALS: Mapping[str, Material] = MappingProxyType({m.id: m for m in _read_rows()})
"""Every material by its id, in the order of ``materials.csv``."""


def find_material(name: str) -> Material | None:
    """
    Find a material by id, name or CAS number, whatever the case.

    Returns:
        The material, or None where the palette has none of that name.
    """
    wanted = name.strip().lower()
    slug = wanted.replace("_", "-").replace(" ", "-")
    if slug in MATERIALS:
        return MATERIALS[slug]
    return next((m for m in MATERIALS.values() if wanted in (m.name.lower(), m.cas)), None)


def family_profile(composition: Mapping[str, float]) -> tuple[float, ...]:
    """
    Add up family weights by share.

    Args:
        composition: Percent by material id; ids outside the palette are ignored.
    Returns:
        One figure per family in the order of :data:`FAMILIES`; all zero for pure carrier.
    """
    sums = dict.fromkeys(FAMILIES, 0.0)
    for id_, percent in composition.items():
        material = MATERIALS.get(id_)
        if material is not None:
            for family, weight in material.families.items():
                sums[family] += weight * percent / 100.0
    return tuple(sums.values())


def cost_per_kg(composition: Mapping[str, float]) -> float:
    """
    Return the price of a kilogram of concentrate in euro, by our price assignments.

    Raises:
        KeyError: For an id outside the palette, whose price nobody knows.
    """
    return sum(MATERIALS[id_].price_per_kg * pct / 100.0 for id_, pct in composition.items())
