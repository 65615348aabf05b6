"""Small files that are replaced as a whole, and directories of them."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

from console.decoding import decoder
from console.modes import open_file

T = TypeVar("T")


def write_atomic(path: Path, data: bytes, *, durable: bool = True, mode: int | None = None) -> None:
    """
    Replace *path* by *data* in one step: a reader sees the old or the new, never half.

    Args:
        durable: Survive a crash of the machine too; costs an fsync.
        mode: Permissions of the new file; by default those of its directory's files.

    Raises:
        OSError: Disk full, no permission; *path* is then as it was.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    descriptor = open_file(temporary, os.O_WRONLY | os.O_EXCL)
    try:
        with os.fdopen(descriptor, "wb") as file:
            if mode is not None:
                os.fchmod(descriptor, mode)
            file.write(data)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if durable:
        directory = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def write_json(path: Path, value: object, *, durable: bool = True) -> None:
    """Replace *path* by *value* as indented JSON: people read these files too."""
    encoded = msgspec.json.format(msgspec.json.encode(value), indent=2)
    write_atomic(path, encoded + b"\n", durable=durable)


class JsonDirectory(Generic[T]):
    """
    A directory of ``<name>.json`` files of one type, read again only when changed.

    Args:
        path: The directory; it need not exist yet.
        kind: Dataclass that each file holds.
    """

    def __init__(self, path: Path, kind: type[T]) -> None:
        self.path = path
        self._decoder = decoder(kind)
        self._cache: dict[str, tuple[tuple[int, int, int], T | None]] = {}

    def read(self) -> dict[str, T | None]:
        """
        Return every file by name; None for one that is not readable as the type.

        A damaged file is an answer, not an error: the others must go on.
        """
        found: dict[str, T | None] = {}
        fresh: dict[str, tuple[tuple[int, int, int], T | None]] = {}
        try:
            entries = list(os.scandir(self.path))
        except (FileNotFoundError, NotADirectoryError):
            return {}
        for entry in entries:
            if not entry.name.endswith(".json") or entry.name.startswith("."):
                continue
            name = entry.name.removesuffix(".json")
            try:
                stat = entry.stat()
                signature = (stat.st_mtime_ns, stat.st_ino, stat.st_size)
                cached = self._cache.get(name)
                if cached is None or cached[0] != signature:
                    cached = (signature, self._decode(Path(entry.path)))
            except FileNotFoundError:
                continue
            fresh[name] = cached
            found[name] = cached[1]
        self._cache = fresh
        return found

    def get(self, name: str) -> T | None:
        """Return one file, None when it is absent or damaged."""
        try:
            return self._decode(self.file(name))
        except FileNotFoundError:
            return None

    def write(self, name: str, value: T, *, durable: bool = True) -> None:
        """Replace one file."""
        write_json(self.file(name), value, durable=durable)

    def remove(self, name: str) -> None:
        """Delete one file; nothing happens when it is gone already."""
        self.file(name).unlink(missing_ok=True)

    def file(self, name: str) -> Path:
        """Return the path of one file."""
        return self.path / f"{name}.json"

    def _decode(self, path: Path) -> T | None:
        try:
            return self._decoder.decode(path.read_bytes())
        except FileNotFoundError:
            raise
        except (msgspec.MsgspecError, UnicodeDecodeError, OSError):
            return None
