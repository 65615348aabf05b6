"""What a worker's image proves of itself; see :mod:`backend.contracts.selfcheck`."""

from __future__ import annotations

from backend.contracts.selfcheck import Check, common_checks, expect, run_checks
from backend.contracts.settings import load_settings
from backend.contracts.tasks import Queue

COMMON = (
    "workers.run",
    "workers.control",
    "celery.bin.worker",
    "psycopg",
    "psycopg_binary",
)
MODULES = {
    Queue.LLM: (*COMMON, "workers.llm.service", "workers.llm.tasks", "workers.llm.model"),
    Queue.RL: (*COMMON, "workers.rl.service", "workers.rl.tasks", "tensorboard.main"),
}
BRIEF = "a fresh citrus cologne with a warm woody base"
INGREDIENTS = 5


def selfcheck(queue: Queue, *, as_json: bool) -> int:
    """Run the checks of one kind of worker; 0 when all passed, else 1."""
    own: dict[str, Check] = {
        Queue.LLM: {"ensemble": _check_ensemble, "models": _check_models},
        Queue.RL: {"entropy": _check_entropy, "environment": _check_environment},
    }[queue]
    return run_checks(common_checks(MODULES[queue]) | own, as_json=as_json)


def _check_ensemble() -> str:
    from workers.llm.ensemble import load_ensemble

    return ", ".join(f"{m.name} from {m.source}" for m in load_ensemble(load_settings()).models)


def _check_models() -> str:
    """Every built-in model is what its manifest says, loads, and says a token."""
    from workers.llm.builtin import ARCHITECTURES
    from workers.llm.model import HuggingFaceModel
    from workers.llm.packaged import PACKAGED_DIRECTORY, verify
    from workers.llm.ports import GREEDY
    from workers.llm.prompts import builtin_prompt

    said = []
    for name in ARCHITECTURES:
        directory = PACKAGED_DIRECTORY / name
        model = HuggingFaceModel.load_directory(name, directory, digest=verify(directory))
        answers = model.generate(
            [builtin_prompt(BRIEF)],
            max_new_tokens=1,
            sampling=GREEDY,
            is_abandoned=lambda _index: False,
        )
        expect(answers[0], f"{name} says nothing")
        said.append(f"{name} {model.digest[:12]}")
    return ", ".join(said)


def _check_entropy() -> str:
    from workers.rl.entropy import EntropySchedule

    schedule = EntropySchedule(0.01, 0.001, 100)
    expect(schedule.value(0) == 0.01, "the schedule does not begin at 0.01")
    expect(abs(schedule.value(100) - 0.001) < 1e-12, "the schedule does not end at 0.001")
    return "0.01 to 0.001 over 100 steps"


def _check_environment() -> str:
    """An environment of five ingredients resets, and a network chooses a first step in it."""
    import numpy as np
    from stable_baselines3 import PPO

    from backend.contracts.perfumery import CARRIER, FAMILIES, MATERIALS, PROHIBITED
    from workers.rl.environment import FormulaEnvironment, Problem
    from workers.rl.vector_environment import FormulaVectorEnvironment

    names = [id_ for id_ in sorted(MATERIALS) if id_ != CARRIER and id_ not in PROHIBITED]
    target = [1.0] + [0.0] * (len(FAMILIES) - 1)
    share = 20.0 / INGREDIENTS
    problem = Problem(
        ingredients=tuple(names[:INGREDIENTS]),
        start=(*[share] * INGREDIENTS, 80.0),
        target=tuple(target),
        dosage_percent=15.0,
        reference_cost=100.0,
    )
    environment = FormulaVectorEnvironment(FormulaEnvironment(problem, copies=2, seed=1))
    seen = environment.reset()
    actions, _ = PPO("MlpPolicy", environment, device="cpu").predict(seen)
    _, rewards, _, _ = environment.step(actions)
    expect(bool(np.isfinite(rewards).all()), "a reward is no figure")
    return f"{INGREDIENTS} ingredients, {seen.shape[1]} figures seen"
