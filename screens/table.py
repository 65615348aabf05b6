"""
The screens, one line each.

A new screen is a file and one line here; its key, its entry in help and palette and
its place in the footer follow from the line.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from screens.screen import ConsoleScreen


@dataclass(frozen=True, slots=True)
class ScreenEntry:
    """
    One screen.

    Args:
        name: Name in the registry of actions and among installed screens.
        key: The one key that opens it from anywhere.
        title: As drawn.
        question: What it answers, for help and palette.
        place: ``module:Class``, imported when it is first shown.
        watches: It draws from the picture of the stack, and can so be moved back in time.
    """

    name: str
    key: str
    title: str
    question: str
    place: str
    watches: bool = False

    def load(self) -> type[ConsoleScreen]:
        """Import and return the screen's class."""
        module, _, name = self.place.partition(":")
        loaded: type[ConsoleScreen] = getattr(import_module(module), name)
        return loaded


#: The first one is shown at the start and is where ``esc`` ends.
SCREENS: tuple[ScreenEntry, ...] = (
    ScreenEntry(
        "overview",
        "v",
        "Overview",
        "what is wrong?",
        "screens.overview:OverviewScreen",
        watches=True,
    ),
    ScreenEntry("service", "i", "Service", "why?", "screens.service:ServiceScreen", watches=True),
    ScreenEntry("logs", "l", "Logs", "what does it say?", "screens.logs:LogsScreen", watches=True),
    ScreenEntry(
        "queues", "t", "Queues", "will it drain, when?", "screens.queues:QueuesScreen", watches=True
    ),
    ScreenEntry(
        "metrics", "m", "Metrics", "since when?", "screens.metrics:MetricsScreen", watches=True
    ),
    ScreenEntry(
        "alerts",
        "a",
        "Alerts",
        "what is firing, which procedure?",
        "screens.alerts:AlertsScreen",
        watches=True,
    ),
    ScreenEntry(
        "operations", "o", "Operations", "who did what?", "screens.operations:OperationsScreen"
    ),
    ScreenEntry(
        "changes",
        "h",
        "Changes",
        "what changed in the last hour?",
        "screens.changes:ChangesScreen",
        watches=True,
    ),
)

#: Names of the screens that can be moved back in time.
WATCHING = tuple(entry.name for entry in SCREENS if entry.watches)


def screen_entry(name: str) -> ScreenEntry:
    """Return the entry called *name*."""
    return next(entry for entry in SCREENS if entry.name == name)
