"""Write access that ran out: recorded when it ends, with what used it."""

from __future__ import annotations

from console.domain.snapshot import Snapshot
from console.ports import Journal


class ElevationDuty:
    """
    The agent's eye on write access.

    Args:
        journal: Knows it, and takes the record.
    """

    name = "elevation"

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def attend(self, snapshot: Snapshot) -> None:  # noqa: ARG002 -- as every duty
        """Record the end of write access that has run out."""
        self._journal.settle_elevation()
