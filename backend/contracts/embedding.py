"""
One vector space for briefs and formulas: what they smell of, in words.

**What this is.**  64 dimensions: the 16 odour families and 48 finer descriptors.  A
material has a weight in each (our assignments); a formula is the sum of its materials by
share; a text is the sum of the odour words found in it, negated ones subtracted.  Both
are normalised, so that cosine similarity compares them.  It is deterministic, needs no
model and runs in the application itself.

**What it is not.**  No learned embedding: it knows the words of its lexicon and nothing
else, takes no account of strength or of how materials smell together.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from backend.contracts.perfumery.materials import FAMILIES, MATERIALS

if TYPE_CHECKING:
    from backend.contracts.formula import Formula

DESCRIPTORS: Mapping[str, tuple[str, str, str]] = MappingProxyType(
    {
        "citrus": ("lemon", "orange", "zesty"),
        "aldehydic": ("soapy", "metallic", "clean"),
        "green": ("leafy", "grassy", "fresh"),
        "marine": ("ozonic", "salty", "watery"),
        "aromatic": ("lavender", "herbal", "camphoraceous"),
        "fruity": ("apple", "peach", "berry"),
        "floral": ("jasmine", "muguet", "orange-blossom"),
        "rosy": ("rose", "geranium", "honeyed"),
        "spicy": ("clove", "cinnamon", "peppery"),
        "sweet": ("vanilla", "caramel", "almond"),
        "powdery": ("violet", "iris", "cosmetic"),
        "balsamic": ("resinous", "incense", "warm"),
        "woody": ("cedar", "sandalwood", "vetiver"),
        "ambery": ("ambergris", "dry", "radiant"),
        "musky": ("white-musk", "animalic", "skin"),
        "mossy": ("oakmoss", "earthy", "leathery"),
    }
)
"""The finer descriptors by the family they belong to."""

_AXES = FAMILIES + tuple(word for family in FAMILIES for word in DESCRIPTORS[family])
_POSITION = {name: index for index, name in enumerate(_AXES)}
_HOME = {word: family for family, words in DESCRIPTORS.items() for word in words}

DIMENSION = len(_AXES)
"""Length of every vector: 64."""

_DESCRIPTOR_WEIGHT = 0.6
"""A finer descriptor counts less than its family, so that neighbours stay comparable."""

# Words of briefs that are no axis of their own, and the axes they speak of.
_LEXICON_TEXT = """
lime: lemon zesty; mandarin tangerine clementine : orange; grapefruit bergamot
yuzu: zesty citrus; citrusy hesperidic: citrus; aldehyde aldehydes champagne: aldehydic; soap
laundry: soapy; cleanliness cotton linen pure: clean; leaf leaves foliage galbanum: leafy; grass
meadow hay: grassy; crisp cool dewy bright airy freshness: fresh; garden stem fig: green leafy;
sea ocean oceanic aquatic beach shore: marine salty; salt: salty; water rain melon: watery; ozone
breeze air: ozonic; herb herbs herbaceous sage thyme rosemary basil: herbal; mint minty eucalyptus
camphor: camphoraceous; fougere barbershop: aromatic lavender; fruit fruits juicy: fruity; pear
apples: apple; apricot plum peachy: peach; raspberry strawberry blackcurrant cassis cherry
berries: berry; flower flowers flowery bouquet bloom blossom spring: floral; jasmin tuberose
gardenia ylang: jasmine; lily-of-the-valley lily: muguet; neroli: orange-blossom zesty; roses:
rose; honey: honeyed; pelargonium: geranium; spice spices oriental: spicy; cloves carnation:
clove; cinnamony: cinnamon; pepper cardamom ginger: peppery; sugar sugary gourmand dessert
candy: sweet caramel; vanillic vanillin cream creamy: vanilla; toffee praline chocolate: caramel;
tonka marzipan heliotrope: almond; powder makeup lipstick: cosmetic; orris: iris; violets: violet;
balsam balm: balsamic; resin resins benzoin myrrh: resinous; smoke smoky church olibanum
frankincense: incense; cosy cozy winter autumn cashmere fireside: warm; wood woods timber forest
oud: woody; pine fir cedarwood: cedar woody; sandal santal: sandalwood; amber
: ambery resinous; mineral: dry; luminous sparkling: radiant;
musk musks: musky white-musk; animal civet: animalic; sensual intimate soft: skin musky;
moss chypre undergrowth: mossy oakmoss; patchouli earth soil damp: earthy; leather suede tobacco:
leathery; summer: citrus fresh watery; night evening seductive: ambery warm sweet; morning: fresh
clean citrus; romantic: rosy floral; sport sporty: marine aromatic fresh; baby: powdery clean
white-musk; mountain: green cedar fresh; desert: dry ambery warm; tropical: fruity peach sweet;
elegant classic: aldehydic floral powdery; masculine: woody aromatic; feminine: floral rosy
powdery; cologne: citrus aromatic orange-blossom
"""

_NEGATIONS = frozenset({"no", "not", "without", "never", "avoid", "hates", "hate", "minus"})
_NEGATION_REACH = 3
"""How many words after a negation an odour word is still meant by it."""

_WORD = re.compile(r"[a-z]+(?:-[a-z]+)*|[.,;!?]")


def _material_axes() -> dict[str, dict[int, float]]:
    table = {}
    for material in MATERIALS.values():
        axes = {_POSITION[name]: weight for name, weight in material.families.items()}
        axes |= {_POSITION[name]: _DESCRIPTOR_WEIGHT for name in material.descriptors}
        table[material.id] = axes
    return table


def _word_axes(name: str) -> dict[int, float]:
    if name in _HOME:
        return {_POSITION[_HOME[name]]: 1.0, _POSITION[name]: _DESCRIPTOR_WEIGHT}
    return {_POSITION[name]: 1.0}


def _lexicon() -> dict[str, dict[int, float]]:
    table = {name: _word_axes(name) for name in _AXES}
    for entry in _LEXICON_TEXT.split(";"):
        words, _, meanings = entry.partition(":")
        axes: dict[int, float] = {}
        for meaning in meanings.split():
            for axis, weight in _word_axes(meaning).items():
                axes[axis] = max(weight, axes.get(axis, 0.0))
        for word in words.split():
            table[word] = axes
    return table


_MATERIAL_AXES = _material_axes()
_LEXICON = _lexicon()


def embed_text(text: str) -> tuple[float, ...] | None:
    """
    Place a text by its odour words.

    Args:
        text: Plain English; case and word order (negation aside) do not matter.
    Returns:
        A vector of :data:`DIMENSION` figures and length 1; None where no odour word was
        found, or those found cancel out: unknown, not somewhere.
    """
    sums = [0.0] * DIMENSION
    negated_for = 0
    for token in _WORD.findall(text.lower()):
        if token in _NEGATIONS or not token[0].isalpha():
            negated_for = _NEGATION_REACH if token in _NEGATIONS else 0
            continue
        sign = -1.0 if negated_for > 0 else 1.0
        negated_for -= 1
        for axis, weight in _meaning(token).items():
            sums[axis] += sign * weight
    return _normalised(sums)


def embed_formula(formula: Formula) -> tuple[float, ...] | None:
    """Place a formula; see :func:`embed_composition`."""
    return embed_composition(formula.composition())


def embed_composition(composition: Mapping[str, float]) -> tuple[float, ...] | None:
    """
    Place a composition by the materials in it, weighted by share.

    Returns:
        A vector as :func:`embed_text` gives it; None for pure carrier.
    """
    sums = [0.0] * DIMENSION
    for id_, percent in composition.items():
        for axis, weight in _MATERIAL_AXES.get(id_, {}).items():
            sums[axis] += weight * percent
    return _normalised(sums)


def family_target(text: str) -> tuple[float, ...] | None:
    """
    Return what a text asks for by odour family, in the order of ``FAMILIES``.

    Returns:
        Figures of 0 or more with length 1 (what is negated counts 0), or None where the
        text asks for nothing known.
    """
    vector = embed_text(text)
    if vector is None:
        return None
    return _normalised([max(0.0, figure) for figure in vector[: len(FAMILIES)]])


def _meaning(word: str) -> Mapping[int, float]:
    for form in (word, word.removesuffix("s"), word.removesuffix("y"), word.removesuffix("like")):
        if form in _LEXICON:
            return _LEXICON[form]
    if "-" in word:
        merged: dict[int, float] = {}
        for part in word.split("-"):
            merged.update(_meaning(part))
        return merged
    return {}


def _normalised(sums: list[float]) -> tuple[float, ...] | None:
    length = math.sqrt(math.fsum(figure * figure for figure in sums))
    if length < 1e-9:
        return None
    return tuple(figure / length for figure in sums)
