"""
Limits of use: IFRA Standards, 51st Amendment, category 4 (fine fragrance).

A figure is the highest share of the *finished product* in percent.  Each row says how
many independent secondary sources agreed on it when it was transcribed; a figure from
one source is marked so wherever it is shown.  The standards themselves were not at
hand: **a person must check them before any compliance use.**
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

SOURCE = "IFRA Standards, 51st Amendment, category 4, read in secondary sources"
"""Where the limits come from; shown with every verdict."""

CHECK_NOTICE = "A person must check this against the current standards before any compliance use."
"""Shown with every verdict."""

EU_LABEL_THRESHOLD_PERCENT = 0.001
"""Share of a leave-on product above which the EU wants an allergen named on the label."""


@dataclass(frozen=True, slots=True)
class IfraLimit:
    """
    One limit, on a substance or on the sum over a group of substances.

    Args:
        id: Substance id, or the name of the group.
        max_percent: Highest share of the finished product, percent.
        sources: How many sources agreed on the figure: 1 or 2.
        members: The substances that are added up; for a single one just its id.
    """

    id: str
    max_percent: float
    sources: int
    members: tuple[str, ...]

    @property
    def one_source(self) -> bool:
        """True where only one source was found, to be said wherever the figure is shown."""
        return self.sources == 1


@dataclass(frozen=True, slots=True)
class ProhibitedSubstance:
    """A substance that may not be used at all, and by whose rule."""

    id: str
    name: str
    cas: str
    rule: str


def _limit(id_: str, max_percent: float, sources: int, *members: str) -> IfraLimit:
    return IfraLimit(id_, max_percent, sources, members or (id_,))


LIMITS = MappingProxyType(
    {
        limit.id: limit
        for limit in (
            _limit("citral", 0.6, 2),
            _limit("eugenol", 2.5, 2),
            _limit("isoeugenol", 0.11, 2),
            _limit("geraniol", 4.7, 2),
            _limit("citronellol", 12.0, 2),
            _limit("coumarin", 1.5, 2),
            _limit("hydroxycitronellal", 2.1, 2),
            _limit("cinnamic-aldehyde", 0.25, 2),
            _limit("amyl-cinnamic-aldehyde", 7.0, 2),
            _limit("benzyl-salicylate", 7.3, 2),
            _limit("benzyl-benzoate", 4.8, 2),
            _limit("iso-e-super", 20.0, 2),
            _limit("bergamot-oil", 0.4, 2),
            _limit("lemon-oil", 2.0, 2),
            _limit("grapefruit-oil", 4.0, 2),
            _limit("bitter-orange-oil", 1.25, 2),
            _limit(
                "rose-ketones",
                0.043,
                1,
                "alpha-damascone",
                "beta-damascone",
                "delta-damascone",
                "damascenone",
            ),
            _limit("methyl-ionones", 30.0, 1, "alpha-isomethyl-ionone", "methyl-ionone"),
            _limit("oakmoss-and-treemoss", 0.1, 1, "oakmoss-absolute", "treemoss-absolute"),
            _limit("cinnamic-alcohol", 1.2, 1),
            _limit("hexyl-cinnamic-aldehyde", 9.9, 1),
            _limit("benzyl-alcohol", 2.5, 1),
            _limit("farnesol", 1.2, 1),
            _limit("hexyl-salicylate", 6.5, 1),
            _limit("ylang-ylang-oil", 0.73, 1),
            _limit("jasmine-grandiflorum-absolute", 0.6, 1),
            _limit("lime-oil", 0.7, 1),
            _limit("cashmeran", 3.8, 1),
            _limit("methyl-eugenol", 0.011, 1),
            _limit("estragole", 0.014, 1),
        )
    }
)
"""
Every limit by its id.

Not here, because the standard asks for a purity of the material and not for a share of
the product: limonene, linalool, musk-ketone.  Known to have no standard: hedione,
galaxolide, ethylene-brassylate; others may simply not have been looked up.
"""

PROHIBITED = MappingProxyType(
    {
        substance.id: substance
        for substance in (
            ProhibitedSubstance("musk-xylene", "Musk xylene", "81-15-2", "IFRA"),
            ProhibitedSubstance("musk-ambrette", "Musk ambrette", "83-66-9", "IFRA"),
            ProhibitedSubstance("lilial", "Lilial (butylphenyl methylpropional)", "80-54-6", "EU"),
            ProhibitedSubstance("lyral", "Lyral (HICC)", "31906-04-4", "EU"),
        )
    }
)
"""Substances that may not be used at all, by id."""

EU_LABEL_SUBSTANCES = frozenset(
    {
        "alpha-isomethyl-ionone",
        "amyl-cinnamic-aldehyde",
        "benzyl-alcohol",
        "benzyl-benzoate",
        "benzyl-salicylate",
        "cinnamic-alcohol",
        "cinnamic-aldehyde",
        "citral",
        "citronellol",
        "coumarin",
        "eugenol",
        "farnesol",
        "geraniol",
        "hexyl-cinnamic-aldehyde",
        "hydroxycitronellal",
        "isoeugenol",
        "limonene",
        "linalool",
        "oakmoss-absolute",
        "treemoss-absolute",
    }
)
"""Those of the allergens to be named on an EU label that occur in our materials."""
