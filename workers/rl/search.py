"""What every search tells while it runs, and what it leaves in the end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from workers.rl.checkpoint import Checkpoint


@dataclass(frozen=True, slots=True)
class Found:
    """
    The outcome of a search.

    Args:
        shares: Percent by ingredient of the problem, carrier last.
        score: Of these shares.
        start_score: Of the formula the search began with.
        figures: Further numbers to show with the result.
    """

    shares: NDArray[np.float64]
    score: float
    start_score: float
    figures: Mapping[str, float]


class Observer(Protocol):
    """Where a search reports, keeps its state and learns that it should stop."""

    def progress(self, step: int, figures: Mapping[str, float]) -> None:
        """Report figures at *step*; raises what ends the search."""
        ...

    def keep(self, checkpoint: Checkpoint, figures: Mapping[str, float], *, last: bool) -> None:
        """Save a state between two updates; raises what ends the search."""
        ...

    def scalars(self, step: int, figures: Mapping[str, float]) -> None:
        """Draw figures as curves."""
        ...

    def episodes(self, count: int) -> None:
        """Count finished episodes."""
        ...
