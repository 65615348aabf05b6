"""
PPO on the environment, able to stop after any update and go on bit by bit the same.

The library's own save format is a pickle, so the state is taken apart here: weights,
optimizer, every random generator, the environment, and the counters of the algorithm.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import KVWriter, Logger

from workers.rl.checkpoint import Checkpoint
from workers.rl.entropy import EntropySchedule
from workers.rl.environment import EPISODE_STEPS, FormulaEnvironment, Problem
from workers.rl.search import Found, Observer
from workers.rl.vector_environment import FormulaVectorEnvironment

ROLLOUT_STEPS = 2 * EPISODE_STEPS
MINIBATCHES = 4
EPOCHS = 6
LEARNING_RATE = 1e-3
MAX_SCHEDULE_UPDATES = 100


def train(
    problem: Problem,
    *,
    steps: int,
    copies: int,
    seed: int,
    observer: Observer,
    resume: Checkpoint | None = None,
) -> Found:
    """
    Search with PPO.

    Args:
        problem: What is optimised.
        steps: Environment steps, over all copies; rounded up to whole updates.
        copies: Formulas in the batch.
        seed: Makes the search reproducible.
        observer: Told after each update.
        resume: Where an earlier run of the same search stopped.

    Returns:
        The best formula met.
    """
    environment = FormulaEnvironment(problem, copies, seed)
    vector = FormulaVectorEnvironment(environment, observer.episodes)
    rollout = ROLLOUT_STEPS * copies
    updates = max(1, -(-steps // rollout))
    agent = PPO(
        "MlpPolicy",
        vector,
        n_steps=ROLLOUT_STEPS,
        batch_size=max(2, rollout // MINIBATCHES),
        n_epochs=EPOCHS,
        learning_rate=LEARNING_RATE,
        gamma=0.95,
        ent_coef=EntropySchedule().initial,
        policy_kwargs={"net_arch": [64, 64]},
        device="cpu",
        seed=seed,
    )
    agent.set_logger(Logger(None, [_Curves(observer)]))
    if resume is not None:
        _restore(agent, vector, resume)
    schedule = EntropySchedule(decay_steps=min(MAX_SCHEDULE_UPDATES, updates))
    callback = _AfterUpdate(vector, schedule, observer)
    remaining = updates * rollout - agent.num_timesteps
    if remaining > 0:
        agent.learn(remaining, callback, reset_num_timesteps=resume is None)
    return Found(
        environment.best_shares,
        environment.best_score,
        environment.start_score,
        callback.figures(agent),
    )


class _AfterUpdate(BaseCallback):  # type: ignore[misc]  # stable-baselines3 is untyped here
    """Lower the entropy coefficient at each rollout's end; keep the state after each update."""

    def __init__(
        self, vector: FormulaVectorEnvironment, schedule: EntropySchedule, observer: Observer
    ) -> None:
        super().__init__()
        self._vector = vector
        self._schedule = schedule
        self._observer = observer
        self._reward: float | None = None

    def figures(self, agent: Any) -> dict[str, float]:
        """Return what is shown of a running search."""
        environment = self._vector.environment
        return {
            "step": float(agent.num_timesteps),
            "reward": self._reward if self._reward is not None else environment.best_score,
            "entropy": float(agent.ent_coef),
            "best": environment.best_score,
            "updates": float(agent._n_updates // EPOCHS),
        }

    def _on_step(self) -> bool:
        return True

    def _on_rollout_start(self) -> None:
        """Run between two updates: the last one is complete, the next not begun."""
        if self.model._n_updates > 0:
            self._keep(last=False)

    def _on_rollout_end(self) -> None:
        self._reward = float(self.model.rollout_buffer.rewards.mean())
        self.model.ent_coef = self._schedule.value(self.model._n_updates // EPOCHS)
        self.logger.record("train/entropy_coefficient", self.model.ent_coef)
        self.logger.record("rollout/reward_mean", self._reward)
        self.logger.record("rollout/best_score", self._vector.environment.best_score)
        self._observer.progress(self.model.num_timesteps, self.figures(self.model))

    def _on_training_end(self) -> None:
        self._keep(last=True)

    def _keep(self, *, last: bool) -> None:
        checkpoint = _snapshot(self.model, self._vector)
        self._observer.keep(checkpoint, self.figures(self.model), last=last)


class _Curves(KVWriter):  # type: ignore[misc]  # stable-baselines3 is untyped here
    """Hand the library's figures to the observer."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer

    def write(self, key_values: dict[str, Any], key_excluded: Any, step: int = 0) -> None:
        """Pass numbers on; text has no curve."""
        del key_excluded
        numbers = {
            name: float(value)
            for name, value in key_values.items()
            if isinstance(value, int | float | np.number)
        }
        self._observer.scalars(step, numbers)

    def close(self) -> None:
        """Nothing to release."""


def _snapshot(agent: Any, vector: FormulaVectorEnvironment) -> Checkpoint:
    tensors: dict[str, NDArray[Any]] = {
        f"policy.{name}": value.detach().numpy().copy()
        for name, value in agent.policy.state_dict().items()
    }
    optimizer = agent.policy.optimizer.state_dict()
    for index, state in optimizer["state"].items():
        for name, value in state.items():
            tensors[f"optimizer.{index}.{name}"] = torch.as_tensor(value).numpy().copy()
    environment = vector.environment
    tensors |= {
        "torch.rng": torch.get_rng_state().numpy().copy(),
        "environment.shares": environment.shares.copy(),
        "environment.steps_left": environment.steps_left.copy(),
        "environment.best_shares": environment.best_shares.copy(),
        "environment.returns": vector.returns.copy(),
        "agent.last_observation": np.array(agent._last_obs),
        "agent.last_episode_starts": np.array(agent._last_episode_starts),
    }
    # Minibatches are drawn by numpy's global generator.
    name, keys, position, has_gauss, gauss = np.random.get_state()
    tensors["numpy.keys"] = np.asarray(keys)
    facts = {
        "numpy": [name, position, has_gauss, gauss],
        "python": _jsonable(random.getstate()),
        "environment": environment.rng.bit_generator.state,
        "best_score": environment.best_score,
        "updates": agent._n_updates,
        "parameter_groups": [
            {key: value for key, value in group.items() if key != "params"}
            for group in optimizer["param_groups"]
        ],
        "parameters": [group["params"] for group in optimizer["param_groups"]],
    }
    return Checkpoint(agent.num_timesteps, tensors, facts)


def _restore(agent: Any, vector: FormulaVectorEnvironment, checkpoint: Checkpoint) -> None:
    tensors, facts = checkpoint.tensors, checkpoint.facts
    agent.policy.load_state_dict(_torch_part(tensors, "policy."))
    states: dict[int, dict[str, torch.Tensor]] = {}
    for name, value in _torch_part(tensors, "optimizer.").items():
        index, _, part = name.partition(".")
        states.setdefault(int(index), {})[part] = value
    groups = zip(facts["parameter_groups"], facts["parameters"], strict=True)
    agent.policy.optimizer.load_state_dict(
        {
            "state": states,
            "param_groups": [{**group, "params": params} for group, params in groups],
        }
    )
    environment = vector.environment
    environment.shares = np.array(tensors["environment.shares"])
    environment.steps_left = np.array(tensors["environment.steps_left"])
    environment.best_shares = np.array(tensors["environment.best_shares"])
    environment.best_score = float(facts["best_score"])
    environment.rng.bit_generator.state = facts["environment"]
    vector.returns[:] = tensors["environment.returns"]
    agent._last_obs = np.array(tensors["agent.last_observation"])
    agent._last_episode_starts = np.array(tensors["agent.last_episode_starts"])
    agent.num_timesteps = checkpoint.step
    agent._n_updates = int(facts["updates"])
    torch.set_rng_state(torch.from_numpy(np.array(tensors["torch.rng"])))
    name, position, has_gauss, gauss = facts["numpy"]
    state = (name, np.array(tensors["numpy.keys"]), position, has_gauss, gauss)
    np.random.set_state(state)
    version, words, gauss_next = facts["python"]
    random.setstate((version, tuple(words), gauss_next))


def _torch_part(tensors: Mapping[str, NDArray[Any]], prefix: str) -> dict[str, torch.Tensor]:
    return {
        name.removeprefix(prefix): torch.from_numpy(np.array(value))
        for name, value in tensors.items()
        if name.startswith(prefix)
    }


def _jsonable(state: Any) -> Any:
    return [_jsonable(part) for part in state] if isinstance(state, tuple) else state
