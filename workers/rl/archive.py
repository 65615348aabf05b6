"""
Old checkpoints: listed, packed away with a checksum, and brought back.

A checkpoint ``JOB/step-N`` becomes ``archive/JOB.step-N.tar.gz`` beside the jobs, with a
``.sha256`` in the form of sha256sum.  The original goes only when the archive was read
back whole; what a crash leaves half done is done again by the next call.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sys
import tarfile
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backend.contracts.settings import SettingsError, load_settings

DONE, FAILED = 0, 1
DIRECTORY = "archive"
_NAME = re.compile(r"[\w-]+/step-\d{12}")
DAY_SECONDS = 86400.0
_BLOCK_BYTES = 1024**2


@dataclass(frozen=True, slots=True)
class Choice:
    """
    Which checkpoints to list.

    Args:
        names: Only these; empty for all.
        older_than_days: Only what was written before.
        keep: Leave out the newest so many of all jobs.
        limit: At most so many, the oldest.
    """

    names: Sequence[str] = ()
    older_than_days: float = 0.0
    keep: int = 0
    limit: int = 1000


def command(action: str, choice: Choice, *, as_json: bool) -> int:
    """
    Carry out ``list``, ``archive`` or ``restore`` and say what came of it.

    Args:
        action: Which.
        choice: Its names are ``JOB/step-000000000100``; the rest is for ``list``.
        as_json: For ``list``.

    Returns:
        0 when it is so (now, or already), 1 when something could not be done.
    """
    try:
        directory = load_settings().rl.checkpoint_directory
        if action == "list":
            return _list(directory, choice, as_json=as_json)
        for name in choice.names:
            (archive if action == "archive" else restore)(directory, name)
    except (OSError, ValueError, SettingsError, tarfile.TarError) as error:
        print(f"error: {error}; nothing was lost", file=sys.stderr)
        return FAILED
    print(f"{action}: {len(choice.names)} done")
    return DONE


def checkpoints(directory: Path) -> list[dict[str, Any]]:
    """Return every checkpoint with ``name``, ``size_bytes`` and ``age_seconds``, newest first."""
    found: list[tuple[float, dict[str, Any]]] = []
    for path in directory.glob("*/step-*"):
        name = f"{path.parent.name}/{path.name}"
        if not _NAME.fullmatch(name) or not path.is_dir():
            continue
        age = max(0.0, time.time() - path.stat().st_mtime)
        size = sum(file.stat().st_size for file in path.iterdir() if file.is_file())
        found.append((age, {"name": name, "size_bytes": size, "age_seconds": round(age)}))
    return [each for _, each in sorted(found, key=lambda pair: pair[0])]


def archive(directory: Path, name: str) -> None:
    """
    Pack one checkpoint away; idempotent.

    Raises:
        OSError: If it cannot be written; the original is where it was.
        ValueError: If what was written does not read back, or there is no such checkpoint.
    """
    original, packed = _places(directory, name)
    if not original.is_dir():
        _check(packed)
        return
    packed.parent.mkdir(exist_ok=True)
    descriptor, scratch = tempfile.mkstemp(prefix=".writing-", dir=packed.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            with tarfile.open(fileobj=file, mode="w:gz") as tar:
                tar.add(original, arcname=original.name)
            file.flush()
            os.fsync(file.fileno())
        _compare(Path(scratch), original)
        checksum = Path(f"{packed}.sha256")
        with checksum.open("w", encoding="utf-8") as file_of_sum:
            file_of_sum.write(f"{_sha256(Path(scratch))}  {packed.name}\n")
            file_of_sum.flush()
            os.fsync(file_of_sum.fileno())
        Path(scratch).chmod(0o644)
        Path(scratch).replace(packed)
        _sync(packed.parent)
    finally:
        Path(scratch).unlink(missing_ok=True)
    _check(packed)
    shutil.rmtree(original)


def restore(directory: Path, name: str) -> None:
    """
    Bring one checkpoint back; idempotent.

    Raises:
        OSError: If it cannot be read or written; the archive stays.
        ValueError: If the archive is damaged, or there is none.
    """
    original, packed = _places(directory, name)
    if not original.is_dir():
        _check(packed)
        original.parent.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".writing-", dir=original.parent) as scratch:
            _unpack(packed, Path(scratch) / original.name)
            (Path(scratch) / original.name).rename(original)
        _sync(original.parent)
    packed.unlink(missing_ok=True)
    Path(f"{packed}.sha256").unlink(missing_ok=True)


def _list(directory: Path, choice: Choice, *, as_json: bool) -> int:
    oldest_first = [
        each
        for each in checkpoints(directory)[choice.keep :][::-1]
        if each["age_seconds"] >= choice.older_than_days * DAY_SECONDS
        and (not choice.names or each["name"] in choice.names)
    ]
    found = oldest_first[: choice.limit]
    if as_json:
        print(json.dumps(found))
    else:
        for each in found:
            print(f"{each['name']}  {each['size_bytes']} bytes  {each['age_seconds']} s old")
    return DONE


def _places(directory: Path, name: str) -> tuple[Path, Path]:
    """Return where a checkpoint lies, and where its archive does."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no checkpoint's name")
    return directory / name, directory / DIRECTORY / f"{name.replace('/', '.')}.tar.gz"


def _check(packed: Path) -> None:
    try:
        wanted = Path(f"{packed}.sha256").read_text(encoding="utf-8").split()[0]
        same = _sha256(packed) == wanted
    except (FileNotFoundError, IndexError) as error:
        raise ValueError(f"{packed.name} is not there, or not whole") from error
    if not same:
        raise ValueError(f"{packed.name} is damaged: its checksum differs")


def _compare(packed: Path, original: Path) -> None:
    """Raise ValueError unless every file of *original* reads back from *packed* as it is."""
    with tarfile.open(packed) as tar:
        for path in (each for each in original.rglob("*") if each.is_file()):
            member = tar.extractfile(f"{original.name}/{path.relative_to(original)}")
            if member is None or member.read() != path.read_bytes():
                raise ValueError(f"the archive of {original} does not read back")


def _unpack(packed: Path, target: Path) -> None:
    """
    Write what *packed* holds into *target*, as old as it was.

    By hand: only newer Pythons can be told to extract nothing but plain files.
    """
    with tarfile.open(packed) as tar:
        target.mkdir()
        target.chmod(0o755)
        for member in tar:
            content = tar.extractfile(member)
            if content is not None:
                (target / Path(member.name).name).write_bytes(content.read())
        written = tar.getmember(target.name).mtime
    os.utime(target, (written, written))


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
