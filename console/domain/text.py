"""Text from outside, made safe to store and to print."""

from __future__ import annotations

import unicodedata

#: Categories that can move the cursor, recolour or reorder what a terminal shows.
_UNSAFE_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def plain_text(text: str, limit: int = 500) -> str:
    """
    Return *text* as one printable line.

    Names, reasons and outputs come from outside; an escape sequence in one must
    neither reach a terminal nor forge a line of the audit.

    Args:
        text: Anything.
        limit: Longest result, characters; what is cut off is marked with ``…``.
    """
    kept = "".join(
        " " if c.isspace() else "" if unicodedata.category(c) in _UNSAFE_CATEGORIES else c
        for c in text[: limit * 8]
    )
    line = " ".join(kept.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"
