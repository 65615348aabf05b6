"""
Synthetic training pairs for the built-in model: a brief and a formula that answers it.

What a brief asks for is decided by the same lexicon that the application uses
(:func:`backend.contracts.embedding.family_target`); the answer takes, for each place in
the pyramid, the materials closest to that.  The formulas are as good as those two
tables and no better: the model learns to read a brief and to write a formula, not
perfumery.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from backend.contracts.embedding import DESCRIPTORS, family_target
from backend.contracts.perfumery import CARRIER, FAMILIES, MATERIALS, Note, project_to_legal

DOSAGES = {
    "eau de cologne": 5.0,
    "eau de toilette": 10.0,
    "eau de parfum": 15.0,
    "extrait": 25.0,
}
DEFAULT_STYLE = "eau de parfum"

_CONTEXT_WORDS = """
lime mandarin grapefruit bergamot citrusy cotton linen clean leaves grass crisp cool airy
garden fig sea ocean oceanic aquatic beach salt rain melon breeze herbs sage thyme rosemary
mint fougere barbershop fruit juicy pear apricot raspberry blackcurrant cherry berries flowers
bouquet blossom spring tuberose gardenia lily neroli roses honey spices cardamom pepper ginger
gourmand dessert vanilla creamy praline chocolate tonka heliotrope powder lipstick orris
violets resin benzoin myrrh smoky olibanum frankincense cosy winter autumn cashmere wood woods
forest oud pine fir cedarwood santal amber mineral luminous sparkling musk sensual soft moss
chypre patchouli earth leather suede tobacco summer night evening morning romantic sport baby
mountain desert tropical elegant classic masculine feminine
"""

_WORDS = (
    *FAMILIES,
    *(word for words in DESCRIPTORS.values() for word in words),
    *_CONTEXT_WORDS.split(),
)
"""Words a brief may ask with; all of them mean something to the lexicon."""

_TEMPLATES = (
    "a {a} {b} scent",
    "a {a} {b} perfume with {c}",
    "{a} and {b}",
    "{a}, {b} and {c}",
    "{a}",
    "something {a} and {b}",
    "something {a} with a touch of {b}",
    "i want a {a} fragrance with {b} and {c}",
    "please make a {a} perfume with a {b} heart and {c}",
    "{a} {b} for the {c}",
    "a {a} fragrance for a {b} day",
    "a fresh start with {a}, drying down to {b} and {c}",
    "{a} opening, {b} heart, {c} base",
    "a {a} {b} fragrance, no {x}",
    "{a} and {b} without {x}",
    "a perfume that smells of {a} and {b}, not {x}",
    "the smell of {a} and {b} on {c}",
    "my mother wore a {a} {b} perfume, i want that again",
    "a unisex scent, {a} but also {b}",
    "{a} {b} {c}",
    "walking through {a} and {b} at dawn with {c} in the air",
    "a bottle of {a} for my friend who loves {b}",
)
_STYLE_TEMPLATES = ("{brief}, {style}", "{brief} as an {style}", "{style}: {brief}")
_FILLER_WORDS = """
really very quite lovely nice modern bold light deep rich subtle unisex my dear please anna
1960 office date wedding gift for today new simple long-lasting
"""
_FILLERS = tuple(_FILLER_WORDS.split())
_SILENT = (
    "surprise me",
    "a perfume for my sister",
    "something new please",
    "make whatever you like",
    "i do not know what i want",
    "a gift",
)

_ADJECTIVES = ("Quiet", "Bright", "Velvet", "Distant", "Golden", "First", "Wild", "Hidden")
_NOUNS = {
    "citrus": "Zest",
    "aldehydic": "Linen",
    "green": "Leaf",
    "marine": "Shore",
    "aromatic": "Herbs",
    "fruity": "Orchard",
    "floral": "Bloom",
    "rosy": "Rose",
    "spicy": "Spice",
    "sweet": "Sugar",
    "powdery": "Powder",
    "balsamic": "Resin",
    "woody": "Wood",
    "ambery": "Amber",
    "musky": "Skin",
    "mossy": "Moss",
}

_NOTE_BUDGET = {Note.TOP: 28.0, Note.HEART: 34.0, Note.BASE: 38.0}
_MATERIALS_PER_NOTE = 3
_SHARPNESS = 1.5
_SCORE_JITTER = 0.04


@dataclass(frozen=True, slots=True)
class Example:
    """One pair: a brief as a person writes it, and the answer the model learns."""

    brief: str
    answer: str


def examples(seed: int) -> Iterator[Example]:
    """
    Yield pairs without end; the same seed yields the same pairs.

    Args:
        seed: Training and evaluation use different ones.
    """
    source = random.Random(seed)  # noqa: S311 - no secret: pairs must come again
    while True:
        brief, style = _brief(source)
        yield Example(brief, _answer(brief, style, source))


def _brief(source: random.Random) -> tuple[str, str]:
    if source.random() < 0.03:
        brief = source.choice(_SILENT)
    else:
        first, second, third, unwanted = source.sample(_WORDS, 4)
        template = source.choice(_TEMPLATES)
        brief = template.format(a=first, b=second, c=third, x=unwanted)
    if source.random() < 0.25:
        words = brief.split(" ")
        words.insert(source.randrange(len(words) + 1), source.choice(_FILLERS))
        brief = " ".join(words)
    if source.random() < 0.35:
        # What people write around the odours must not disturb the answer.
        words = brief.split(" ")
        for _ in range(source.randint(1, 4)):
            words.insert(source.randrange(len(words) + 1), _noise(source))
        brief = " ".join(words)
    style = DEFAULT_STYLE
    if source.random() < 0.2:
        style = source.choice(list(DOSAGES))
        brief = source.choice(_STYLE_TEMPLATES).format(brief=brief, style=style)
    if source.random() < 0.3:
        brief += "."
    return brief, style


def _noise(source: random.Random) -> str:
    """Write a number, an amount, a name or a word that says nothing about odour."""
    kind = source.randrange(6)
    if kind == 0:
        return str(source.randrange(10 ** source.randint(1, 6)))
    if kind == 1:
        return f"{source.random():.{source.randint(1, 17)}f}"
    if kind == 2:
        unit = source.choice(("ml", "€", "%", "-", ".", ",", "#", "/", "(", ")", "!", "&", ":"))
        return f"{source.randrange(1, 300)}{unit}"
    letters = "abcdefghijklmnopqrstuvwxyz" + ("äéßøñ" if kind == 5 else "")
    word = "".join(source.choice(letters) for _ in range(source.randint(2, 10)))
    return word.capitalize() if kind == 3 else word


def _answer(brief: str, style: str, source: random.Random) -> str:
    """Write the formula in the short form: percent by ingredient, by place in the pyramid."""
    target = family_target(brief) or tuple(1.0 / math.sqrt(len(FAMILIES)) for _ in FAMILIES)
    dosage = DOSAGES[style]
    composition: dict[str, float] = {}
    for note, budget in _NOTE_BUDGET.items():
        scored = sorted(
            (
                (_closeness(material.families, target) + source.random() * _SCORE_JITTER, id_)
                for id_, material in MATERIALS.items()
                if material.note is note and id_ != CARRIER
            ),
            reverse=True,
        )[:_MATERIALS_PER_NOTE]
        weights = [max(score, 0.05) ** _SHARPNESS for score, _ in scored]
        for weight, (_, id_) in zip(weights, scored, strict=True):
            composition[id_] = budget * weight / sum(weights)
    composition = project_to_legal(composition, dosage)
    rounded = {id_: _rounded(percent) for id_, percent in composition.items()}
    sections = {
        note.value: {
            id_: percent
            for id_, percent in sorted(rounded.items(), key=lambda item: (-item[1], item[0]))
            if MATERIALS[id_].note is note and percent > 0
        }
        for note in Note
    }
    family = FAMILIES[max(range(len(FAMILIES)), key=lambda index: target[index])]
    name = f"{source.choice(_ADJECTIVES)} {_NOUNS[family]}"
    content = {"name": name, "dosage_percent": int(dosage), **sections}
    return json.dumps(content, separators=(",", ":"))


def _closeness(weights: Mapping[str, float], target: tuple[float, ...]) -> float:
    length = math.sqrt(sum(weight * weight for weight in weights.values()))
    if length == 0:
        return 0.0
    along: float = sum(weights.get(name, 0.0) * t for name, t in zip(FAMILIES, target, strict=True))
    return along / length


def _rounded(percent: float) -> float | int:
    """Round down, to whole percent from 3 on and to tenths below: few tokens, no limit crossed."""
    return int(percent) if percent >= 3 else math.floor(percent * 10) / 10
