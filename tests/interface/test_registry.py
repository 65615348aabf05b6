"""The registry of actions holds what the screens can do, no more and no less."""

from __future__ import annotations

import inspect

import pytest

from console import ports
from screens.actions import ACTIONS, ANYWHERE, FOOTER_HINTS, Tier, actions_on, hints_on
from screens.application import ConsoleApp
from screens.follow import FollowScreen
from screens.look import THEMES, look_of
from screens.screen import ConsoleScreen
from screens.table import SCREENS
from screens.widgets.footer import Hint, hint_line

CLASSES: dict[str, type[ConsoleScreen]] = {entry.name: entry.load() for entry in SCREENS} | {
    "operation": FollowScreen
}


@pytest.mark.parametrize("name", CLASSES)
def test_every_action_is_done_by_its_screen_or_the_app(name: str) -> None:
    for action in actions_on(name):
        if not action.id.startswith("open:"):
            method = f"do_{action.id}"
            assert hasattr(CLASSES[name], method) or hasattr(ConsoleApp, method), method


@pytest.mark.parametrize("name", CLASSES)
def test_no_key_means_two_things_on_one_screen(name: str) -> None:
    keys = [key for action in actions_on(name) for key in action.keys.split(",")]
    assert sorted(keys) == sorted(set(keys))


@pytest.mark.parametrize("name", CLASSES)
def test_every_screen_does_nothing_that_is_not_in_the_registry(name: str) -> None:
    methods = {
        member.removeprefix("do_")
        for member, _ in inspect.getmembers(CLASSES[name], inspect.isfunction)
        if member.startswith("do_")
    }
    assert methods <= {action.id for action in ACTIONS}


@pytest.mark.parametrize("name", CLASSES)
def test_the_footer_fits_80_columns_with_help_and_quit_first(name: str) -> None:
    hints = hints_on(name)
    assert [hint.id for hint in hints[:2]] == ["help", "quit"]
    assert len(hints) <= FOOTER_HINTS
    shown = [Hint(a.hint_shown or a.shown, a.hint_label or a.label) for a in hints]
    line = hint_line(shown, look_of(THEMES[0]), 80).plain
    assert all(hint.label in line for hint in shown)


def test_a_screen_is_known_by_its_entry() -> None:
    for entry in SCREENS:
        assert entry.name == CLASSES[entry.name].NAME
        assert entry.title == CLASSES[entry.name].TITLE


def test_what_changes_something_is_guarded() -> None:
    for action in ACTIONS:
        assert not action.needs_write or action.tier is not Tier.HARMLESS
        assert action.capability is None or hasattr(ports, action.capability)
        assert action.where == ANYWHERE or set(action.where) <= set(CLASSES)
