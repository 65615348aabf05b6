"""
The lock of operations: a held ``flock`` means that a live runner is at work.

Nothing else does: the file's content only tells people who holds it.  The lock is
close-on-exec, so that no process started by a runner keeps it.
"""

from __future__ import annotations

import fcntl
import json
import os
import pwd
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from console.domain.operations import Actor
from console.domain.text import plain_text
from console.errors import Busy, Refused, Unreachable
from console.locks import is_held
from console.modes import make_directory, open_file
from console.ports import Clock

LOCK_NAME = "lock"
_RETRY_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class LockOwner:
    """
    What the holder wrote of itself; for display, never a proof.

    Args:
        pid: Process id.
        start_time: Start of the process, clock ticks since boot.
        boot_id: Boot of the host it was written in.
        operation_id: What it works on.
        actor: Who asked for it.
        since: When it took the lock, UTC, ISO 8601.
    """

    pid: int
    start_time: int
    boot_id: str
    operation_id: str
    actor: str
    since: str


class OperationLock:
    """
    ``STATE/lock``.

    Args:
        state: The state directory.
        clock: Time.
    """

    def __init__(self, state: Path, clock: Clock) -> None:
        self.path = state / LOCK_NAME
        self._clock = clock
        #: What a holder that died had written of itself, once :meth:`held` has it; else None.
        self.left_behind: LockOwner | None = None

    @contextmanager
    def held(
        self, operation_id: str, actor: Actor, timeout_seconds: float = 10.0
    ) -> Iterator[LockOwner]:
        """
        Hold the lock.

        Args:
            operation_id: What it is taken for, for display.
            actor: On whose behalf, for display.
            timeout_seconds: How long a runner that is just ending is waited for.

        Raises:
            Busy: When somebody else holds it for longer.
        """
        make_directory(self.path.parent)
        descriptor = open_file(self.path, os.O_RDWR)
        try:
            self._take(descriptor, timeout_seconds)
            # Who ends well leaves it empty.
            self.left_behind = self.owner()
            owner = LockOwner(
                pid=os.getpid(),
                start_time=process_start_time(os.getpid()) or 0,
                boot_id=_boot_id(),
                operation_id=operation_id,
                actor=str(actor),
                since=self._clock.now().isoformat(),
            )
            _replace_content(descriptor, json.dumps(asdict(owner)))
            try:
                yield owner
            finally:
                with suppress(OSError):
                    os.ftruncate(descriptor, 0)
        finally:
            os.close(descriptor)

    def is_held(self) -> bool:
        """Return whether a live runner holds it."""
        return is_held(self.path)

    def owner(self) -> LockOwner | None:
        """Return what the last holder wrote; it may be long gone. None if unreadable."""
        try:
            raw = json.loads(self.path.read_text(encoding="utf-8"))
            return LockOwner(
                pid=int(raw["pid"]),
                start_time=int(raw["start_time"]),
                boot_id=plain_text(str(raw["boot_id"]), 64),
                operation_id=plain_text(str(raw["operation_id"]), 40),
                actor=plain_text(str(raw["actor"]), 130),
                since=plain_text(str(raw["since"]), 40),
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def holder_pid(self) -> int | None:
        """
        Return the process that holds the lock, None when it cannot be proven.

        The pid in the file may have been recycled; it is believed only of a
        process that has this very file open while the lock is held.
        """
        owner = self.owner()
        if owner is None or not self.is_held():
            return None
        if process_start_time(owner.pid) != owner.start_time or owner.boot_id != _boot_id():
            return None
        return owner.pid if _has_open(owner.pid, self.path) else None

    def break_hold(self, timeout_seconds: float = 10.0) -> int:
        """
        End a runner that hangs: SIGTERM, then SIGKILL.

        Returns:
            The pid that was ended.

        Raises:
            Refused: When nobody holds the lock, or the holder cannot be proven.
            Unreachable: When the holder does not end.
        """
        if not self.is_held():
            raise Refused(
                "no runner is at work; the lock is free",
                unchanged="nothing was changed",
                remedy="fragrance operations list",
            )
        pid = self.holder_pid()
        if pid is None and (user := self._other_user()) is not None:
            raise Refused(
                f"the runner belongs to {user}, and you are not root",
                unchanged="nothing was changed",
                remedy=f"sudo -u {user} fragrance operations unlock  (or cancel the operation)",
            )
        if pid is None:
            raise Refused(
                f"the holder of {self.path} cannot be told",
                unchanged="nothing was changed",
                remedy=f"fuser -v {self.path}",
            )
        for number in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.kill(pid, number)
            deadline = self._clock.monotonic() + timeout_seconds / 2
            while self._clock.monotonic() < deadline:
                if not self.is_held():
                    return pid
                self._clock.sleep(0.05)
        raise Unreachable(
            f"process {pid} holds {self.path} and does not end, even by SIGKILL",
            unchanged="nothing was changed",
            remedy=f"ps -o pid,stat,wchan:30,cmd -p {pid}",
        )

    def _other_user(self) -> str | None:
        """Return whose process the named holder is, None when it is ours or cannot be told."""
        owner = self.owner()
        if owner is None or process_start_time(owner.pid) != owner.start_time:
            return None
        try:
            uid = Path(f"/proc/{owner.pid}").stat().st_uid
            return None if os.geteuid() in (0, uid) else pwd.getpwuid(uid).pw_name
        except (OSError, KeyError):
            return None

    def _take(self, descriptor: int, timeout_seconds: float) -> None:
        deadline = self._clock.monotonic() + timeout_seconds
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if self._clock.monotonic() >= deadline:
                    owner = self.owner()
                    who = f"operation {owner.operation_id}" if owner else "another runner"
                    raise Busy(
                        f"{who} holds the lock",
                        unchanged="nothing was changed",
                        remedy="fragrance operations list",
                    ) from None
                self._clock.sleep(_RETRY_SECONDS)


def process_start_time(pid: int) -> int | None:
    """Return the start of process *pid* in clock ticks since boot; None when it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        return int(stat.rpartition(")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return None


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _has_open(pid: int, path: Path) -> bool:
    wanted = path.stat()
    try:
        descriptors = list(Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return False
    for descriptor in descriptors:
        with suppress(OSError):
            if os.path.samestat(descriptor.stat(), wanted):
                return True
    return False


def _replace_content(descriptor: int, text: str) -> None:
    with suppress(OSError):  # a full disk must not keep the lock from being held
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, text.encode(), 0)
