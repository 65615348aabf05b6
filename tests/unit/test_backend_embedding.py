"""Texts and formulas lie in one space, near what they smell of."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.contracts.embedding import (
    DESCRIPTORS,
    DIMENSION,
    embed_composition,
    embed_text,
    family_target,
)
from backend.contracts.perfumery import CARRIER, FAMILIES, MATERIALS
from backend.database.models import EMBEDDING_DIMENSION

CITRUS = {"lemon-oil": 60.0, "bergamot-oil": 40.0}
WOODY = {"vetiver-oil": 50.0, "cedarwood-oil": 50.0}


def cosine(left: Sequence[float] | None, right: Sequence[float] | None) -> float:
    assert left is not None
    assert right is not None
    return math.fsum(a * b for a, b in zip(left, right, strict=True))


def test_the_dimension_is_that_of_the_table() -> None:
    assert DIMENSION == EMBEDDING_DIMENSION == 64


def test_every_descriptor_of_a_material_is_an_axis() -> None:
    known = {word for words in DESCRIPTORS.values() for word in words}
    assert {word for m in MATERIALS.values() for word in m.descriptors} <= known


@pytest.mark.parametrize(
    ("text", "near", "far"),
    [
        ("a zesty lemon for summer", CITRUS, WOODY),
        ("dry cedar and vetiver, like a forest", WOODY, CITRUS),
        ("Citrus-woody? No citrus, only woods", WOODY, CITRUS),
    ],
)
def test_a_text_is_nearer_to_what_it_describes(
    text: str, near: dict[str, float], far: dict[str, float]
) -> None:
    vector = embed_text(text)
    assert cosine(vector, embed_composition(near)) > cosine(vector, embed_composition(far))


def test_what_is_negated_counts_against() -> None:
    assert cosine(embed_text("fresh, not sweet"), embed_text("sweet")) < 0


def test_a_negation_ends_with_its_clause() -> None:
    assert cosine(embed_text("not sweet. roses"), embed_text("roses")) > 0


def test_plurals_and_adjectives_are_understood() -> None:
    assert embed_text("lemons") == embed_text("lemon")
    assert embed_text("peachy") == embed_text("peach")


@pytest.mark.parametrize("text", ["", "qwerty", "sweet, not sweet", "123 !?"])
def test_a_text_without_odour_is_unknown_and_not_somewhere(text: str) -> None:
    assert embed_text(text) is None


def test_pure_carrier_is_unknown() -> None:
    assert embed_composition({CARRIER: 100.0}) is None


def test_a_target_has_no_negative_family() -> None:
    target = family_target("woody, without citrus")
    assert target is not None
    assert target[FAMILIES.index("citrus")] == 0
    assert target[FAMILIES.index("woody")] > 0.9


@given(st.text(max_size=200))
def test_any_text_gives_a_vector_of_length_one_or_none(text: str) -> None:
    vector = embed_text(text)
    assert vector is None or math.isclose(math.hypot(*vector), 1.0)


@given(
    st.dictionaries(
        st.sampled_from(sorted(set(MATERIALS) - {CARRIER})), st.floats(0.001, 100), min_size=1
    )
)
def test_a_composition_keeps_its_place_whatever_its_total(composition: dict[str, float]) -> None:
    doubled = {name: 2 * share for name, share in composition.items()}
    assert embed_composition(doubled) == pytest.approx(embed_composition(composition))
