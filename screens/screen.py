"""What every screen has: header, footer, keys from the registry, one way to draw."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.screen import Screen
from textual.widget import Widget

from screens.actions import Action, action, hints_on, why_not
from screens.insight import Insight
from screens.preferences import Kept
from screens.rendering import clean
from screens.widgets.footer import Footer, Hint
from screens.widgets.header import Header
from screens.widgets.lines import Lines

if TYPE_CHECKING:
    from screens.application import ConsoleApp


class ConsoleScreen(Insight, Screen[None]):
    """
    One operator's question.

    A screen says what it is (``NAME``, ``TITLE``), what lies between header and
    footer (:meth:`body`), how that is drawn (:meth:`draw`), and why an action
    cannot be done on what is selected (:meth:`refuses`).  It decides nothing.
    """

    NAME: ClassVar[str]
    TITLE = ""
    AUTO_FOCUS = ""

    def compose(self) -> ComposeResult:
        """Stack header, body and footer."""
        yield Header(id="header")
        yield from self.body()
        yield Footer(id="footer")

    # For the screens to fill in ----------------------------------------------

    def body(self) -> ComposeResult:
        """Return what lies between header and footer; one block of lines by default."""
        yield Lines(id="body")

    def draw(self) -> None:
        """Draw the body from :attr:`view`."""

    def refuses(self, wanted: Action) -> str | None:  # noqa: ARG002 - for subclasses
        """Return why *wanted* cannot be done on what is selected, None when it can."""
        return None

    def hints(self) -> tuple[Hint, ...]:
        """Return the keys of the footer."""
        return tuple(
            Hint(a.hint_shown or a.shown, a.hint_label or a.label, self.why_not(a) is None)
            for a in hints_on(self.NAME, self.view, self.now)
        )

    def titled(self) -> str:
        """Return the title for the header, with what changes the meaning of what is seen."""
        return self.TITLE

    def explained(self) -> tuple[str, tuple[tuple[str, str], ...]] | None:
        """Return a heading and pairs of words that help explains beside the keys, or None."""
        return None

    def kept(self) -> Kept:
        """Return what this user finds again the next time: filter, order, layout."""
        return {}

    def restore(self, kept: Kept) -> None:
        """
        Take up what :meth:`kept` returned the last time, before the screen is shown.

        What is missing or wrong may raise ``LookupError``, ``TypeError``, ``ValueError``
        or ``re.error``; the screen then stays as it is by default.
        """

    def entered(self) -> None:
        """Begin what only this screen needs (feeds)."""

    def left(self) -> None:
        """End what only this screen needs."""

    def moved(self) -> None:
        """Ask anew for what is not in the picture: another moment is drawn."""

    # For the screens to use --------------------------------------------------

    @property
    def lines(self) -> Lines:
        """The body, where it is one block of lines."""
        return self.query_one("#body", Lines)

    @property
    def in_front(self) -> bool:
        """Whether no other screen lies above it; a dialog may (Textual counts otherwise)."""
        stack = self.app.screen_stack
        return next((s for s in reversed(stack) if isinstance(s, ConsoleScreen)), None) is self

    def more_below(self) -> bool:
        """Whether lines of the body lie below what can be seen."""
        return any(lines.more_below for lines in self.query("#body").results(Lines))

    def why_not(self, wanted: Action) -> str | None:
        """Return why *wanted* cannot be done now, None when it can."""
        reason = why_not(wanted, self.view, self.now) or self.refuses(wanted)
        return None if reason is None else clean(reason)  # it may name what is selected

    def redraw(self) -> None:
        """Draw everything; what did not change is not written."""
        if not self.is_mounted or not self.query("#footer"):
            return
        self.draw()
        title = self.titled()
        if self.console_app.rewound and self.view.rewound is None:
            title = f"{title} · of now"
        title = f"▾ more below · {title}" if self.more_below() else title
        self.query_one(Header).show_view(self.view, self.look, self.engine.clock.now(), title)
        footer = self.query_one(Footer)
        if self.console_app.words:
            footer.show_words(self.console_app.words, self.look)
        else:
            footer.show_hints(self.hints(), self.look)

    # Textual -----------------------------------------------------------------

    def on_mount(self) -> None:
        """Draw at once what is known."""
        self.redraw()

    def on_screen_resume(self) -> None:
        """Draw what happened while another screen was in front."""
        self.redraw()

    def on_resize(self) -> None:
        """Draw for the new size."""
        self.call_after_refresh(self.redraw)

    def action_act(self, action_id: str, key: str = "") -> None:
        """Do an action of the registry, or say why not."""
        self.act(action_id, key)

    def act(self, action_id: str, key: str = "") -> None:
        """Do an action of the registry on this screen, or say why not."""
        wanted = action(action_id)
        self.console_app.say("")
        reason = self.why_not(wanted)
        if reason is not None:
            self.console_app.say(f"{wanted.shown}: {reason}")
            return
        if action_id.startswith("open:"):
            self.console_app.open_screen(action_id.removeprefix("open:"))
            return
        self.pressed_key = key
        doer: Widget | ConsoleApp = self if hasattr(self, f"do_{action_id}") else self.console_app
        getattr(doer, f"do_{action_id}")()
        self.redraw()

    #: The key of the action being done, for actions with several keys.
    pressed_key = ""

    def do_page_up(self) -> None:
        """Scroll a page up."""
        self.lines.scroll_page_up(animate=False)

    def do_page_down(self) -> None:
        """Scroll a page down."""
        self.lines.scroll_page_down(animate=False)

    def do_up(self) -> None:
        """Scroll a line up."""
        self.lines.scroll_up(animate=False)

    def do_down(self) -> None:
        """Scroll a line down."""
        self.lines.scroll_down(animate=False)

    def do_top(self) -> None:
        """Scroll to the beginning."""
        self.lines.scroll_home(animate=False)

    def do_bottom(self) -> None:
        """Scroll to the end."""
        self.lines.scroll_end(animate=False)
