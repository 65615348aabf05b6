"""The agent's last snapshot as one file that every console may read at any moment."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from console.decoding import decoder
from console.domain.snapshot import SCHEMA_VERSION, Snapshot
from console.errors import Unreachable
from console.journal.agent_lock import agent_alive
from console.modes import open_file

if TYPE_CHECKING:
    pass


class PictureFile:
    """
    ``STATE/picture.json``, replaced as a whole.

    Not forced to the disk: it is a second old at most, and worth nothing after a
    crash of the host.

    Args:
        state: State directory.
    """

    def __init__(self, state: Path) -> None:
        self.path = state / "picture.json"
        self._state = state
        self._read: tuple[tuple[int, int, int], Snapshot] | None = None

    def write(self, snapshot: Snapshot) -> None:
        """
        Replace the picture atomically.

        Raises:
            Unreachable: If it cannot be written (disk full, directory gone).
        """
        temporary = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        try:
            descriptor = open_file(temporary, os.O_WRONLY | os.O_TRUNC)
            with os.fdopen(descriptor, "wb") as file:
                file.write(to_json(snapshot))
            temporary.replace(self.path)
        except OSError as error:
            raise Unreachable(f"cannot write {self.path}: {error.strerror}") from error

    def read(self) -> Snapshot | None:
        """Return the last picture; None when there is none or it cannot be understood."""
        try:
            with self.path.open("rb") as file:
                found = os.fstat(file.fileno())
                mark = (found.st_ino, found.st_mtime_ns, found.st_size)
                if self._read is not None and self._read[0] == mark:
                    return self._read[1]
                raw = file.read()
        except OSError:
            return None
        snapshot = from_json(raw)
        if snapshot is not None:
            self._read = (mark, snapshot)
        return snapshot

    def agent_alive(self) -> bool:
        """Whether an agent holds the agent's lock now."""
        return agent_alive(self._state)


def to_json(snapshot: Snapshot) -> bytes:
    """Return a snapshot as the JSON of the public contract, without a line end."""
    import msgspec

    return msgspec.json.encode(snapshot)


def from_json(raw: bytes) -> Snapshot | None:
    """Return the snapshot; None if another version wrote it or it is damaged."""
    import msgspec

    try:
        snapshot = decoder(Snapshot).decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return snapshot if snapshot.schema_version == SCHEMA_VERSION else None
