"""
What the terminal at hand can do, found out before Textual is loaded.

Textual reads its frame rate from the environment when it is imported, so this
module imports nothing of it and :mod:`screens.app` asks here first.
"""

from __future__ import annotations

import locale
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

#: Frames per second over SSH; a quarter of the bytes of Textual's 60.
SLOW_FRAMES_PER_SECOND = "15"
#: How often something is drawn by itself at most when every byte counts, seconds.
LOW_BANDWIDTH_SECONDS = 2.0
#: How far up the family of processes an SSH server is looked for.
_GENERATIONS = 16


@dataclass(frozen=True, slots=True)
class Terminal:
    """
    What to allow for when drawing.

    Args:
        unicode: Whether the locale can carry more than ASCII.
        colour: False under ``NO_COLOR``.
        slow: True over SSH: no animation, fewer frames, slower polling.
        low_bandwidth: Asked for by ``--low-bandwidth``, and then ``slow`` too: every
            other second at most, no clock, no sparklines, coarser figures.
        multiplexer: ``tmux`` or ``screen`` when one stands between, else None.
        theme: Theme asked for by ``FRAGRANCE_THEME``, else None.
    """

    unicode: bool = True
    colour: bool = True
    slow: bool = False
    low_bandwidth: bool = False
    multiplexer: str | None = None
    theme: str | None = None

    def pause(self, seconds: float) -> float:
        """Return how long to wait where *seconds* are waited on a fast line."""
        if self.low_bandwidth:
            return max(LOW_BANDWIDTH_SECONDS, seconds)
        return seconds * 2 if self.slow else seconds


def inspect_terminal(
    environ: Mapping[str, str],
    encoding: str | None = None,
    *,
    over_ssh: bool = False,
    low_bandwidth: bool = False,
) -> Terminal:
    """
    Tell what the terminal can do.

    Args:
        environ: Environment variables.
        encoding: Character encoding of the locale; asked of Python when None.
        over_ssh: Whether it is known to be far away though no variable says so.
        low_bandwidth: Whether every byte counts.
    """
    encoding = encoding or locale.getpreferredencoding(do_setlocale=False)
    return Terminal(
        unicode=encoding.lower().replace("-", "") == "utf8",
        colour="NO_COLOR" not in environ,
        slow=low_bandwidth or over_ssh or bool(environ.get("SSH_CONNECTION")),
        low_bandwidth=low_bandwidth,
        multiplexer="tmux" if environ.get("TMUX") else "screen" if environ.get("STY") else None,
        theme=environ.get("FRAGRANCE_THEME") or None,
    )


def below_ssh(proc: Path = Path("/proc"), pid: int | None = None) -> bool:
    """
    Whether this process descends from an SSH server.

    ``sudo`` and ``su`` take ``SSH_CONNECTION`` away, and the line is as slow as before.

    Args:
        proc: Where the kernel tells about processes.
        pid: Where to begin; this process when None.
    """
    pid = os.getpid() if pid is None else pid
    for _ in range(_GENERATIONS):
        try:
            name, _, rest = (proc / str(pid) / "stat").read_text().rpartition(")")
            pid = int(rest.split()[1])
        except (OSError, ValueError, IndexError):
            return False
        # Newer servers split themselves up: sshd, sshd-session, sshd-auth.
        if name.partition("(")[2].startswith("sshd"):
            return True
        if pid <= 1:
            return False
    return False


def why_undrawable(environ: Mapping[str, str], *, interactive: bool) -> str | None:
    """
    Say why the console cannot be drawn here, or None when it can.

    Args:
        environ: Environment variables.
        interactive: Whether input and output are both a terminal.
    """
    if not interactive:
        return "the console needs a terminal for both input and output"
    if environ.get("TERM", "") in {"", "dumb"}:
        return f"the terminal type is {environ.get('TERM') or 'not set'}, which cannot draw"
    return None


def textual_environment(terminal: Terminal) -> dict[str, str]:
    """Return what Textual must find in the environment when it is imported."""
    if not terminal.slow:
        return {}
    return {
        "TEXTUAL_FPS": SLOW_FRAMES_PER_SECOND,
        "TEXTUAL_ANIMATIONS": "none",
        "TEXTUAL_SMOOTH_SCROLL": "0",
    }
