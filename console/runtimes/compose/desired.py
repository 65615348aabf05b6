"""
Which replicas should run, and whether the stack should at all: ``STATE/compose``.

Names and not counts, so that asking twice for the same is asking once.  A service
that nobody scaled yet is not written down: the compose file decides.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from console.decoding import decoder
from console.errors import Unreachable
from console.modes import make_directory
from console.runtimes.files import write_atomic, write_json
from console.runtimes.locks import FileLock

LOCK_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaving:
    """
    A replica that is to go for good.

    Args:
        container: Its container's id: another of the same name is not meant.
        grace_seconds: From SIGTERM to SIGKILL.
        since: Epoch seconds when it was asked to go.
    """

    container: str
    grace_seconds: float
    since: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Desired:
    """
    What should run.

    Args:
        replicas: Names of the replicas by service.
        leaving: Replicas that are on their way out, by name.
    """

    replicas: dict[str, tuple[str, ...]] = field(default_factory=dict)
    leaving: dict[str, Leaving] = field(default_factory=dict)

    def with_replica(self, service: str, name: str, present: Iterable[str]) -> Desired:
        """Return it with one more replica; *present* where nothing was written down yet."""
        names = {*self.replicas.get(service, tuple(present)), name}
        left = {n: leaving for n, leaving in self.leaving.items() if n != name}
        return replace(
            self, replicas={**self.replicas, service: tuple(sorted(names))}, leaving=left
        )

    def without_replica(
        self, service: str, name: str, present: Iterable[str], leaving: Leaving
    ) -> Desired:
        """Return it with one replica less, which is leaving."""
        names = set(self.replicas.get(service, tuple(present))) - {name}
        return replace(
            self,
            replicas={**self.replicas, service: tuple(sorted(names))},
            leaving={**self.leaving, name: leaving},
        )

    def forget(self, names: Iterable[str]) -> Desired:
        """Return it without those that have left."""
        gone = set(names)
        return replace(self, leaving={n: v for n, v in self.leaving.items() if n not in gone})


class DesiredFile:
    """
    ``desired.json`` and ``wanted`` of one project.

    Args:
        directory: ``STATE/compose``; it need not exist yet.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._path = directory / "desired.json"
        self._wanted = directory / "wanted"

    def read(self) -> Desired:
        """
        Return what should run; nothing written down when there is no file.

        Raises:
            Unreachable: If the file is damaged or may not be read.
        """
        try:
            return decoder(Desired).decode(self._path.read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            return Desired()
        except (OSError, msgspec.MsgspecError) as error:
            raise Unreachable(
                f"{self._path} cannot be read: {error}",
                unchanged="what runs goes on running",
                remedy=f"rm {self._path}; then the compose file decides how many should run",
            ) from error

    def change(self, how: Callable[[Desired], Desired]) -> Desired:
        """
        Replace what is written by what *how* makes of it, as one.

        Raises:
            Unreachable: If the state cannot be written, or is held by somebody else.
        """
        try:
            make_directory(self._directory)
            lock = FileLock(self._directory / "desired.lock")
            held = lock.acquire(LOCK_SECONDS)
        except OSError as error:
            raise self._unwritable(error) from error
        if not held:
            raise Unreachable(
                f"{self._path} is held by another process",
                unchanged="nothing was changed",
                remedy="fragrance status, then try again",
            )
        with lock:
            before = self.read()
            after = how(before)
            if after != before:
                try:
                    write_json(self._path, after)
                except OSError as error:
                    raise self._unwritable(error) from error
            return after

    def wanted_up(self) -> bool:
        """Whether the stack was started here and not stopped since."""
        try:
            return self._wanted.read_text(encoding="utf-8").strip() == "up"
        except OSError:
            return False

    def want(self, *, up: bool) -> None:
        """Write down whether the stack should run."""
        try:
            make_directory(self._directory)
            write_atomic(self._wanted, b"up\n" if up else b"down\n")
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> Unreachable:
        return Unreachable(
            f"the state directory {self._directory} cannot be written: {error.strerror}",
            unchanged="nothing was changed",
            remedy="choose another with --state DIR, or mend its permissions",
        )


def leaving_now(container: str, grace_seconds: float) -> Leaving:
    """Return the note about a replica that is asked to go now."""
    return Leaving(container=container, grace_seconds=grace_seconds, since=time.time())
