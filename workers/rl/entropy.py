"""How much an agent explores: a coefficient that falls while it learns."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EntropySchedule:
    """
    Fall in a straight line and stay.

    Args:
        initial: Coefficient at step 0.
        final: Coefficient from *decay_steps* on.
        decay_steps: Steps from one to the other, at least 1.
    """

    initial: float = 0.01
    final: float = 0.001
    decay_steps: int = 100

    def __post_init__(self) -> None:
        if self.decay_steps < 1:
            raise ValueError("a schedule needs at least one step")

    def value(self, step: int) -> float:
        """Return the coefficient at *step*, 0 or more."""
        done = min(1.0, max(0, step) / self.decay_steps)
        return self.initial + (self.final - self.initial) * done
