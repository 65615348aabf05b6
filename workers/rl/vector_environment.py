"""The environment behind stable-baselines3's vector interface, without a Python loop per copy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv

from workers.rl.environment import EPISODE_STEPS, FormulaEnvironment


class FormulaVectorEnvironment(VecEnv):  # type: ignore[misc]  # stable-baselines3 is untyped here
    """
    Adapt a batch of formulas.

    Args:
        environment: Stepped as a whole.
        on_episodes: Called with the number of episodes that ended in a step.
    """

    def __init__(
        self, environment: FormulaEnvironment, on_episodes: Callable[[int], None] | None = None
    ) -> None:
        self.environment = environment
        self._on_episodes = on_episodes
        self._actions: NDArray[np.floating] | None = None
        self._returns = np.zeros(environment.copies)
        super().__init__(
            environment.copies,
            spaces.Box(0.0, 1.0, (environment.observation_size,), np.float32),
            spaces.Box(-1.0, 1.0, (environment.action_size,), np.float32),
        )

    @property
    def returns(self) -> NDArray[np.float64]:
        """Rewards of the running episodes so far, one figure per copy."""
        return self._returns

    def reset(self) -> NDArray[np.float32]:
        """Begin an episode in every copy."""
        self._returns[:] = 0.0
        return self.environment.reset()

    def step_async(self, actions: NDArray[np.floating]) -> None:
        """Keep the actions for :meth:`step_wait`."""
        self._actions = actions

    def step_wait(self) -> Any:
        """Step every copy; only those whose episode ended get an entry of their own."""
        if self._actions is None:
            raise RuntimeError("step_wait without step_async")
        before_last = self.environment.steps_left <= 1
        observations, rewards, ended = self.environment.step(self._actions)
        self._actions = None
        self._returns += rewards
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        for index in np.flatnonzero(before_last & ended):
            mean = float(self._returns[index]) / EPISODE_STEPS
            infos[index] = {"episode": {"r": mean, "l": EPISODE_STEPS}}
        count = int(ended.sum())
        if count:
            self._returns[ended] = 0.0
            if self._on_episodes is not None:
                self._on_episodes(count)
        return observations, rewards.astype(np.float32), ended, infos

    def close(self) -> None:
        """Nothing to release."""

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """Return an attribute for each copy; only what the library itself asks for."""
        del indices
        if attr_name == "render_mode":
            return [None] * self.num_envs
        raise AttributeError(attr_name)

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Refuse: copies have no attributes of their own."""
        del value, indices
        raise AttributeError(attr_name)

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> Any:
        """Refuse: copies have no methods of their own."""
        del args, indices, kwargs
        raise AttributeError(method_name)

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        """Say that nothing is wrapped."""
        del wrapper_class, indices
        return [False] * self.num_envs
