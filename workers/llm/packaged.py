"""
A model directory that can be trusted: every file hashed in a manifest, nothing pickled.

The manifest's own hash is the model's digest; results are cached under it.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from workers.errors import CannotServe

MANIFEST_NAME = "manifest.json"
PACKAGED_DIRECTORY = Path(__file__).with_name("models")
_CHUNK_BYTES = 1 << 20


class ModelUnusable(CannotServe):
    """A model directory is missing, incomplete or not what its manifest says."""


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def write_manifest(directory: Path, facts: dict[str, Any]) -> None:
    """
    Hash every file of *directory* and write the manifest beside them.

    Args:
        directory: A finished model directory.
        facts: What else the manifest says of the model: its origin and measured figures.
    """
    files = {
        str(path.relative_to(directory)): {
            "sha256": sha256_of(path),
            "size_bytes": path.stat().st_size,
        }
        for path in sorted(directory.rglob("*"))
        if path.is_file() and path.name != MANIFEST_NAME
    }
    content = {"schema_version": 1, **facts, "files": files}
    (directory / MANIFEST_NAME).write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")


def verify(directory: Path) -> str:
    """
    Check a model directory against its manifest.

    Args:
        directory: Holds the manifest and the files it names.

    Returns:
        The digest of the manifest, hexadecimal: it changes with any file.

    Raises:
        ModelUnusable: If anything is missing, changed, or not named in the manifest.
    """
    manifest_path = directory / MANIFEST_NAME
    try:
        raw = manifest_path.read_bytes()
        files: dict[str, dict[str, Any]] = json.loads(raw)["files"]
    except FileNotFoundError as error:
        raise ModelUnusable(f"no model with a manifest in {directory}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ModelUnusable(f"{manifest_path} cannot be read: {error}") from error
    present = {
        str(path.relative_to(directory))
        for path in directory.rglob("*")
        if path.is_file() and path.name != MANIFEST_NAME
    }
    if extra := sorted(present - set(files)):
        raise ModelUnusable(f"{directory} holds files its manifest does not name: {extra}")
    for name, facts in files.items():
        if name not in present:
            raise ModelUnusable(f"{directory} lacks {name}")
        if sha256_of(directory / name) != facts["sha256"]:
            raise ModelUnusable(f"{directory / name} is not the file its manifest describes")
    return hashlib.sha256(raw).hexdigest()
