"""
The audit: one entry for every change, chained by hashes.

Each entry carries the hash of the one before, so that changing or removing one
breaks every later one; the journal keeps the head, so that a cut tail is noticed.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from console.domain.plans import Json

#: ``previous`` of the first entry.
GENESIS = "0" * 64


@dataclass(frozen=True, slots=True)
class AuditVerdict:
    """
    Result of recomputing the chain.

    Args:
        valid: True when every entry and the head agree.
        entries: Entries found.
        first_bad: Number of the first entry that is wrong or missing, from 1;
            None when valid.
        reason: What is wrong with it, "" when valid.
    """

    valid: bool
    entries: int
    first_bad: int | None = None
    reason: str = ""


def seal(content: dict[str, Json], seq: int, previous: str) -> dict[str, Json]:
    """Return *content* as entry number *seq*, chained to the hash *previous*."""
    entry = {**content, "seq": seq, "previous": previous}
    return {**entry, "hash": entry_hash(entry)}


def entry_hash(entry: dict[str, Json]) -> str:
    """Return the hash over everything in *entry* but its own ``hash``."""
    rest = {key: value for key, value in entry.items() if key != "hash"}
    return hashlib.sha256(to_line(rest).encode()).hexdigest()


def to_line(entry: dict[str, Json]) -> str:
    """Return the one canonical spelling of *entry*, without the newline."""
    return json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def verify_chain(lines: list[str], head_seq: int, head_hash: str) -> AuditVerdict:
    """
    Recompute the chain.

    Args:
        lines: The file's lines, oldest first.
        head_seq: Number of entries the journal knows to be written.
        head_hash: Hash of the last of them, :data:`GENESIS` when there are none.
    """
    previous = GENESIS
    for number, line in enumerate(lines, 1):
        wrong = _wrong_with(line, number, previous)
        if wrong is None and number == head_seq and _hash_of(line) != head_hash:
            wrong = "it is not the entry the journal remembers"
        if wrong is None and number > head_seq:
            wrong = "the journal does not know it"
        if wrong is not None:
            return AuditVerdict(False, len(lines), number, wrong)
        previous = _hash_of(line)
    if len(lines) < head_seq:
        return AuditVerdict(
            False, len(lines), len(lines) + 1, f"{head_seq - len(lines)} entries are missing"
        )
    return AuditVerdict(True, len(lines))


def _wrong_with(line: str, number: int, previous: str) -> str | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return "it is not JSON"
    if not isinstance(entry, dict) or entry.get("seq") != number:
        return f"it is not entry {number}"
    if entry.get("previous") != previous:
        return "it does not follow the entry before it"
    if entry.get("hash") != entry_hash(entry):
        return "its content was changed"
    return None


def _hash_of(line: str) -> str:
    return str(json.loads(line)["hash"])
