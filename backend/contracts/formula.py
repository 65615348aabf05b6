"""
A formula: the structured answer to a brief.

Shares are percent of the concentrate; the dosage is the share of the concentrate in the
finished product.  JSON form, used in the database, on the wire and as the model's
answer: ``{"name", "dosage_percent", "top"|"heart"|"base": [{"ingredient", "percent"}]}``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from backend.contracts.perfumery.legal import is_unrestricted
from backend.contracts.perfumery.materials import CARRIER, MATERIALS, Note

DEFAULT_DOSAGE_PERCENT = 15.0
"""Eau de parfum, the middle of what fine fragrance uses."""

SHARE_DECIMALS = 4
SUM_TOLERANCE_PERCENT = 0.01
NAME_MAX_LENGTH = 120


@dataclass(frozen=True, slots=True)
class Component:
    """One ingredient and its share of the concentrate in percent."""

    ingredient: str
    percent: float


@dataclass(frozen=True, slots=True)
class Formula:
    """
    A named composition by place in the pyramid.

    Args:
        name: What a person calls it, up to 120 characters.
        top: Components noticed first, largest share first.
        heart: Components of the middle.
        base: Components that stay.
        dosage_percent: Share of the concentrate in the finished product.
    """

    name: str
    top: tuple[Component, ...]
    heart: tuple[Component, ...]
    base: tuple[Component, ...]
    dosage_percent: float = DEFAULT_DOSAGE_PERCENT

    @classmethod
    def from_composition(
        cls,
        name: str,
        composition: Mapping[str, float],
        dosage_percent: float = DEFAULT_DOSAGE_PERCENT,
    ) -> Formula:
        """
        Sort a composition into the pyramid, rounded so that it sums to exactly 100.

        Shares that round to nothing are left out.  Each share is rounded down, never
        across a limit, and the rest, some ten-thousandths of a percent, goes to the
        carrier, else to the largest share that no limit is about, else to the largest.

        Args:
            name: Cut at 120 characters.
            composition: Percent by material id, summing to about 100.
            dosage_percent: Share of the concentrate in the finished product.
        Raises:
            ValueError: For an ingredient outside the palette, or another sum.
        """
        unknown = sorted(set(composition) - set(MATERIALS))
        if unknown:
            raise ValueError(f"not in the palette: {', '.join(unknown)}")
        total = sum(composition.values())
        if not abs(total - 100.0) <= SUM_TOLERANCE_PERCENT:
            raise ValueError(f"the shares sum to {total:.4g} %, not to 100 %")
        unit = 10**SHARE_DECIMALS
        # 1e-6 of a unit keeps 12.5 from becoming 12.4999 by binary rounding.
        units = {id_: int(percent * unit + 1e-6) for id_, percent in composition.items()}
        units = {id_: count for id_, count in units.items() if count > 0}
        rest = 100 * unit - sum(units.values())
        receiver = _rest_receiver(units)
        units[receiver] = units.get(receiver, 0) + rest
        notes: dict[Note, list[Component]] = {note: [] for note in Note}
        for id_, count in sorted(units.items(), key=lambda item: (-item[1], item[0])):
            if count > 0:
                notes[MATERIALS[id_].note].append(Component(id_, count / unit))
        top, heart, base = (tuple(notes[note]) for note in Note)
        return cls(name.strip()[:NAME_MAX_LENGTH], top, heart, base, dosage_percent)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Formula:
        """
        Read the JSON form; shares are taken as they are, the judge is another's business.

        Raises:
            ValueError: If a part is missing or of the wrong type.
        """
        try:
            sections = (
                tuple(Component(str(c["ingredient"]), float(c["percent"])) for c in data[note])
                for note in Note
            )
            top, heart, base = sections
            dosage = float(data.get("dosage_percent", DEFAULT_DOSAGE_PERCENT))
            return cls(str(data["name"])[:NAME_MAX_LENGTH], top, heart, base, dosage)
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a formula: {error!r}") from error

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form."""
        sections = {Note.TOP: self.top, Note.HEART: self.heart, Note.BASE: self.base}
        return {
            "name": self.name,
            "dosage_percent": self.dosage_percent,
            **{
                note.value: [{"ingredient": c.ingredient, "percent": c.percent} for c in part]
                for note, part in sections.items()
            },
        }

    def components(self) -> Iterator[Component]:
        """Yield every component, top first."""
        yield from self.top
        yield from self.heart
        yield from self.base

    def composition(self) -> dict[str, float]:
        """Return percent of the concentrate by ingredient; repeated ones are added up."""
        shares: dict[str, float] = {}
        for component in self.components():
            shares[component.ingredient] = shares.get(component.ingredient, 0.0) + component.percent
        return shares


def _rest_receiver(units: Mapping[str, int]) -> str:
    """Choose who takes the rounding rest, somebody whom no limit is about if possible."""
    if CARRIER in units:
        return CARRIER
    candidates = [id_ for id_ in units if is_unrestricted(id_)] or list(units)
    return max(candidates, key=lambda id_: (units[id_], id_))
