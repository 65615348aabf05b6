"""
Checkpoints that are whole or not there.

A directory is written under a temporary name, its files and itself synced, renamed, and
the parent synced; a manifest holds the SHA-256 of every file.  What a crash leaves
behind is swept at the next start, and a damaged checkpoint is passed over for the one
before it.  State is kept as safetensors and JSON: nothing is ever unpickled.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import structlog
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

log = structlog.get_logger(__name__)

STATE_NAME = "state.safetensors"
MANIFEST_NAME = "manifest.json"
_PREFIX = "step-"
_TEMPORARY_PREFIX = ".writing-"
KEPT = 2
"""Checkpoints of a job that stay: the newest and the one to fall back to."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """
    A state to go on from.

    Args:
        step: How far it is: environment steps or generations.
        tensors: Arrays by name.
        facts: JSON values: counters, generators, what is to be compared at resuming.
        path: Where it lies; None before it is saved.
    """

    step: int
    tensors: Mapping[str, NDArray[Any]]
    facts: Mapping[str, Any]
    path: Path | None = None


class CheckpointStore:
    """
    The checkpoints of one job.

    Args:
        directory: Made when the first checkpoint is saved.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def sweep(self) -> None:
        """Remove what an interrupted save has left."""
        for stray in self._directory.glob(f"{_TEMPORARY_PREFIX}*"):
            shutil.rmtree(stray, ignore_errors=True)

    def save(self, checkpoint: Checkpoint) -> Path:
        """
        Write a checkpoint durably and drop the oldest beyond :data:`KEPT`.

        Returns:
            Its directory; an existing one of the same step is left as it is.

        Raises:
            OSError: If it cannot be written; the earlier ones are untouched.
        """
        final = self._directory / f"{_PREFIX}{checkpoint.step:012d}"
        self._directory.mkdir(parents=True, exist_ok=True)
        if final.exists():
            if self._read(final) is not None:
                return final
            shutil.rmtree(final)
        scratch = Path(tempfile.mkdtemp(prefix=_TEMPORARY_PREFIX, dir=self._directory))
        try:
            state = save_tensors(
                {name: np.array(array, order="C") for name, array in checkpoint.tensors.items()}
            )
            manifest = {
                "schema_version": 1,
                "step": checkpoint.step,
                "facts": dict(checkpoint.facts),
                "files": {STATE_NAME: hashlib.sha256(state).hexdigest()},
            }
            _write_synced(scratch / STATE_NAME, state)
            _write_synced(scratch / MANIFEST_NAME, json.dumps(manifest).encode())
            scratch.chmod(0o755)
            _sync_directory(scratch)
            scratch.rename(final)
            _sync_directory(self._directory)
        except BaseException:
            shutil.rmtree(scratch, ignore_errors=True)
            raise
        for old in self._candidates()[KEPT:]:
            shutil.rmtree(old, ignore_errors=True)
        return final

    def newest(self) -> Checkpoint | None:
        """Return the newest checkpoint that is whole, or None."""
        for directory in self._candidates():
            checkpoint = self._read(directory)
            if checkpoint is not None:
                return checkpoint
            log.warning("checkpoint_damaged", path=str(directory))
        return None

    def _candidates(self) -> list[Path]:
        return sorted(self._directory.glob(f"{_PREFIX}*"), reverse=True)

    def _read(self, directory: Path) -> Checkpoint | None:
        try:
            manifest = json.loads((directory / MANIFEST_NAME).read_bytes())
            state = (directory / STATE_NAME).read_bytes()
            if hashlib.sha256(state).hexdigest() != manifest["files"][STATE_NAME]:
                return None
            return Checkpoint(
                int(manifest["step"]), load_tensors(state), manifest["facts"], directory
            )
        except (OSError, ValueError, KeyError, TypeError, SafetensorError):
            return None


def _write_synced(path: Path, content: bytes) -> None:
    with path.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
