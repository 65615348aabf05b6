"""What screens and dialogs alike see of the console around them."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from textual.screen import Screen

if TYPE_CHECKING:
    from console.engine import Engine
    from screens.application import ConsoleApp
    from screens.look import Look
    from screens.view import View


class Insight:
    """To be mixed into a Textual screen of this app."""

    @property
    def console_app(self) -> ConsoleApp:
        """The app, by its own type."""
        assert isinstance(self, Screen)  # noqa: S101 - a mixin: states what it is mixed into
        app: ConsoleApp = self.app  # type: ignore[assignment]  # Textual types it as App
        return app

    @property
    def engine(self) -> Engine:
        """The engine; to be called in feeds only."""
        return self.console_app.engine

    @property
    def view(self) -> View:
        """What is known now."""
        return self.console_app.view

    @property
    def look(self) -> Look:
        """Styles of the theme in use."""
        return self.console_app.look

    @property
    def now(self) -> datetime:
        """The time that is drawn, UTC: the present, or the moment of the past."""
        return self.view.moment(self.engine.clock.now())

    @property
    def then(self) -> datetime | None:
        """The moment of the past that is drawn; None for the present."""
        return None if self.view.rewound is None else self.view.rewound.at
