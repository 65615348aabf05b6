"""Checks: one question, answered pass, warn, fail or unknown."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class CheckStatus(StrEnum):
    """A source that is unavailable makes *unknown*, never pass."""

    PASS = "pass"  # noqa: S105 -- a status, not a password
    WARN = "warn"
    FAIL = "fail"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """Answer of one check; ``remedy`` is what to type or do next, "" when nothing."""

    id: str
    status: CheckStatus
    summary: str
    remedy: str = ""
