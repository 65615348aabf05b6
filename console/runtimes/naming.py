"""Names of new replicas, the same in every runtime that chooses them itself."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count as count_from


def lowest_free_names(service: str, count: int, taken: Iterable[str]) -> list[str]:
    """
    Return *count* names ``<service>-<number>`` with the lowest free numbers.

    Low numbers are reused on purpose: an operator who scales 3 → 2 → 3 finds the
    same names again in logs and history.
    """
    used = set(taken)
    names: list[str] = []
    for number in count_from(1):
        if len(names) >= count:
            break
        if (name := f"{service}-{number}") not in used:
            names.append(name)
    return names


def service_of(replica: str) -> str:
    """Return the service that a replica's name speaks of, "" when it speaks of none."""
    service, _, number = replica.rpartition("-")
    return service if number.isdigit() else ""
