"""The environment: whatever is done to it, formulas stay legal in the judge's eyes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.contracts.formula import Formula
from backend.contracts.perfumery import CARRIER, FAMILIES, MATERIALS, check_composition
from workers.rl.entropy import EntropySchedule
from workers.rl.environment import EPISODE_STEPS, Chemistry, FormulaEnvironment, Problem
from workers.rl.optimizer import pose

USABLE = sorted(id_ for id_ in MATERIALS if id_ != CARRIER)
FIVE = ("lemon-oil", "hedione", "rose-absolute", "galaxolide", "oakmoss-absolute")


def problem_of(ingredients: tuple[str, ...], shares: list[float], dosage: float = 15.0) -> Problem:
    total = sum(shares)
    start = tuple(100.0 * share / total for share in shares)
    target = tuple(1.0 / math.sqrt(len(FAMILIES)) for _ in FAMILIES)
    return Problem(ingredients, (*start, 0.0), target, dosage, 100.0)


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    ingredients = draw(
        st.lists(st.sampled_from(USABLE), min_size=2, max_size=20, unique=True).map(tuple)
    )
    share = st.floats(0.01, 100.0)
    shares = draw(st.lists(share, min_size=len(ingredients), max_size=len(ingredients)))
    return problem_of(ingredients, shares, draw(st.floats(0.5, 40.0)))


def test_an_environment_of_five_ingredients_resets() -> None:
    environment = FormulaEnvironment(problem_of(FIVE, [20.0] * 5), copies=3, seed=1)
    observations = environment.reset()
    assert observations.shape == (3, 6 + len(FAMILIES) + 2)
    assert observations.dtype == np.float32
    assert np.isfinite(observations).all()
    assert (observations[:, -1] == 1.0).all()


@settings(max_examples=60, deadline=None)
@given(problem=problems(), seed=st.integers(0, 1000), scale=st.floats(0.0, 5.0))
def test_every_formula_reached_is_legal(problem: Problem, seed: int, scale: float) -> None:
    environment = FormulaEnvironment(problem, copies=4, seed=seed)
    environment.reset()
    random = np.random.default_rng(seed)
    for _ in range(4):
        environment.step(random.normal(0.0, scale, (4, environment.action_size)))
        for shares in (*environment.shares, environment.best_shares):
            named = zip(environment.chemistry.ids, shares, strict=True)
            composition = {id_: float(percent) for id_, percent in named if percent > 0}
            verdict = check_composition(composition, problem.dosage_percent)
            assert verdict.legal, verdict.violations


@settings(deadline=None)
@given(problem=problems())
def test_what_is_legal_is_left_as_it_is(problem: Problem) -> None:
    chemistry = Chemistry(problem)
    once = chemistry.legalised(np.array([problem.start]))
    assert np.allclose(chemistry.legalised(once), once, rtol=1e-5, atol=1e-9)


def test_an_episode_ends_after_its_steps_and_the_next_begins() -> None:
    environment = FormulaEnvironment(problem_of(FIVE, [20.0] * 5), copies=2, seed=1)
    environment.reset()
    idle = np.zeros((2, environment.action_size))
    for step in range(1, EPISODE_STEPS + 1):
        _, _, ended = environment.step(idle)
        assert ended.all() == (step == EPISODE_STEPS)
    assert (environment.steps_left == EPISODE_STEPS).all()


def test_more_of_what_is_asked_for_scores_higher_and_cost_lowers() -> None:
    ingredients = ("geraniol", "cedarwood-oil", "rose-absolute")
    rosy = tuple(1.0 if name == "rosy" else 0.0 for name in FAMILIES)
    problem = Problem(ingredients, (34.0, 33.0, 33.0, 0.0), rosy, 5.0, 50.0)
    chemistry = Chemistry(problem)
    wood, rose, dear = chemistry.scores(
        np.array([[20.0, 80.0, 0.0, 0.0], [80.0, 20.0, 0.0, 0.0], [0.0, 20.0, 80.0, 0.0]])
    )
    assert rose > wood
    assert rose > dear


def test_the_best_formula_ever_met_is_kept_and_never_worse_than_the_start() -> None:
    environment = FormulaEnvironment(problem_of(FIVE, [20.0] * 5), copies=8, seed=2)
    environment.reset()
    random = np.random.default_rng(0)
    best = environment.start_score
    for _ in range(40):
        _, rewards, _ = environment.step(random.normal(size=(8, environment.action_size)))
        best = max(best, float(rewards.max()))
        assert environment.best_score == pytest.approx(best)
    scored = environment.chemistry.scores(environment.best_shares[None, :])
    assert float(scored[0]) == pytest.approx(environment.best_score)


@pytest.mark.parametrize("bad", [("moon-dust",), (CARRIER,), ("lilial",)])
def test_a_problem_over_unusable_ingredients_is_refused(bad: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="no ingredient"):
        problem_of(bad, [100.0])


def test_the_target_is_the_briefs_or_the_formulas_own() -> None:
    formula = Formula.from_composition("x", {"lemon-oil": 50.0, "cedarwood-oil": 50.0})
    asked = pose(formula, "a musky rose")
    assert asked.target_source == "brief"
    assert asked.problem.target[FAMILIES.index("musky")] > 0
    own = pose(formula, None)
    assert own.target_source == "own profile"
    assert own.problem.target[FAMILIES.index("citrus")] > 0


def test_the_entropy_coefficient_falls_over_a_hundred_steps_and_stays() -> None:
    schedule = EntropySchedule()
    values = [schedule.value(step) for step in range(151)]
    assert values[0] == pytest.approx(0.01)
    assert values[50] == pytest.approx(0.0055)
    assert values[100] == pytest.approx(0.001)
    assert values[150] == pytest.approx(0.001)
    assert values == sorted(values, reverse=True)
