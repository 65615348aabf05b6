"""What the batching engine needs of a model, and what it promises its callers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol


class GenerationError(Exception):
    """A request ended without text."""


class DeadlineExceeded(GenerationError):
    """The request's time was up before its text was complete."""


class GenerationCancelled(GenerationError):
    """The caller gave the request up."""


class EngineStopped(GenerationError):
    """The engine is shutting down and takes no more requests."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """
    How the next token is chosen; requests of one batch share it.

    ``temperature`` 0 is greedy, which makes the answer reproducible.
    """

    temperature: float = 0.0
    top_p: float = 1.0


GREEDY = Sampling()


class TextModel(Protocol):
    """A loaded model that continues many prompts at once."""

    @property
    def name(self) -> str:
        """Return the ensemble entry's name."""
        ...

    @property
    def digest(self) -> str:
        """Return a hash that changes with the weights or the tokenizer."""
        ...

    def generate(
        self,
        prompts: Sequence[str],
        *,
        max_new_tokens: int,
        sampling: Sampling,
        is_abandoned: Callable[[int], bool],
    ) -> list[str]:
        """
        Continue every prompt.

        Args:
            prompts: At least one.
            max_new_tokens: Upper bound for each continuation.
            sampling: Shared by the whole batch.
            is_abandoned: Asked between tokens with the index of a prompt; true
                stops that row, whose text is then incomplete.

        Returns:
            One continuation per prompt, in order, special tokens removed.
        """
        ...
