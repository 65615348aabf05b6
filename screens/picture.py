"""
Draw the console on a running stack as an SVG picture, for the README.

``python -m screens.picture OUT.svg [SCREEN [KEY…]]``; the keys are pressed first, so
that a dialog can be drawn.  The stack is found as by every command
(``FRAGRANCE_STATE``, ``APP_ENV``).
"""

from __future__ import annotations

import asyncio
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from console.errors import ConsoleError, Unreachable, UsageError
from screens.table import SCREENS

if TYPE_CHECKING:
    from console.engine import Engine

#: How long the stack may take to answer, seconds.
PATIENCE_SECONDS = 15.0
#: How long a screen may take to fill in, seconds.
SETTLE_SECONDS = 2.0
#: Cells of the picture: wide enough for both columns, narrow enough to read.
SIZE = (124, 32)


async def draw_picture(
    engine: Engine,
    screen: str = SCREENS[0].name,
    keys: Sequence[str] = (),
    size: tuple[int, int] = SIZE,
) -> str:
    """
    Return one screen of the console as SVG, drawn from a live engine.

    Args:
        engine: The stack to draw.
        screen: Name of the screen in ``SCREENS``.
        keys: Keys to press before it is drawn, by Textual's names.
        size: Columns and rows.

    Raises:
        Unreachable: When no picture came within :data:`PATIENCE_SECONDS`.
    """
    from screens.application import ConsoleApp

    app = ConsoleApp(engine)
    async with app.run_test(size=size) as pilot:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while app.view.access is None or app.view.snapshot is None:
            if time.monotonic() > deadline:
                raise Unreachable(
                    "the stack did not answer in time",
                    unchanged="no picture was written",
                    remedy="fragrance status",
                )
            await asyncio.sleep(0.05)
        if screen != SCREENS[0].name:
            app.open_screen(screen)
            await asyncio.sleep(SETTLE_SECONDS)
        if keys:
            await pilot.press(*keys)
            # What a key asks of the engine is answered by a thread.
            await asyncio.sleep(SETTLE_SECONDS)
        await pilot.pause()
        svg = app.export_screenshot(title="fragrance")
    # Rich names its ids after the content; a fixed name keeps the file's diff small.
    return re.sub(r"terminal-\d+-", "terminal-", svg)


def main(arguments: list[str]) -> int:
    """Write the picture named by *arguments*; return the exit code."""
    from console.bootstrap import build_engine
    from console.cli.main import report
    from console.settings import load_settings

    try:
        if not arguments:
            raise UsageError(
                "which file?", remedy="python -m screens.picture OUT.svg [SCREEN [KEY…]]"
            )
        engine = build_engine(load_settings())
        screen = arguments[1] if len(arguments) > 1 else SCREENS[0].name
        svg = asyncio.run(draw_picture(engine, screen, arguments[2:]))
        Path(arguments[0]).write_text(svg, encoding="utf-8")
    except ConsoleError as error:
        report(error)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
