"""What lies on the disk and nobody needs any more."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

_RELEASE = re.compile(r"v(\d+)\.(\d+)\.(\d+)")


@dataclass(frozen=True, slots=True)
class Leftover:
    """
    One thing that can go.

    Args:
        name: Unique among its kind: ``fragrance-ai-app:v0.1.0``, ``runner.log.1``.
        size_bytes: What it takes; images share layers, so it may free less.
    """

    name: str
    size_bytes: int

    def __str__(self) -> str:
        return f"{self.name} ({bytes_in_words(self.size_bytes)})"


def bytes_in_words(size_bytes: float) -> str:
    """Return bytes in the largest binary unit that leaves at least 1."""
    for unit in ("B", "KiB", "MiB"):
        if size_bytes < 1024:
            return f"{size_bytes:.0f} {unit}"
        size_bytes /= 1024
    return f"{size_bytes:.1f} GiB"


def superseded(releases: Iterable[str], present: Collection[str], kept: int) -> set[str]:
    """
    Return the releases that nobody goes back to.

    Args:
        releases: Versions there are, ``v0.1.0``; what is no version is never among the answer.
        present: Those in use, or meant to be.
        kept: How many before the oldest of these stay.
    """
    in_use = [found for version in present if (found := _number(version))]
    if not in_use:
        return set()
    older = {v: n for v in releases if (n := _number(v)) and n < min(in_use)}
    newest_first = sorted(older, key=lambda version: older[version], reverse=True)
    return set(newest_first[kept:])


def _number(version: str) -> tuple[int, ...] | None:
    found = _RELEASE.fullmatch(version)
    return tuple(map(int, found.groups())) if found else None
