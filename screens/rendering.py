"""
Values → text, pure: nothing here knows a widget, a clock or an engine.

Everything that came from outside passes :func:`clean` before it is drawn;
unknown is drawn ``–``, unlike zero.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import lru_cache

from rich.cells import cell_len, set_cell_size
from rich.style import Style
from rich.text import Text

from console.domain.alerts import AlertSeverity, AlertState
from console.domain.operations import OperationState, StepPhase
from console.domain.services import Health
from console.domain.snapshot import Overall
from screens.look import Look

UNKNOWN = "–"

_ESCAPES = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]P^_X][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~])?"
)
#: Longer texts are seldom drawn twice.
_NAME_CHARACTERS = 300
_PRINTABLE = re.compile(r"[\x20-\x7e]*\Z")


def clean(text: str, limit: int = 2000) -> str:
    """
    Make text from outside safe to draw.

    Escape sequences, control characters and invisible ones (bidirectional
    overrides, zero width) are taken out; tabs and line ends become spaces.

    Args:
        text: Anything.
        limit: Characters kept; what is cut is counted in a mark at the end.
    """
    left_out = len(text) - limit
    if left_out > 0:
        text = text[:limit]
    if not _PRINTABLE.match(text):
        # Names come again with every picture, log lines do not.
        text = _remembered(text) if len(text) <= _NAME_CHARACTERS else _without_hostile(text)
    return f"{text}… +{left_out:,} characters" if left_out > 0 else text


def _without_hostile(text: str) -> str:
    return "".join(_safe(sign) for sign in _ESCAPES.sub("", text))


_remembered = lru_cache(4096)(_without_hostile)


def _safe(sign: str) -> str:
    if sign.isspace():
        return " "
    return "" if unicodedata.category(sign) in {"Cc", "Cf", "Cs", "Co", "Cn"} else sign


def cut(text: str, cells: int) -> str:
    """Return *text* in at most *cells* cells, with ``…`` where something is left out."""
    if cell_len(text) <= cells:
        return text
    return set_cell_size(text, cells - 1) + "…" if cells > 0 else ""


def styled(words: str, style: Style | None = None) -> Text:
    """
    Return *words* in *style*.

    The style is a span of its own and not the text's base: a base would reach
    into what is appended, and Rich leaves it out of a text without spans.
    """
    return Text().append(words, style)


def put(
    line: Text, text: str, cells: int, style: Style | None = None, *, right: bool = False
) -> Text:
    """Append one column: *text* cut or padded to exactly *cells*; return *line*."""
    text = cut(text, cells)
    space = " " * (cells - cell_len(text))
    return line.append(space + text if right else text + space, style)


def fill(line: Text, cells: int, style: Style | None = None) -> Text:
    """Pad *line* to *cells* and lay *style* under all of it; return *line*."""
    line.append(" " * max(0, cells - line.cell_len))
    if style is not None:
        line.stylize_before(style)
    return line


def between(left: Text, right: Text, cells: int) -> Text:
    """Return one line with *left* and *right* at its ends; *left* gives way."""
    room = cells - right.cell_len - 1
    if room < 8:
        left.truncate(cells, overflow="ellipsis")
        return left
    left.truncate(room, overflow="ellipsis")
    left.append(" " * (cells - left.cell_len - right.cell_len))
    return left.append_text(right)


def beside(left: list[Text], right: list[Text], left_cells: int, gap: int = 3) -> list[Text]:
    """Set two blocks of lines side by side; the left one is cut at *left_cells*."""
    lines = []
    for index in range(max(len(left), len(right))):
        line = left[index].copy() if index < len(left) else Text()
        line.truncate(left_cells, overflow="ellipsis")
        if index < len(right):
            fill(line, left_cells + gap).append_text(right[index])
        lines.append(line)
    return lines


def wrap(text: str, cells: int) -> list[str]:
    """Break *text* at spaces into lines of at most *cells*; a long word is cut hard."""
    lines, line = [], ""
    for word in text.split():
        if line and cell_len(line) + 1 + cell_len(word) > cells:
            lines.append(line)
            line = ""
        line = f"{line} {word}" if line else word
        while cell_len(line) > cells > 0:
            head = set_cell_size(line, cells).rstrip()
            lines.append(head)
            line = line[len(head) :].lstrip()
    return [*lines, line] if line or not lines else lines


def fold(text: str, cells: int) -> list[str]:
    """Break *text* into lines of *cells* without changing a sign, as a command must be."""
    lines = []
    while cell_len(text) > cells > 0:
        head = set_cell_size(text, cells)
        if not text.startswith(head):  # a wide sign stood across the end
            head = head[:-1]
        lines.append(head)
        text = text[len(head) :]
    return [*lines, text]


def fold_text(line: Text, cells: int, indent: int) -> list[Text]:
    """Break a drawn line into rows of *cells*; all but the first begin after *indent* blanks."""
    if line.cell_len <= cells or indent >= cells:
        return [line]
    offsets, used, plain = [], 0, line.plain
    for place, sign in enumerate(plain):
        wide = 1 if sign < "\x7f" else cell_len(sign)
        if used + wide > cells:
            offsets.append(place)
            used = indent
        used += wide
    first, *others = line.divide(offsets)
    return [first, *(Text(" " * indent).append_text(other) for other in others)]


# Figures -----------------------------------------------------------------------


def duration(seconds: float | None) -> str:
    """Return a length of time in its two largest units: ``42s``, ``3m 10s``, ``2h 5m``."""
    if seconds is None or math.isnan(seconds):
        return UNKNOWN
    if math.isinf(seconds):
        return "never"
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole}s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes}m {rest}s" if rest else f"{minutes}m"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours}h {minutes}m" if minutes else f"{hours}h"
    days, hours = divmod(hours, 24)
    return f"{days}d {hours}h" if hours else f"{days}d"


def age(seconds: float | None) -> str:
    """
    Return an age coarse enough not to be redrawn all the time.

    Five-second steps below a minute, then minutes, hours, days.
    """
    if seconds is None:
        return UNKNOWN
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole - whole % 5}s" if whole >= 5 else "<5s"
    if whole < 3600:
        return f"{whole // 60}m"
    if whole < 48 * 3600:
        return duration(whole - whole % 60)
    return duration(whole - whole % 3600)


def since(start: datetime | None, now: datetime) -> str:
    """Return the coarse :func:`age` of *start*, ``<1m`` in the first minute."""
    if start is None:
        return UNKNOWN
    seconds = (now - start).total_seconds()
    return "<1m" if seconds < 60 else age(seconds)


def clock_time(at: datetime, now: datetime) -> str:
    """Return ``03:02`` for today, ``Nov 19`` for another day, in UTC as *at* is."""
    return f"{at:%H:%M}" if at.date() == now.date() else f"{at:%b %d}"


def size(count: int | None) -> str:
    """Return a number of bytes in at most five cells: ``310M``, ``2.0G``."""
    if count is None:
        return UNKNOWN
    value = float(count)
    for unit in ("B", "K", "M", "G", "T"):
        if value < 999.5 or unit == "T":
            return f"{value:.1f}{unit}" if value < 10 and unit in "GT" else f"{value:.0f}{unit}"
        value /= 1024
    raise AssertionError("unreachable")


def percent(ratio: float | None, digits: int = 0) -> str:
    """Return a ratio as a percentage, ``12%``."""
    return UNKNOWN if ratio is None else f"{ratio * 100:.{digits}f}%"


def rate(per_second: float | None) -> str:
    """Return a rate per second with one decimal below 100."""
    if per_second is None:
        return UNKNOWN
    return f"{per_second:.1f}" if per_second < 99.95 else f"{per_second:.0f}"


def latency(seconds: float | None) -> str:
    """Return a response time: ``38ms``, ``1.24s``."""
    if seconds is None:
        return UNKNOWN
    return f"{seconds * 1000:.0f}ms" if seconds < 0.9995 else f"{seconds:.2f}s"


def number(value: int | None) -> str:
    """Return a count, ``–`` when unknown."""
    return UNKNOWN if value is None else f"{value:,}"


def plural(count: int, noun: str) -> str:
    """Return ``1 task``, ``2 tasks``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


_BARS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float | None], cells: int, top: float | None = None) -> str:
    """
    Return the last *cells* values as bars; a gap where one is unknown.

    Args:
        values: The oldest first.
        cells: Width; with fewer values the left stays empty.
        top: What the highest bar stands for; None for the highest value there is.
    """
    shown = list(values)[-cells:] if cells > 0 else []
    highest = top if top is not None else max((v for v in shown if v is not None), default=0.0)
    bars = "".join(
        " " if value is None else _BARS[_level(value, highest, len(_BARS))] for value in shown
    )
    return bars.rjust(cells)


def _level(value: float, highest: float, levels: int) -> int:
    if highest <= 0 or math.isnan(value):
        return 0
    return max(0, math.ceil(min(1.0, value / highest) * levels) - 1) if value > 0 else 0


# Meanings ----------------------------------------------------------------------


def health_sign(health: Health, look: Look) -> tuple[str, Style]:
    """Return the glyph and style of a health; its word is its value."""
    return {
        Health.HEALTHY: ("●", look.good),
        Health.STARTING: ("◐", look.warn),
        Health.UNHEALTHY: ("✗", look.bad),
        Health.STOPPED: ("○", look.dim),
        Health.UNKNOWN: ("?", look.warn),
    }[health]


def overall_sign(overall: Overall, look: Look) -> tuple[str, Style]:
    """Return the glyph and style of the whole stack's state."""
    return {
        Overall.HEALTHY: ("●", look.good),
        Overall.DEGRADED: ("▲", look.warn),
        Overall.UNHEALTHY: ("✗", look.bad),
        Overall.UNKNOWN: ("?", look.warn),
    }[overall]


def alert_sign(
    severity: AlertSeverity, look: Look, state: AlertState = AlertState.FIRING
) -> tuple[str, Style]:
    """Return the glyph and style of an alert; one that does not fire yet is calm."""
    if state is AlertState.PENDING:
        return "◐", look.text
    return ("✗", look.bad) if severity is AlertSeverity.CRITICAL else ("▲", look.warn)


def state_sign(state: OperationState, look: Look) -> tuple[str, Style]:
    """Return the glyph and style of an operation's state; its word is its value."""
    if state is OperationState.DONE:
        return "✓", look.good
    if state in {OperationState.RUNNING, OperationState.SUBMITTED}:
        return "▶", look.accent
    if state in {OperationState.INTERRUPTED, OperationState.FROZEN}:
        return "▲", look.bad
    if state in {OperationState.UNDONE, OperationState.REVERTED}:
        return "↶", look.warn
    return "○", look.dim


def phase_sign(phase: StepPhase, look: Look) -> tuple[str, str, Style]:
    """Return glyph, word and style of a step's phase."""
    return {
        StepPhase.PENDING: ("○", "waits", look.dim),
        StepPhase.INTENT: ("▶", "running", look.accent),
        StepPhase.SKIPPED: ("✓", "was true", look.good),
        StepPhase.DONE: ("✓", "done", look.good),
        StepPhase.FAILED: ("✗", "failed", look.bad),
        StepPhase.UNDONE: ("↶", "undone", look.warn),
        StepPhase.ASKED: ("?", "asked", look.warn),
        StepPhase.ANSWERED: ("!", "answered", look.accent),
    }[phase]


def heading(title: str, look: Look, note: str = "") -> Text:
    """Return the line above a section."""
    line = styled(f" {title}", look.strong)
    return line.append(f"  {note}", look.dim) if note else line


def paragraph(texts: Iterable[str], cells: int, style: Style | None = None) -> list[Text]:
    """Return sentences as wrapped lines with one cell of margin."""
    return [styled(f" {line}", style) for text in texts for line in wrap(text, cells - 2)]
