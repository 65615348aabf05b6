"""The palette, the limits, and that the judge finds legal whatever was made legal."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.contracts.formula import Component, Formula
from backend.contracts.perfumery import (
    CARRIER,
    FAMILIES,
    LIMITS,
    MATERIALS,
    PROHIBITED,
    Material,
    Note,
    check_composition,
    check_formula,
    cost_per_kg,
    family_profile,
    find_material,
    project_to_legal,
)

compositions = st.dictionaries(
    st.sampled_from(sorted(MATERIALS)), st.floats(0.0, 1000.0), min_size=1, max_size=20
)
dosages = st.floats(0.5, 100.0)


@pytest.mark.parametrize("material", MATERIALS.values(), ids=lambda m: m.id)
def test_each_material_has_a_valid_cas_number_and_plausible_figures(material: Material) -> None:
    digits, check = material.cas.replace("-", "")[:-1], int(material.cas[-1])
    assert sum((i + 1) * int(d) for i, d in enumerate(reversed(digits))) % 10 == check
    assert set(material.families) <= set(FAMILIES)
    assert material.id == CARRIER or 0.5 <= max(material.families.values()) <= 1.0
    assert 1 <= material.poucher <= 100
    assert 0 <= sum(material.constituents.values()) <= 100


def test_the_palette_has_the_promised_size_and_every_place_in_the_pyramid() -> None:
    real = [m for m in MATERIALS.values() if m.id != CARRIER]
    assert 40 <= len(real) <= 55
    assert {m.note for m in real} == set(Note)
    assert len({m.cas for m in MATERIALS.values()}) == len(MATERIALS)


def test_no_prohibited_substance_is_in_the_palette() -> None:
    assert not {m.cas for m in MATERIALS.values()} & {p.cas for p in PROHIBITED.values()}


def test_a_limit_from_one_source_is_marked() -> None:
    assert LIMITS["cashmeran"].one_source
    assert not LIMITS["citral"].one_source


@pytest.mark.parametrize("name", ["Citral", "citral", "5392-40-5", " CITRAL "])
def test_a_material_is_found_by_id_name_and_cas(name: str) -> None:
    assert find_material(name) is MATERIALS["citral"]


def test_an_unknown_material_is_not_found() -> None:
    assert find_material("unobtainium") is None


@given(compositions, dosages)
def test_what_was_projected_is_legal_before_the_independent_judge(
    composition: dict[str, float], dosage: float
) -> None:
    legal = project_to_legal(composition, dosage)
    assert check_composition(legal, dosage).violations == ()


@given(compositions, dosages)
def test_what_was_projected_stays_legal_when_rounded_into_a_formula(
    composition: dict[str, float], dosage: float
) -> None:
    formula = Formula.from_composition("x", project_to_legal(composition, dosage), dosage)
    assert check_formula(formula).violations == ()


def test_a_legal_composition_is_left_as_it_is() -> None:
    composition = {"hedione": 60.0, "linalool": 40.0}
    assert project_to_legal(composition, 15) == pytest.approx(composition)


def test_citral_that_comes_with_lemon_oil_counts_towards_the_citral_limit() -> None:
    # 0.3 % citral alone is legal; lemon oil brings another 0.5 % of the product.
    alone = check_composition({"citral": 3.0, "hedione": 97.0}, 10)
    together = check_composition({"citral": 3.0, "lemon-oil": 19.9, "citral-free": 0.0}, 100)
    assert alone.legal
    assert "citral" in {v.subject for v in together.violations if v.rule == "limit"}


def test_a_group_is_summed() -> None:
    verdict = check_composition({"oakmoss-absolute": 1.0, "hedione": 99.0}, 20)
    (violation,) = verdict.violations
    assert violation.subject == "oakmoss-and-treemoss"
    assert violation.found_percent == pytest.approx(0.2)
    assert verdict.one_source == ("oakmoss-and-treemoss",)


def test_the_dosage_decides() -> None:
    composition = {"citral": 3.0, "hedione": 97.0}
    assert check_composition(composition, 20).legal
    assert not check_composition(composition, 21).legal


@pytest.mark.parametrize(
    ("composition", "dosage", "rule"),
    [
        ({"musk-xylene": 100.0}, 10, "prohibited"),
        ({"unobtainium": 100.0}, 10, "unknown-material"),
        ({"hedione": 90.0}, 10, "sum"),
        ({"hedione": 101.0, "linalool": -1.0}, 10, "share"),
        ({"hedione": float("nan")}, 10, "share"),
        ({"hedione": 100.0}, 0, "dosage"),
        ({"hedione": 100.0}, 101, "dosage"),
    ],
)
def test_a_malformed_formula_is_refused_with_its_rule(
    composition: dict[str, float], dosage: float, rule: str
) -> None:
    assert rule in {v.rule for v in check_composition(composition, dosage).violations}


def test_allergens_above_the_threshold_are_to_be_labelled() -> None:
    verdict = check_composition({"coumarin": 0.1, "hedione": 99.9}, 10)
    assert verdict.labels == ("coumarin",)
    assert check_composition({"coumarin": 0.005, "hedione": 99.995}, 10).labels == ()


def test_a_trace_does_not_become_the_formula_when_a_limit_cuts_the_rest() -> None:
    legal = project_to_legal({"bergamot-oil": 99.9, "hedione": 0.1}, 20)
    assert legal["hedione"] == pytest.approx(0.2)
    assert legal[CARRIER] > 95


def test_nothing_usable_becomes_pure_carrier() -> None:
    assert project_to_legal({"musk-xylene": 5.0, "citral": 0.0}, 10) == {CARRIER: 100.0}


@pytest.mark.parametrize("dosage", [0, -1, 100.1, float("nan")])
def test_an_impossible_dosage_is_refused(dosage: float) -> None:
    with pytest.raises(ValueError, match="dosage"):
        project_to_legal({"hedione": 1.0}, dosage)


def test_a_formula_sorts_its_ingredients_into_the_pyramid_and_sums_to_100() -> None:
    thirds = {"lemon-oil": 100 / 3, "hedione": 100 / 3, "galaxolide": 100 / 3}
    formula = Formula.from_composition("Thirds", thirds, 5)
    assert [c.ingredient for c in formula.top] == ["lemon-oil"]
    assert [c.ingredient for c in formula.heart] == ["hedione"]
    assert [c.ingredient for c in formula.base] == ["galaxolide"]
    assert sum(formula.composition().values()) == pytest.approx(100, abs=1e-9)


def test_a_formula_survives_its_json_form() -> None:
    formula = Formula.from_composition("One", {"hedione": 50.0, "vanillin": 50.0}, 12.5)
    assert Formula.from_json(formula.to_json()) == formula


@pytest.mark.parametrize("data", [{}, {"name": "x", "top": 1, "heart": [], "base": []}])
def test_what_is_no_formula_is_refused(data: Any) -> None:
    with pytest.raises(ValueError, match="not a formula"):
        Formula.from_json(data)


def test_a_formula_needs_known_ingredients_and_the_full_sum() -> None:
    with pytest.raises(ValueError, match="unobtainium"):
        Formula.from_composition("x", {"unobtainium": 100.0})
    with pytest.raises(ValueError, match="90"):
        Formula.from_composition("x", {"hedione": 90.0})


def test_repeated_ingredients_are_added_up() -> None:
    twice = (Component("hedione", 40.0), Component("hedione", 60.0))
    assert Formula("x", (), twice, ()).composition() == {"hedione": 100.0}


def test_profile_and_cost_follow_the_shares() -> None:
    profile = dict(zip(FAMILIES, family_profile({"limonene": 50.0, CARRIER: 50.0}), strict=True))
    assert profile["citrus"] == pytest.approx(0.5)
    assert cost_per_kg({"limonene": 50.0, CARRIER: 50.0}) == pytest.approx(7.5)
