"""Alerts: what is firing, and which procedure helps?"""

from __future__ import annotations

from rich.text import Text

from console.domain.alerts import Silence
from screens.actions import Action, bindings_on
from screens.alert_lines import Entry, alert_entries, alerts_page
from screens.dialogs.procedure import ProcedureDialog
from screens.dialogs.silence import SilenceDialog, UnsilenceDialog
from screens.messages import RequestDone
from screens.overview_lines import unseen_lines
from screens.rendering import clean, styled
from screens.selecting import Selects
from screens.widgets.lines import Lines


class AlertsScreen(Selects):
    """Alerts, the most urgent first; ``enter`` opens the procedure of one."""

    NAME = "alerts"
    TITLE = "Alerts"
    BINDINGS = bindings_on("alerts")

    def __init__(self) -> None:
        super().__init__()
        self._selected: tuple[str, str, str] | None = None
        self._places: dict[tuple[str, str, str], tuple[int, int]] = {}

    def draw(self) -> None:
        """Draw the alerts."""
        view, look, width = self.view, self.look, self.app.size.width
        snapshot = view.snapshot
        if snapshot is None:
            words = "The stack cannot be read" if view.failure else "Reading the alerts…"
            lines = [Text(), styled(f" {words}", look.bad if view.failure else look.dim)]
            self.lines.show(
                lines + [styled(f" {clean(each, 300)}", look.text) for each in view.failure]
            )
            return
        if snapshot.unseen is not None and not snapshot.alerts:
            self.lines.show(unseen_lines(snapshot.unseen, look, width))
            return
        if not snapshot.running:
            start = styled(" start it: ", look.text).append("fragrance start", look.accent)
            self.lines.show([Text(), styled(" Nothing runs here", look.strong), start])
            return
        entries = self._entries()
        chosen = self._chosen()
        key = chosen.key if chosen is not None else None
        stale = view.stale(self.now)
        lines, self._places = alerts_page(
            snapshot, entries, key, look, self.now, width, stale=stale
        )
        self.lines.show(lines)

    def _entries(self) -> list[Entry]:
        snapshot = self.view.snapshot
        if snapshot is None or not snapshot.running:
            return []
        return alert_entries(snapshot, self.engine.settings.policy, self.look, self.now)

    def _chosen(self) -> Entry | None:
        """Return the selected alert wherever it now stands; else the first."""
        entries = self._entries()
        found = next((e for e in entries if e.key == self._selected), None)
        if found is None and self._selected is not None:
            found = next((e for e in entries if e.name == self._selected[1]), None)
        return found or (entries[0] if entries else None)

    def _silence_of(self, name: str) -> Silence | None:
        snapshot = self.view.snapshot
        known = () if snapshot is None else snapshot.silences
        return next((s for s in known if s.alert == name and s.until > self.now), None)

    def refuses(self, wanted: Action) -> str | None:
        """Say what an action of one alert needs."""
        if wanted.group != "Alerts":
            return None
        chosen = self._chosen()
        if chosen is None:
            return "no alert is known"
        if wanted.id == "unsilence" and self._silence_of(chosen.name) is None:
            return f"{chosen.name} is not silenced"
        return None

    # Keys --------------------------------------------------------------------

    def move(self, by: int) -> None:
        """Select another alert and bring it in sight."""
        entries, chosen = self._entries(), self._chosen()
        if chosen is None:
            return
        keys = [entry.key for entry in entries]
        place = max(0, min(len(keys) - 1, keys.index(chosen.key) + by))
        self._selected = keys[place]
        first, last = self._places.get(keys[place], (0, 0))
        self.lines.see(0 if place == 0 else first, last)

    def on_lines_clicked(self, message: Lines.Clicked) -> None:
        """Select what was clicked."""
        for key, (first, last) in self._places.items():
            if first <= message.y <= last:
                self._selected = key
                self.redraw()

    def do_procedure(self) -> None:
        """Open the section of the runbook."""
        chosen = self._chosen()
        if chosen is not None:
            self.app.push_screen(ProcedureDialog(chosen.name, chosen.runbook))

    def do_silence(self) -> None:
        """Ask for how long and why not to be told of it."""
        chosen = self._chosen()
        if chosen is not None:
            self.app.push_screen(SilenceDialog(chosen.name), self._answered)

    def do_unsilence(self) -> None:
        """Be told of it again."""
        chosen = self._chosen()
        silence = None if chosen is None else self._silence_of(chosen.name)
        if chosen is not None and silence is not None:
            self.app.push_screen(UnsilenceDialog(chosen.name, silence), self._answered)

    def _answered(self, answer: object) -> None:
        if isinstance(answer, RequestDone):
            self.console_app.say(answer.words)
