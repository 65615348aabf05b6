"""What a job asks for: the JSON in its row's ``payload``, written by the API, read by workers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Method(StrEnum):
    """How a formula is optimised."""

    PPO = "ppo"
    GENETIC = "genetic"


@dataclass(frozen=True, slots=True)
class BriefPayload:
    """
    A brief in plain words; payload of a job of kind ``compose``.

    Args:
        text: What the fragrance should be, as a person wrote it.
        max_price: Highest price of the concentrate, euro per kilogram; None for any.
        exclude: Material ids that must not be used.
    """

    text: str
    max_price: float | None = None
    exclude: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form."""
        return asdict(self) | {"exclude": list(self.exclude)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> BriefPayload:
        """Read the JSON form; raises ValueError."""
        try:
            price = data.get("max_price")
            return cls(
                str(data["text"]),
                None if price is None else float(price),
                tuple(str(name) for name in data.get("exclude") or ()),
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a brief: {error!r}") from error


@dataclass(frozen=True, slots=True)
class OptimizationPayload:
    """
    A formula to be improved; payload of a job of kind ``optimize``.

    Args:
        formula_id: A stored formula.
        method: How.
        steps: Environment steps (ppo) or generations (genetic).
    """

    formula_id: str
    method: Method
    steps: int

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form."""
        return asdict(self) | {"method": self.method.value}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> OptimizationPayload:
        """Read the JSON form; raises ValueError."""
        try:
            return cls(str(data["formula_id"]), Method(data["method"]), int(data["steps"]))
        except (KeyError, TypeError) as error:
            raise ValueError(f"not an optimisation: {error!r}") from error
