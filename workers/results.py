"""What is shown with a finished job, the same shape for both kinds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from backend.contracts.formula import Formula
from backend.contracts.perfumery import Verdict, cost_per_kg


def composed_result(
    formula: Formula, verdict: Verdict, origin: Mapping[str, Any]
) -> dict[str, Any]:
    """
    Return the JSON result of a job that made a formula.

    Args:
        formula: What was made.
        verdict: The independent judge's.
        origin: Model or method, and the figures that go with it.
    """
    return {
        "formula": formula.to_json(),
        "cost_per_kg": round(cost_per_kg(formula.composition()), 2),
        "verdict": asdict(verdict),
        "origin": dict(origin),
    }
