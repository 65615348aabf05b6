"""A list that is filtered by ``/``: the prompt, the words, what is wrong with them."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.widgets import Input

from console.domain.filtering import Filter, Vocabulary, parse_filter
from console.errors import UsageError
from screens.dialogs.base import Field
from screens.screen import ConsoleScreen
from screens.widgets.footer import Hint
from screens.widgets.lines import Lines


def filter_words(vocabulary: Vocabulary) -> tuple[str, tuple[tuple[str, str], ...]]:
    """Return what help says of a list's filter."""
    figures = ", ".join(
        f"{name} ({unit})" if unit else name for name, unit in vocabulary.figures.items()
    )
    return "Filter (/), terms joined by “and”", (
        ("word !word", "names with it; without it"),
        ("health:unhealthy", f"fields: {', '.join(vocabulary.words)}; health:un is enough"),
        ("cpu>80 memory>90", "above; also < >= <= ="),
        ("restarts>0", f"figures: {figures}"),
        ("uptime<10m", "started in the last ten minutes; s, m, h, d"),
        ("an empty one", "shows everything again, as esc does"),
    )


class FilteredScreen(ConsoleScreen):
    """To be inherited from; a filter that makes no sense leaves the last one as it was."""

    VOCABULARY: ClassVar[Vocabulary]

    def __init__(self) -> None:
        super().__init__()
        self.filter = Filter()
        self._typing = False

    def body(self) -> ComposeResult:
        """Put the prompt under the lines; it is seen while something is typed."""
        yield Lines(id="body")
        prompt = Field("filter", id="prompt")
        prompt.display = False
        yield prompt

    def explained(self) -> tuple[str, tuple[tuple[str, str], ...]]:
        """Return what help says of the filter."""
        return filter_words(self.VOCABULARY)

    def filter_changed(self) -> None:
        """Do what the new filter needs besides drawing."""

    def hints(self) -> tuple[Hint, ...]:
        """Return the footer; while something is typed it is about that."""
        if self._typing:
            words = (*self.VOCABULARY.words, *self.VOCABULARY.figures)
            return (
                Hint("enter", "take"),
                Hint("esc", "leave"),
                Hint(" ".join(words), "fields"),
            )
        return super().hints()

    def do_filter_list(self) -> None:
        """Ask for a filter."""
        self._typing = True
        self.query_one(Field).display = True
        entry = self.query_one("#prompt", Input)
        entry.value = self.filter.text
        # Not entry.focus(), which waits a turn: keys typed right after belong here.
        self.set_focus(entry)
        self.redraw()

    def do_back(self) -> None:
        """Leave the prompt, then the filter, then the screen."""
        if self._typing:
            self._close_prompt()
        elif self.filter:
            self.filter = Filter()
            self.filter_changed()
        else:
            self.console_app.do_back()

    def _close_prompt(self) -> None:
        self._typing = False
        self.query_one(Field).display = False
        self.set_focus(None)
        self.redraw()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Take what was typed."""
        event.stop()
        typed = event.value
        self._close_prompt()
        try:
            self.filter = parse_filter(typed, self.VOCABULARY)
        except UsageError as error:
            self.console_app.say(f"{error.message}; {error.remedy}; {error.unchanged}")
            return
        self.filter_changed()
        self.redraw()
