"""
One figure over time as a chart of dots, pure: values → lines of text.

Eight dots a cell (Braille), its limit as a dashed line, gaps left open.  Not with
textual-plotext: of 240 values in 98×31 cells, moved on by one, it writes 25 kB in 43 ms
to the terminal, against 6.5 kB in 12 ms here (Textual 8.2.8, 160×48); a curve that
stands writes nothing here; and its version 1.0.1 does not load with today's plotext (6.1).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

from rich.style import Style
from rich.text import Text

from screens.look import Look
from screens.rendering import put, styled

#: Bits of a Braille sign by row (from above) and column.
_BITS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
_EMPTY = 0x2800
DASH = "╌"
#: Cells of the words at the left.
LABEL_CELLS = 8
#: Less than this of anything is none of it.
_NOTHING = 1e-12
#: A limit this far above everything measured is named and not drawn: the curve would be flat.
FAR_LIMIT = 5.0


def chart_lines(
    values: Sequence[float | None],
    cells: int,
    rows: int,
    look: Look,
    words: Callable[[float], str],
    *,
    limit: float | None = None,
    begin: datetime,
    end: datetime,
) -> list[Text]:
    """
    Return *rows* lines of a chart and one of times below it.

    Args:
        values: At even steps, oldest first; None is unknown and leaves a gap.
        cells: Width, the words at the left included.
        rows: Height without the line of times.
        look: Styles.
        words: A value as the operator reads it.
        limit: Drawn as a dashed line; values above it are drawn in another style.
        begin: Time of the first value.
        end: Time of the last value.
    """
    width = max(4, cells - LABEL_CELLS - 1)
    known = [value for value in values if value is not None]
    if not known:
        lines = _empty(rows, look)
        for line in lines:
            line.truncate(LABEL_CELLS + 1 + width)
        return [*lines, _times(begin, end, width, look)]
    top = top_of(known, limit)
    dots = _dots(values, width, rows, top)
    above = _above(values, width, limit)
    limit_row = None
    if limit is not None and limit <= top:
        limit_row = min(rows - 1, rows * 4 - 1 - round(limit / top * (rows * 4 - 1)) >> 2)
    lines = []
    for row in range(rows):
        line = put(Text(), _label(row, rows, top, words), LABEL_CELLS, look.dim, right=True)
        line.append("│", look.dim)
        for sign, style in _row(dots[row], above, look, dashed=row == limit_row):
            line.append(sign, style)
        lines.append(line)
    if limit is not None and limit > top:
        _name_limit(lines[0], f"▲ limit {words(limit)} ", LABEL_CELLS + 1 + width, look)
    return [*lines, _times(begin, end, width, look)]


def top_of(known: Sequence[float], limit: float | None) -> float:
    """Return the value at the upper edge: a round one, the limit below it if it is near."""
    highest = max(known)
    if limit is not None and (highest <= 0 or limit <= FAR_LIMIT * highest):
        highest = max(highest, limit * 1.05)
    if highest < _NOTHING:
        return 1.0
    magnitude = 10.0 ** math.floor(math.log10(highest))
    return next(
        magnitude * step for step in (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10, 12)
        if magnitude * step >= highest * (1 - 1e-9)
    )  # fmt: skip


def _label(row: int, rows: int, top: float, words: Callable[[float], str]) -> str:
    if row == 0:
        return words(top)
    if row == rows - 1:
        return words(0.0)
    return words(top / 2) if rows >= 7 and row == rows // 2 else ""


def _dots(values: Sequence[float | None], width: int, rows: int, top: float) -> list[list[int]]:
    """Return the bits of every cell; neighbours that are both known are joined."""
    grid = [[0] * width for _ in range(rows)]
    height, columns = rows * 4, width * 2
    before: tuple[int, int] | None = None
    for place, value in enumerate(values):
        if value is None:
            before = None
            continue
        x = round(place * (columns - 1) / max(1, len(values) - 1))
        y = height - 1 - round(min(1.0, max(0.0, value / top)) * (height - 1))
        for dot_x, dot_y in _joined(before, (x, y)):
            grid[dot_y >> 2][dot_x >> 1] |= _BITS[dot_y & 3][dot_x & 1]
        before = (x, y)
    return grid


def _joined(before: tuple[int, int] | None, here: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """Yield the dots of a line to *here*."""
    if before is None:
        yield here
        return
    (x0, y0), (x1, y1) = before, here
    steps = max(abs(x1 - x0), abs(y1 - y0), 1)
    for step in range(1, steps + 1):
        yield round(x0 + (x1 - x0) * step / steps), round(y0 + (y1 - y0) * step / steps)


def _above(values: Sequence[float | None], width: int, limit: float | None) -> list[bool]:
    """Return for every column whether something in it is above the limit."""
    marks = [False] * width
    for place, value in enumerate(values):
        if limit is not None and value is not None and value > limit:
            marks[place * (width * 2 - 1) // max(1, len(values) - 1) >> 1] = True
    return marks


def _row(
    bits: Sequence[int], above: Sequence[bool], look: Look, *, dashed: bool
) -> Iterator[tuple[str, Style]]:
    """
    Yield the signs of a row in runs of one style.

    Each change of style is an escape sequence for the terminal, so an empty cell takes
    the style of what stands before it.
    """
    run, style = "", look.accent
    for bit, loud in zip(bits, above, strict=True):
        sign = chr(_EMPTY + bit) if bit else DASH if dashed else " "
        wanted = (look.bad if loud else look.accent) if bit else look.warn if dashed else style
        if wanted != style and run:
            yield run, style
            run = ""
        run, style = run + sign, wanted
    yield run, style


def _name_limit(line: Text, note: str, cells: int, look: Look) -> None:
    """Write at the end of the first line that the limit lies above, where nothing is drawn."""
    begin = cells - len(note)
    if begin > LABEL_CELLS and not line[begin:cells].plain.strip():
        line.right_crop(len(note))
        line.append(note, look.dim)


def _empty(rows: int, look: Look) -> list[Text]:
    lines = []
    for row in range(rows):
        line = put(Text(), "", LABEL_CELLS).append("│", look.dim)
        lines.append(line.append("  nothing was measured", look.dim) if row == rows // 2 else line)
    return lines


def _times(begin: datetime, end: datetime, width: int, look: Look) -> Text:
    """Return the line of times, UTC; days where the range is longer than one."""
    line = styled(" " * LABEL_CELLS + "└")
    middle = begin + (end - begin) / 2
    left, centre, right = (f"{at:%H:%M}" for at in (begin, middle, end))
    right += " UTC"
    space = width - len(left) - len(centre) - len(right)
    if space < 4:
        return line.append(f"{left} – {right}", look.dim)
    first = max(2, (width - len(centre)) // 2 - len(left))
    text = left + " " * first + centre + " " * max(1, space - first) + right
    return line.append(text, look.dim)
