"""
What a person chose and finds again the next time: theme, mouse, filters, layout.

Kept in the user's own XDG state directory and never in the stack's, which several
people share.  A choice is a comfort: whatever is wrong with its file, the console
opens with its defaults and says so in one sentence.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from console.runtimes.files import write_atomic

#: What one screen keeps; JSON values by name.
Kept: TypeAlias = dict[str, Any]

#: A longer file is not ours.
_LONGEST_BYTES = 256 * 1024
#: Stacks whose filters are kept; those left longest ago are forgotten first.
_STACKS = 20


@dataclass(slots=True)
class Preferences:
    """
    One person's choices, as far as one stack is concerned.

    Args:
        directory: The user's own directory; None keeps nothing.
        stack: Names the stack whose filters these are.
        theme: Name of a theme, None where none was chosen.
        mouse: Whether the mouse selects lines.
        screens: What each screen keeps for this stack, by its name.
        complaint: What was wrong with the file, "" when nothing was.
    """

    directory: Path | None = None
    stack: str = ""
    theme: str | None = None
    mouse: bool = False
    screens: dict[str, Kept] = field(default_factory=dict)
    complaint: str = ""

    @property
    def path(self) -> Path | None:
        """The file, None when nothing is kept."""
        return None if self.directory is None else self.directory / "console.json"

    @classmethod
    def of_user(cls, environ: Mapping[str, str], state: Path) -> Preferences:
        """
        Read what the user at hand chose.

        Args:
            environ: Environment variables.
            state: State directory of the stack, its name here.
        """
        found = cls(directory=_directory(environ), stack=str(state))
        if found.path is None:
            return found
        try:
            raw = _read(found.path)
        except (OSError, ValueError) as error:
            if not isinstance(error, FileNotFoundError):
                found.complaint = f"your settings are not used, {_why(error)}: {found.path}"
            return found
        theme, mouse = raw.get("theme"), raw.get("mouse")
        found.theme = theme if isinstance(theme, str) else None
        found.mouse = mouse is True
        screens = _mapping(_mapping(raw.get("stacks")).get(found.stack))
        found.screens = {name: kept for name, kept in screens.items() if isinstance(kept, dict)}
        return found

    def save(self) -> None:
        """
        Keep the choices; what other consoles kept for other stacks stays.

        Raises:
            OSError: If they cannot be written.
        """
        if self.path is None or self.directory is None:
            return
        try:
            stacks = _mapping(_read(self.path).get("stacks"))
        except (OSError, ValueError):
            stacks = {}
        stacks.pop(self.stack, None)
        stacks[self.stack] = self.screens
        data = {
            "theme": self.theme,
            "mouse": self.mouse,
            "stacks": dict(list(stacks.items())[-_STACKS:]),
        }
        self.write("console.json", json.dumps(data, indent=1, ensure_ascii=False) + "\n")

    def write(self, name: str, text: str) -> Path:
        """
        Replace a file beside the choices, for its owner's eyes alone; return its path.

        Raises:
            OSError: If it cannot be written, or nothing is kept here.
        """
        if self.directory is None:
            raise FileNotFoundError(2, "this user has no directory of their own to keep it in")
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self.directory / name
        write_atomic(path, text.encode(errors="replace"), durable=False, mode=0o600)
        return path


def _directory(environ: Mapping[str, str]) -> Path | None:
    """
    Return the directory of this user; None where there is none that is theirs.

    ``sudo`` may leave the home of the one who called it: nothing is put into another
    one's home, least of all by root.
    """
    chosen, home = environ.get("XDG_STATE_HOME", ""), environ.get("HOME", "")
    if chosen.startswith("/"):
        base = Path(chosen)
    elif home.startswith("/"):
        base = Path(home) / ".local" / "state"
    else:
        return None
    directory = base / "fragrance"
    try:
        nearest = next(place for place in (directory, *directory.parents) if place.exists())
        return directory if nearest.stat().st_uid == os.geteuid() else None
    except OSError:
        return None


def _read(path: Path) -> dict[str, Any]:
    """Return the file's content; ValueError when it is not ours to understand."""
    # Not blocking: a pipe in its place must not hold the console up.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("not a file")
        data = file.read(_LONGEST_BYTES + 1)
    if len(data) > _LONGEST_BYTES:
        raise ValueError("too long")
    try:
        raw = json.loads(data)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(raw, dict):
        raise ValueError("not an object")
    return raw


def _mapping(value: object) -> dict[str, Any]:
    return dict(value) if isinstance(value, dict) else {}


def _why(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or "unreadable"
    return "damaged"
