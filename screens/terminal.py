"""
What the terminal at hand can do, found out before Textual is loaded.

Textual reads its frame rate from the environment when it is imported, so this
module imports nothing of it and :mod:`screens.app` asks here first.
"""

from __future__ import annotations

import locale
from collections.abc import Mapping
from dataclasses import dataclass

#: Frames per second over SSH; a quarter of the bytes of Textual's 60.
SLOW_FRAMES_PER_SECOND = "15"


@dataclass(frozen=True, slots=True)
class Terminal:
    """
    What to allow for when drawing.

    Args:
        unicode: Whether the locale can carry more than ASCII.
        colour: False under ``NO_COLOR``.
        slow: True over SSH: no animation, fewer frames, slower polling.
        theme: Theme asked for by ``FRAGRANCE_THEME``, else None.
    """

    unicode: bool = True
    colour: bool = True
    slow: bool = False
    theme: str | None = None


def inspect_terminal(environ: Mapping[str, str], encoding: str | None = None) -> Terminal:
    """
    Tell what the terminal can do.

    Args:
        environ: Environment variables.
        encoding: Character encoding of the locale; asked of Python when None.
    """
    encoding = encoding or locale.getpreferredencoding(do_setlocale=False)
    return Terminal(
        unicode=encoding.lower().replace("-", "") == "utf8",
        colour="NO_COLOR" not in environ,
        slow=bool(environ.get("SSH_CONNECTION")),
        theme=environ.get("FRAGRANCE_THEME") or None,
    )


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
