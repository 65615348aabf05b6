"""What the autoscaler decided last, in words, pure."""

from __future__ import annotations

from datetime import datetime

from rich.text import Text

from console.domain.decisions import Action, Decision
from console.domain.snapshot import Snapshot
from screens.look import Look
from screens.rendering import age, clean, styled

_WORDS = {Action.UP: "scales up", Action.DOWN: "scales down", Action.HOLD: "holds"}


def decision_words(decision: Decision, now: datetime) -> str:
    """Return one decision with its reason and age."""
    target = "" if decision.target is None else f" to {decision.target}"
    ago = age((now - decision.at).total_seconds())
    return f"{_WORDS[decision.action]}{target}: {clean(decision.reason, 300)} · {ago} ago"


def decision_note(
    snapshot: Snapshot, service: str, look: Look, now: datetime, width: int
) -> list[Text]:
    """Return the line beneath *service*; nothing where nothing was decided about it."""
    lines = []
    for decision in snapshot.autoscale:
        if decision.service == service:
            line = styled("    ↳ autoscale ", look.dim)
            line.append(decision_words(decision, now), look.text)
            line.truncate(width, overflow="ellipsis")
            lines.append(line)
    return lines
