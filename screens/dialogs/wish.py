"""Ask for the arguments of a verb; the plan made of them is what is confirmed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text
from textual.widgets import Input

from console.domain.amounts import cores_text, size_text
from console.domain.services import Limits, Service
from screens.dialogs.base import Dialog, Field
from screens.plan_lines import host_lines, present_lines
from screens.rendering import UNKNOWN, clean, paragraph
from screens.widgets.footer import Hint


@dataclass(frozen=True, slots=True)
class Question:
    """One argument: its name in the wish, how it is asked for, what it is now."""

    name: str
    label: str
    value: str = ""


class WishDialog(Dialog[dict[str, str]]):
    """
    A few lines to fill in; ``enter`` in the last one goes on to the plan.

    It answers with what was changed; nothing changed, or emptied, is Cancel.

    Args:
        title: What it is about.
        questions: In order.
    """

    def __init__(self, title: str, questions: Sequence[Question]) -> None:
        super().__init__(title)
        self._questions = tuple(questions)

    def fields(self) -> Sequence[Field]:
        """Ask each question."""
        return [Field(q.label, id=q.name, value=q.value) for q in self._questions]

    def on_mount(self) -> None:
        """Begin in the first field; nothing is done from here."""
        self.action_next_field()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Go on to the next field, and after the last one to the plan."""
        event.stop()
        event.prevent_default()
        if event.input.id != self._questions[-1].name:
            self.action_next_field()
            return
        given = {q.name: self.value(q.name) for q in self._questions}
        changed = {q.name: given[q.name] for q in self._questions if given[q.name] != q.value}
        self.dismiss({name: text for name, text in changed.items() if text} or None)

    def answers(self) -> tuple[Hint, ...]:
        """Return what the keys do."""
        return (Hint("enter", "next, then the plan"), Hint("tab", "next"), Hint("esc", "Cancel"))


class ResizeDialog(WishDialog):
    """
    Ask for other limits of one service.

    Args:
        service: As it is now.
    """

    def __init__(self, service: Service) -> None:
        limits = service.limits or Limits()
        super().__init__(
            f"Resize: {clean(service.name, 60)}",
            (
                Question("cpus", "cores of each replica", _cores(limits.cpu_cores)),
                Question("memory", "memory of each", _size(limits.memory_bytes)),
                Question("reserve-cpus", "cores kept for it", _cores(limits.cpu_reserved_cores)),
                Question("reserve-memory", "memory kept", _size(limits.memory_reserved_bytes)),
            ),
        )
        self._service = service.name

    def content(self, width: int) -> list[Text]:
        """Return what it uses now, of what it may use, and what the host has left."""
        snapshot = self.view.snapshot
        service = snapshot.service(self._service) if snapshot else None
        peak = max((r.memory_bytes or 0 for r in service.replicas), default=0) if service else 0
        words = (
            f"the largest replica uses {_size(peak // 1024**2 * 1024**2) or UNKNOWN} of memory",
            "1.5 is cores, 512M or 2G is memory; an empty line stays as it is.",
        )
        return [
            *present_lines((self._service,), snapshot, self.look, width),
            *host_lines(snapshot, self.look, width),
            *paragraph(words, width, self.look.dim),
        ]


def _cores(cores: float | None) -> str:
    return "" if cores is None else cores_text(cores)


def _size(size_bytes: int | None) -> str:
    return "" if not size_bytes else size_text(size_bytes)
