"""Find a setting by part of its name, and give it another value."""

from __future__ import annotations

from rich.text import Text
from textual.widgets import Input

from console.capabilities import HasSettings
from console.domain.tunables import Setting
from console.errors import ConsoleError, NotSupported
from screens.dialogs.confirm import error_lines
from screens.dialogs.wish import Question, WishDialog
from screens.feeds import request
from screens.messages import RequestFailed, SettingsListed
from screens.rendering import clean, fill, paragraph, put, styled
from screens.widgets.lines import Lines


class SettingsDialog(WishDialog):
    """All settings with their values, but no secret's; ``enter`` takes the one marked."""

    def __init__(self) -> None:
        super().__init__(
            "Settings", (Question("name", "find"), Question("value", "value (empty: default)"))
        )
        self._settings: tuple[Setting, ...] | None = None
        self._chosen = 0
        self._taken: Setting | None = None
        self._error: ConsoleError | None = None

    def on_mount(self) -> None:
        """Ask which settings there are."""
        request(self, "settings", self._list)

    def _list(self) -> SettingsListed:
        runtime = self.engine.runtime
        if not isinstance(runtime, HasSettings):
            raise NotSupported(f"the {runtime.name} runtime has no settings that can be changed")
        return SettingsListed(runtime.settings())

    def on_settings_listed(self, message: SettingsListed) -> None:
        """Show them."""
        self._settings = message.settings
        self.redraw()

    def on_request_failed(self, message: RequestFailed) -> None:
        """Show why they cannot be listed."""
        message.stop()
        self._error = message.error
        self.redraw()

    def matches(self) -> list[Setting]:
        """Return the settings whose name or explanation has all that was typed."""
        words = self.value("name").lower().split()
        return [
            setting
            for setting in self._settings or ()
            if all(word in f"{setting.name} {setting.explanation}".lower() for word in words)
        ]

    def content(self, width: int) -> list[Text]:
        """Return the matches, or the one that was taken."""
        if self._error is not None:
            return error_lines(self._error, width, self.look.bad, self.look.text)
        if self._settings is None:
            return [styled(" reading the settings…", self.look.dim)]
        if self._taken is not None:
            return self._explained(self._taken, width)
        lines = []
        for place, setting in enumerate(self.matches()):
            line = styled("› " if place == self._chosen else "  ")
            free = not setting.secret and not setting.instead
            put(line, clean(setting.name, 60), 30, self.look.text if free else self.look.dim)
            put(line, f" {_value(setting)}", 16, self.look.accent)
            line.append(f" {clean(setting.instead or setting.explanation, 200)}", self.look.dim)
            line.truncate(width, overflow="ellipsis")
            lines.append(fill(line, width, self.look.selected) if place == self._chosen else line)
        return lines or [styled(" nothing of that name", self.look.dim)]

    def _explained(self, setting: Setting, width: int) -> list[Text]:
        line = styled(f" {clean(setting.name, 60)}", self.look.strong)
        line.append(f"  now {_value(setting)}", self.look.accent)
        words = (clean(t, 1000) for t in (setting.explanation, setting.instead) if t)
        return [line, *paragraph(words, width, self.look.text)]

    def on_input_changed(self, event: Input.Changed) -> None:
        """Begin again at the first match."""
        event.stop()
        if event.input.id == "name":
            self._chosen, self._taken = 0, None
        self.redraw()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Take the setting that is marked, then its value on to the plan."""
        event.stop()
        event.prevent_default()
        if event.input.id == "name":
            self.action_next_field()
        elif event.input.id == "value" and self._taken is not None:
            self.dismiss({self._taken.name: self.value("value")})

    def action_next_field(self) -> None:
        """Take what is marked when its name is left."""
        matches = self.matches() if self.focused is not None else []
        if self.focused is not None and self.focused.id == "name":
            if not matches:
                return
            self._taken = matches[self._chosen]
            self.query_one("#value", Input).value = self._taken.value or ""
        super().action_next_field()

    def action_scroll_content(self, lines: int) -> None:
        """Mark another match."""
        if self._taken is not None:
            super().action_scroll_content(lines)
            return
        self._chosen = max(0, min(len(self.matches()) - 1, self._chosen + lines))
        self.redraw()
        self.query_one("#body", Lines).see(self._chosen + self.above)


def _value(setting: Setting) -> str:
    if setting.secret:
        return "(secret)"
    return clean(setting.value, 60) if setting.value is not None else "(default)"
