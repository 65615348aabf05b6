"""
Copying by OSC 52: the terminal at the operator's end takes the text, also over SSH.

A terminal may ignore it, and none answers; so what is copied is always saved, too.
"""

from __future__ import annotations

from base64 import b64encode

#: A copy is cut here: many terminals take no more than 100,000 bytes in base64, some 74,994
#: of text; tmux and slow lines make less of it a good idea.
CAP_BYTES = 60_000
#: GNU screen hands on strings no longer than this, bytes.
_SCREEN_CHUNK = 76


def capped(text: str) -> str:
    """Return as much of *text* as a terminal takes, cut between two characters."""
    return text.encode(errors="replace")[:CAP_BYTES].decode(errors="ignore")


def osc52(text: str, multiplexer: str | None = None) -> str:
    """
    Return the sequence that puts *text* onto the clipboard.

    Inside tmux both forms are sent: it takes the plain one itself under ``set-clipboard
    on`` and hands the wrapped one on under ``allow-passthrough on``; the other is ignored.

    Args:
        text: At most :data:`CAP_BYTES` of it are sent.
        multiplexer: ``tmux`` or ``screen`` when one stands between.
    """
    encoded = b64encode(capped(text).encode()).decode()
    plain = f"\x1b]52;c;{encoded}\a"
    if multiplexer == "tmux":
        return plain + "\x1bPtmux;" + plain.replace("\x1b", "\x1b\x1b") + "\x1b\\"
    if multiplexer == "screen":
        pieces = [plain[at : at + _SCREEN_CHUNK] for at in range(0, len(plain), _SCREEN_CHUNK)]
        return "".join(f"\x1bP{piece}\x1b\\" for piece in pieces)
    return plain
