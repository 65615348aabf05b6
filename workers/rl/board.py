"""
What the searches of this worker are at, told by its children to the parent's heartbeat.

Memory that is shared by the fork: a place for each child, written without a lock.  A
reader may meet figures of two updates in one row; nobody decides by them.
"""

from __future__ import annotations

import ctypes
import math
import multiprocessing
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

_NAME_BYTES = 64


class _Row(ctypes.Structure):
    _fields_ = (
        ("task_id", ctypes.c_char * _NAME_BYTES),
        ("method", ctypes.c_char * _NAME_BYTES),
        ("steps", ctypes.c_double),
        ("step", ctypes.c_double),
        ("reward", ctypes.c_double),
        ("entropy", ctypes.c_double),
        ("checkpoint_at", ctypes.c_double),
    )


class Board:
    """
    A row for each child, and when the newest checkpoint of all was written.

    Made before the fork; not a number stands for what is not known.

    Args:
        places: Children at the same time.
        newest_at: Epoch seconds of the newest checkpoint so far, None where there is none.
    """

    def __init__(self, places: int, newest_at: float | None = None) -> None:
        self._rows = multiprocessing.RawArray(_Row, max(1, places))
        self._newest = multiprocessing.RawValue("d", _of(newest_at))

    def begin(self, place: int, task_id: str, method: str, steps: int) -> None:
        """Take the row of a child for a search that begins."""
        row = self._rows[place % len(self._rows)]
        row.step = row.reward = row.entropy = row.checkpoint_at = math.nan
        row.steps, row.method = steps, method.encode()[: _NAME_BYTES - 1]
        row.task_id = task_id.encode()[: _NAME_BYTES - 1]

    def note(self, place: int, figures: Mapping[str, float]) -> None:
        """Write how far the search of a child is."""
        row = self._rows[place % len(self._rows)]
        row.step = figures["step"]
        row.reward = figures["reward"]
        row.entropy = figures.get("entropy", math.nan)

    def kept(self, place: int, at: float | None = None) -> None:
        """Note a checkpoint, written now or, of a search that is resumed, at *at*."""
        moment = time.time() if at is None else at
        self._rows[place % len(self._rows)].checkpoint_at = moment
        self._newest.value = moment if at is None else max(moment, _or(self._newest.value, moment))

    def told(self, task_ids: Collection[str]) -> dict[str, Any]:
        """Return what the heartbeat tells of those that run; rows of others are old."""
        return {
            "training": [
                {
                    "task_id": row.task_id.decode(),
                    "method": row.method.decode(),
                    **{
                        name: _known(getattr(row, name))
                        for name in ("steps", "step", "reward", "entropy", "checkpoint_at")
                    },
                }
                for row in self._rows
                if row.task_id and row.task_id.decode() in task_ids
            ],
            "newest_checkpoint_at": _known(self._newest.value),
        }


def newest_checkpoint_at(directory: Path) -> float | None:
    """Return when the newest checkpoint of any job was written; None where none is seen."""
    newest: float | None = None
    try:
        for path in directory.glob("*/step-*"):
            newest = max(newest or 0.0, path.stat().st_mtime)
    except OSError:
        return newest
    return newest


def _of(value: float | None) -> float:
    return math.nan if value is None else value


def _or(value: float, other: float) -> float:
    return other if math.isnan(value) else value


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
