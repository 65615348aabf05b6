"""Which release this source tree is: the VERSION file, and the commit where there is Git."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

GIT_TIMEOUT_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class ReleaseIdentity:
    """
    What a source tree says of itself.

    Args:
        version: As in ``VERSION``, without a leading ``v``; None without one.
        commit: Full hash; None where there is no Git or no commit.
        changed: Whether tracked files differ from the commit; None when unknown.
    """

    version: str | None
    commit: str | None
    changed: bool | None

    def __str__(self) -> str:
        version = f"v{self.version}" if self.version else "unversioned"
        if self.commit is None:
            return version
        return f"{version} ({self.commit[:12]}{', changed since' if self.changed else ''})"


def identify(project: Path) -> ReleaseIdentity:
    """
    Return the identity of the tree at *project*.

    Never raises: what cannot be read is None.
    """
    try:
        version = (project / "VERSION").read_text(encoding="utf-8").strip().removeprefix("v")
    except (OSError, UnicodeDecodeError):
        version = ""
    commit = _git(project, "rev-parse", "--verify", "HEAD")
    changed = None
    if commit is not None:
        status = _git(project, "status", "--porcelain", "--untracked-files=no")
        changed = None if status is None else bool(status)
    return ReleaseIdentity(version or None, commit, changed)


def _git(project: Path, *arguments: str) -> str | None:
    """Return what Git says, None when it cannot or not in time."""
    try:
        done = subprocess.run(
            # Looking must not write: no index refresh, no lock taken from others.
            ["git", "--no-optional-locks", "-C", str(project), *arguments],
            capture_output=True,
            text=True,
            timeout=GIT_TIMEOUT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
