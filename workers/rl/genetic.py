"""
Genetic search with DEAP: a population of compositions, crossed, changed and chosen.

A whole generation is scored at once by the environment's arithmetic.
"""

from __future__ import annotations

import random
from typing import Any

import numpy as np
from deap import base, creator, tools
from numpy.typing import NDArray

from workers.rl.checkpoint import Checkpoint
from workers.rl.environment import TRACE_PERCENT, FormulaEnvironment, Problem
from workers.rl.search import Found, Observer

CROSSOVER_PROBABILITY = 0.6
MUTATION_PROBABILITY = 0.4
MUTATION_SIGMA = 0.5
GENE_PROBABILITY = 0.25
TOURNAMENT = 3
ELITE = 2
SPREAD = 0.8

# DEAP wants its classes made once, by name, in its own module.
creator.create("HigherIsBetter", base.Fitness, weights=(1.0,))
creator.create("Logarithms", list, fitness=creator.HigherIsBetter)


def evolve(
    problem: Problem,
    *,
    generations: int,
    population: int,
    seed: int,
    observer: Observer,
    resume: Checkpoint | None = None,
) -> Found:
    """
    Search with a genetic algorithm.

    Args:
        problem: What is optimised.
        generations: How many.
        population: Individuals, at least 4.
        seed: Makes the search reproducible.
        observer: Told after each generation.
        resume: Where an earlier run of the same search stopped.

    Returns:
        The best formula met.
    """
    world = FormulaEnvironment(problem, 1, seed)
    tools_of_trade = _toolbox()
    size = max(4, population)
    random.seed(seed)
    if resume is None:
        done = 0
        start = np.log(np.asarray(problem.start) + TRACE_PERCENT)
        noise = world.rng.normal(0.0, SPREAD, size=(size, len(start)))
        noise[0] = 0.0
        individuals = [_individual(row) for row in start + noise]
        _score(world, individuals)
    else:
        done = resume.step
        individuals = _restored(world, resume)
    for generation in range(done + 1, generations + 1):
        elite = [tools_of_trade.clone(one) for one in tools.selBest(individuals, ELITE)]
        children = [
            tools_of_trade.clone(one)
            for one in tools.selTournament(individuals, len(individuals) - ELITE, TOURNAMENT)
        ]
        for left, right in zip(children[::2], children[1::2], strict=False):
            if random.random() < CROSSOVER_PROBABILITY:  # noqa: S311 - no secret
                tools_of_trade.mate(left, right)
                del left.fitness.values, right.fitness.values
        for child in children:
            if random.random() < MUTATION_PROBABILITY:  # noqa: S311 - no secret
                tools_of_trade.mutate(child)
                del child.fitness.values
        individuals = elite + children
        _score(world, individuals)
        scores = [one.fitness.values[0] for one in individuals]
        figures = {
            "step": float(generation),
            "reward": float(np.mean(scores)),
            "best": world.best_score,
            "spread": float(np.std(scores)),
        }
        observer.scalars(generation, {f"genetic/{name}": value for name, value in figures.items()})
        observer.progress(generation, figures)
        observer.keep(
            _snapshot(world, individuals, generation), figures, last=generation == generations
        )
    return Found(
        world.best_shares,
        world.best_score,
        world.start_score,
        {"step": float(max(done, generations))},
    )


def _toolbox() -> Any:
    toolbox = base.Toolbox()
    toolbox.register("mate", tools.cxBlend, alpha=0.3)
    toolbox.register(
        "mutate", tools.mutGaussian, mu=0.0, sigma=MUTATION_SIGMA, indpb=GENE_PROBABILITY
    )
    return toolbox


def _individual(row: NDArray[np.float64]) -> Any:
    return creator.Logarithms(float(value) for value in row)


def _score(world: FormulaEnvironment, individuals: list[Any]) -> None:
    """Score those that have changed, all at once, and note the best ever met."""
    changed = [one for one in individuals if not one.fitness.valid]
    if not changed:
        return
    logarithms = np.clip(np.array(changed), -12.0, 12.0)
    shares = world.chemistry.legalised(np.exp(logarithms))
    scores = world.chemistry.scores(shares)
    for one, score in zip(changed, scores, strict=True):
        one.fitness.values = (float(score),)
    best = int(np.argmax(scores))
    if scores[best] > world.best_score:
        world.best_score = float(scores[best])
        world.best_shares = shares[best].copy()


def _snapshot(world: FormulaEnvironment, individuals: list[Any], generation: int) -> Checkpoint:
    version, words, gauss_next = random.getstate()
    return Checkpoint(
        generation,
        {
            "population": np.array(individuals),
            "fitness": np.array([one.fitness.values[0] for one in individuals]),
            "best_shares": world.best_shares.copy(),
        },
        {"python": [version, list(words), gauss_next], "best_score": world.best_score},
    )


def _restored(world: FormulaEnvironment, checkpoint: Checkpoint) -> list[Any]:
    individuals = [_individual(row) for row in checkpoint.tensors["population"]]
    for one, fitness in zip(individuals, checkpoint.tensors["fitness"], strict=True):
        one.fitness.values = (float(fitness),)
    world.best_shares = np.array(checkpoint.tensors["best_shares"])
    world.best_score = float(checkpoint.facts["best_score"])
    version, words, gauss_next = checkpoint.facts["python"]
    random.setstate((version, tuple(words), gauss_next))
    return individuals
