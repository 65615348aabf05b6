"""
Operators of one shared state: OS users of a group, and one who is not in it.

The checkout may lie where other users cannot enter.  Each command therefore runs in a mount
namespace of its own, in which such directories are covered by empty ones that hold the
checkout and the interpreter alone.
"""

from __future__ import annotations

import os
import secrets
import shlex
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.stack import PROJECT

#: What a command needs of this machine that may be hidden from other users.
NEEDED = (PROJECT, Path(sys.prefix), Path(sys.base_prefix))


@dataclass(frozen=True)
class Operators:
    """
    Users who share a state directory, and how to act as them.

    Args:
        state: The shared directory (2770).
        group: Name of the operators' group.
        first, second: Members; the first one's umask is lax, the second one's strict.
        outsider: Somebody else on the host.
    """

    state: Path
    group: str
    first: str
    second: str
    outsider: str

    def start(
        self, user: str, command: list[str], *, typed: bool = False, **environ: str
    ) -> subprocess.Popen[str]:
        """Start *command* as *user*, with an environment of its own."""
        umask = "077" if user == self.second else "022"
        script = (
            f"{_uncover()}umask {umask}; cd {shlex.quote(str(PROJECT))}; "
            # What pam_loginuid does at a login; kept by the kernel from then on.
            f"id -u {user} 2>/dev/null > /proc/self/loginuid || true; "
            f"exec setpriv --reuid {user} --regid {user} --init-groups -- {shlex.join(command)}"
        )
        clean = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "HOME": "/nonexistent"}
        return subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", "--", "sh", "-ec", script],
            env=clean | {"FRAGRANCE_STATE": str(self.state)} | environ,
            stdin=subprocess.PIPE if typed else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def may_use_docker(self) -> None:
        """Let the members speak to the engine, as they must to operate containers."""
        group = str(Path("/var/run/docker.sock").stat().st_gid)
        for user in (self.first, self.second):
            _run("usermod", "--append", "--groups", group, user)

    def fragrance(self, user: str, *words: str, **environ: str) -> subprocess.Popen[str]:
        """Start the console's command line on the toy stack as *user*."""
        command = [sys.executable, "-B", "-m", "tests.faults.toy_stack", *words]
        return self.start(user, command, typed=False, **environ)

    def run(
        self, user: str, *words: str, timeout: float = 120, **environ: str
    ) -> subprocess.CompletedProcess[str]:
        """Run one command to its end."""
        process = self.fragrance(user, *words, **environ)
        out, err = process.communicate(timeout=timeout)
        return subprocess.CompletedProcess(list(words), process.returncode, out, err)


@contextmanager
def operators() -> Iterator[Operators]:
    """Make group, users and state; all of it is gone afterwards, processes ended by id."""
    mark = secrets.token_hex(3)
    group, first, second, outsider = (f"{name}{mark}" for name in ("ops", "first", "second", "out"))
    with tempfile.TemporaryDirectory(prefix="operators-", dir="/tmp") as place:
        Path(place).chmod(0o755)
        state = Path(place) / "state"
        try:
            _run("groupadd", group)
            for user in (first, second, outsider):
                more = () if user == outsider else ("--groups", group)
                _run("useradd", "--no-create-home", "--user-group", *more, user)
            _run("install", "--directory", "--mode=2770", f"--group={group}", str(state))
            yield Operators(state, group, first, second, outsider)
        finally:
            for user in (first, second, outsider):
                subprocess.run(["userdel", user], check=False, capture_output=True, timeout=30)
            for name in (group, first, second, outsider):
                subprocess.run(["groupdel", name], check=False, capture_output=True, timeout=30)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=30)


def _uncover() -> str:
    """Return shell lines that show :data:`NEEDED` to everybody in the namespace."""
    hidden: dict[Path, list[Path]] = {}
    for place in dict.fromkeys(path.resolve() for path in NEEDED):
        closed = [p for p in place.parents if not p.stat().st_mode & stat.S_IXOTH]
        if closed:
            hidden.setdefault(closed[-1], []).append(place)
    lines = []
    for cover, places in hidden.items():
        stage = "$(mktemp -d)"
        lines.append(f"stage={stage}; mount -t tmpfs none $stage")
        for number, place in enumerate(places):
            lines.append(
                f"mkdir $stage/{number}; mount --rbind {shlex.quote(str(place))} $stage/{number}"
            )
        lines.append(f"mount -t tmpfs -o mode=755 none {shlex.quote(str(cover))}")
        for number, place in enumerate(places):
            there = shlex.quote(str(place))
            lines.append(f"mkdir -p {there}; mount --rbind $stage/{number} {there}")
        lines.append("umount -l $stage; rmdir $stage")
    return "".join(f"{line}; " for line in lines)
