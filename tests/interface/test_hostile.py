"""Whatever comes from outside, at whatever size: no exception, and no stray byte in a terminal."""

from __future__ import annotations

import re
import signal
import unicodedata

import pytest

from screens.table import SCREENS
from tests.interface.in_terminal import InTerminal

#: Private modes that the console itself turns on and off: cursor, alternate screen, focus,
#: pasting, wrapping, synchronised output, resizing in band, mouse.
MODES = "1049|25|1004|2004|7|2026|2048|1000|1003|1015|1006|1016"
#: Every sequence that the console may write; whatever else begins with an escape is not ours.
OURS = re.compile(
    r"\x1b\[(?:[0-9;]*m"  # style
    r"|[0-9]+;[0-9]+H"  # place
    r"|\?(?:" + MODES + r")[hl]"
    r"|\?(?:2026|2048)\$p"  # is it able to
    r"|[<>][0-9]*u)"  # keyboard protocol
    r"|\x1b\]22;[a-z]*\x07"  # shape of the pointer
)
#: What is neither ink nor space: controls, and signs that reorder or hide others.
FORBIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def strays(written: bytes) -> list[str]:
    """Return what is neither one of our sequences, a line end nor something to see."""
    text = OURS.sub("", written.decode())  # raises where it is not UTF-8
    return sorted(
        {repr(sign) for sign in text.replace("\r\n", "") if unicodedata.category(sign) in FORBIDDEN}
    )


def look_around(terminal: InTerminal) -> None:
    """Open every screen and move on it, then the dialogs that can be opened anywhere."""
    for entry in SCREENS:
        terminal.press(entry.key.encode(), b"j", b"\r", b"\x1b")
    terminal.press(b"v", b"\x1b[C", b"G", b"?", b"\x1b", b":", b"\x1b", b"s", b"\x1b")


@pytest.mark.parametrize(
    ("services", "size"),
    [(0, (80, 24)), (1, (40, 10)), (500, (300, 90))],
    ids=["none-80x24", "one-40x10", "500-300x90"],
)
def test_hostile_text_is_drawn_and_nothing_of_it_obeyed(
    services: int, size: tuple[int, int]
) -> None:
    with InTerminal(f"hostile-{services}", size) as terminal:
        terminal.until(b"\x1b[1;1H", 60)
        look_around(terminal)
        terminal.type(b"q")
        assert terminal.end(60) == 0
        assert b"Traceback" not in terminal.written
        assert strays(terminal.written) == []
        assert terminal.restored


def test_a_storm_of_sizes_ends_in_the_last_one() -> None:
    with InTerminal("hostile-30") as terminal:
        terminal.until(b"\x1b[1;1H", 60)
        for number in range(200):
            terminal.resize(1 + number * 37 % 300, 1 + number * 17 % 90)
            terminal.signal(signal.SIGWINCH)
            if number % 20 == 0:
                terminal.press(SCREENS[number // 20 % len(SCREENS)].key.encode())
        terminal.resize(80, 24)
        terminal.signal(signal.SIGWINCH)
        terminal.press(b"v", b"l")
        terminal.quiet(60, still=1.0)  # a key is done before what it changed is painted
        before = len(terminal.written)
        terminal.press(b"v", b"l", b"v")
        terminal.until_after(before, b"\x1b[24;", 60)  # the footer's
        terminal.type(b"q")
        assert terminal.end(60) == 0
        rows = re.findall(rb"\x1b\[(\d+);\d+H", terminal.written[before:])
        assert max(map(int, rows)) == 24  # and nothing below it
        assert strays(terminal.written) == []
        assert terminal.restored
