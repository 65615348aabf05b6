"""Advice on scaling as lines, pure: the verdict, each trigger, the arithmetic."""

from __future__ import annotations

from collections.abc import Sequence

from rich.style import Style
from rich.text import Text

from console.domain.advice import Advice, Direction
from console.domain.triggers import Trigger, TriggerState
from screens.look import Look
from screens.rendering import clean, paragraph, styled


def advice_lines(
    advice: Advice, target: int | None, look: Look, width: int, *, brief: bool = False
) -> list[Text]:
    """
    Return whether scaling is a good idea now, and why.

    Args:
        advice: Of one service.
        target: Replicas aimed at, compared with what is advised; None where the
            service is not to be scaled.
        look: Styles.
        width: Cells of a line.
        brief: The verdict alone.
    """
    glyph, style = _sign(advice, look)
    verdict = f"{glyph} {clean(advice.verdict, 300)}"
    if brief:
        verdict = f"{glyph} {clean(advice.service, 40)}: {clean(advice.verdict, 300)}"
    lines = paragraph([verdict], width, style)
    if not brief:
        lines += _triggers(advice.triggers, look, width)
        lines += paragraph(
            (f"  {clean(line, 300)}" for line in (*advice.arithmetic, *advice.notes)),
            width,
            look.dim,
        )
    advised = _advised(advice, target, look)
    return [*lines, advised] if advised is not None else lines


def _advised(advice: Advice, target: int | None, look: Look) -> Text | None:
    if advice.recommended is None:
        return None
    if target is None or advice.recommended == target:
        return styled(f" advised now: {advice.recommended}", look.good)
    line = styled(f" advised now: {advice.recommended}", look.accent)
    if advice.clipped_by:
        line.append(f" ({clean(advice.clipped_by, 60)})", look.dim)
    line.append("   ").append("a", look.strong).append(" takes it", look.text)
    if advice.recommended < advice.present < target or target < advice.present <= (
        advice.recommended
    ):
        line.append(f"   ▲ {target} goes the other way", look.warn)
    return line


def _sign(advice: Advice, look: Look) -> tuple[str, Style]:
    return {
        Direction.UP: ("▲", look.warn),
        Direction.LEAVE: ("✓", look.good),
        Direction.DOWN: ("✓", look.good),
        Direction.UNKNOWN: ("?", look.warn),
    }[advice.direction]


def _triggers(triggers: Sequence[Trigger], look: Look, width: int) -> list[Text]:
    """Return the triggers one after the other, broken between two of them."""
    marks = {
        TriggerState.FIRES: ("▲", look.warn),
        TriggerState.CALM: ("✓", look.text),
        TriggerState.UNKNOWN: ("?", look.warn),
    }
    lines: list[Text] = []
    for trigger in triggers:
        glyph, style = marks[trigger.state]
        words = f"   {glyph} {clean(trigger.words, 100)}"
        if not lines or lines[-1].cell_len + len(words) > width:
            lines.append(Text())
        lines[-1].append(words, style)
    for line in lines:
        line.truncate(width, overflow="ellipsis")
    return lines
