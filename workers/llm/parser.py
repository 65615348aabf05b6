"""
From what a model wrote to a formula, or a plain reason why not.

The text must hold one JSON object with the three sections of the pyramid.  A section
may be written short, ``{"ingredient": percent}``, or as the stored form,
``[{"ingredient", "percent"}]``.  Nothing is added: an ingredient outside the palette
or a missing section makes the text unusable.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from backend.contracts.formula import DEFAULT_DOSAGE_PERCENT, NAME_MAX_LENGTH
from backend.contracts.perfumery import Note, find_material

MIN_INGREDIENTS = 3
SUM_MIN_PERCENT, SUM_MAX_PERCENT = 50.0, 150.0
"""Shares are normalised to 100; further away than this the text means something else."""


class Unparsable(ValueError):
    """A model's text is no formula; the message says why."""


@dataclass(frozen=True, slots=True)
class Draft:
    """
    What a model wrote, understood but not yet judged.

    Args:
        name: The formula's name.
        composition: Percent of the concentrate by material id, summing to 100.
        dosage_percent: Share of the concentrate in the finished product.
    """

    name: str
    composition: dict[str, float]
    dosage_percent: float


def parse_answer(text: str) -> Draft:
    """
    Understand a model's answer.

    Args:
        text: Whatever the model wrote; prose around the object is ignored.

    Returns:
        The draft, its shares normalised to 100.

    Raises:
        Unparsable: If it holds no formula over the palette.
    """
    content = _first_object(text)
    name = content.get("name")
    if not isinstance(name, str) or not name.strip():
        raise Unparsable("the formula has no name")
    composition: dict[str, float] = {}
    for note in Note:
        section = content.get(note.value)
        if section is None:
            raise Unparsable(f"the section {note.value} is missing")
        for ingredient, percent in _entries(section, note.value):
            material = find_material(ingredient)
            if material is None:
                raise Unparsable(f"{ingredient[:60]!r} is not in the palette")
            composition[material.id] = composition.get(material.id, 0.0) + percent
    if len(composition) < MIN_INGREDIENTS:
        raise Unparsable(f"only {len(composition)} ingredients")
    total = math.fsum(composition.values())
    if not SUM_MIN_PERCENT <= total <= SUM_MAX_PERCENT:
        raise Unparsable(f"the shares sum to {total:.0f} percent")
    return Draft(
        name=name.strip()[:NAME_MAX_LENGTH],
        composition={id_: 100.0 * percent / total for id_, percent in composition.items()},
        dosage_percent=_dosage(content.get("dosage_percent", DEFAULT_DOSAGE_PERCENT)),
    )


def _first_object(text: str) -> dict[str, Any]:
    """Find the first JSON object that has a section of the pyramid."""
    decoder = json.JSONDecoder(parse_constant=_refuse_constant)
    start = text.find("{")
    while start >= 0:
        try:
            content, _ = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            start = text.find("{", start + 1)
            continue
        if isinstance(content, dict) and any(note.value in content for note in Note):
            return content
        start = text.find("{", start + 1)
    raise Unparsable("the text holds no JSON object with the sections top, heart and base")


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no share")


def _entries(section: object, note: str) -> Iterator[tuple[str, float]]:
    if isinstance(section, dict):
        pairs = list(section.items())
    elif isinstance(section, list):
        try:
            pairs = [(entry["ingredient"], entry["percent"]) for entry in section]
        except (TypeError, KeyError) as error:
            raise Unparsable(f"the section {note} has an entry without share") from error
    else:
        raise Unparsable(f"the section {note} is no list of ingredients")
    for ingredient, percent in pairs:
        if not isinstance(ingredient, str):
            raise Unparsable(f"the section {note} names something that is no ingredient")
        yield ingredient, _share(percent, ingredient)


def _share(value: object, ingredient: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Unparsable(f"the share of {ingredient[:60]!r} is no number")
    if not 0 < value <= 100:
        raise Unparsable(f"the share of {ingredient[:60]!r} is not above 0 and at most 100")
    return float(value)


def _dosage(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 100:
        raise Unparsable("the dosage is not above 0 and at most 100 percent")
    return float(value)
