"""
What a terminal without UTF-8 gets: one ASCII sign for each sign of ours.

Done to finished lines, in one place, so that nothing that draws has to think of
it; widths stay as they are, so columns stay aligned.
"""

from __future__ import annotations

from functools import lru_cache

from rich.cells import cell_len
from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

_SIGNS = str.maketrans(
    {
        "●": "*",
        "◐": "~",
        "✗": "x",
        "✓": "+",
        "○": "o",
        "▲": "!",
        "△": "!",
        "▶": ">",
        "▸": ">",
        "▾": "v",
        "›": ">",
        "→": ">",
        "≥": ">",
        "↳": "`",
        "↶": "<",
        "·": "-",
        "…": "~",
        "–": "-",
        "—": "-",
        "─": "-",
        "×": "x",
        **dict(zip("▁▂▃▄▅▆▇█", "__..--=#", strict=True)),
        "≠": "#",
        "←": "<",
        "■": "#",
        "□": ".",
        "“": '"',
        "”": '"',
        "’": "'",
        "│": "|",
        "└": "+",
        "╌": "-",
    }
    # Levels of sparklines; a Braille sign is a dot of a chart, whichever of its eight.
    | dict(zip("▁▂▃▄▅▆▇█", "_.:-=+*#", strict=True))
    | {chr(sign): "*" for sign in range(0x2801, 0x2900)}
)


@lru_cache(4096)
def in_ascii(text: str) -> str:
    """
    Return *text* in ASCII, as many cells wide as it was.

    Signs of ours have their stand-in; anything else becomes question marks.
    """
    if text.isascii():
        return text
    signs = text.translate(_SIGNS)
    return "".join(sign if sign.isascii() else "?" * cell_len(sign) for sign in signs)


class AsciiOnly(LineFilter):
    """Let nothing but ASCII reach the terminal."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """Return *segments* with their text in ASCII."""
        del background
        return [Segment(in_ascii(text), style, control) for text, style, control in segments]
