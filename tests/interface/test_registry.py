"""The registry of actions holds what the screens can do, no more and no less."""

from __future__ import annotations

import inspect

import pytest

from console import capabilities
from console.domain.operations import OperationState
from console.engine import Access
from screens.actions import (
    ACTIONS,
    ANYWHERE,
    FOOTER_HINTS,
    Tier,
    actions_on,
    hints_on,
    offered_on,
)
from screens.application import ConsoleApp
from screens.audit import AuditScreen
from screens.follow import FollowScreen
from screens.look import THEMES, look_of
from screens.screen import ConsoleScreen
from screens.table import SCREENS
from screens.view import View
from screens.widgets.footer import Hint, hint_line
from tests.fakes import operations, pictures
from tests.fakes.pictures import NOW
from tests.interface.conftest import OpenDesk

#: A runtime that has every capability an action asks for.
EVERYTHING = frozenset(a.capability for a in ACTIONS if a.capability)

CLASSES: dict[str, type[ConsoleScreen]] = {entry.name: entry.load() for entry in SCREENS} | {
    "operation": FollowScreen,
    "audit": AuditScreen,
}


@pytest.mark.parametrize("name", CLASSES)
def test_every_action_is_done_by_its_screen_or_the_app(name: str) -> None:
    for action in actions_on(name):
        if not action.id.startswith("open:"):
            method = f"do_{action.id}"
            assert hasattr(CLASSES[name], method) or hasattr(ConsoleApp, method), method


@pytest.mark.parametrize("name", CLASSES)
def test_every_screen_fills_in_what_its_bases_leave_open(name: str) -> None:
    members = inspect.getmembers(CLASSES[name], inspect.isfunction)
    assert [m for m, found in members if getattr(found, "__isabstractmethod__", False)] == []


@pytest.mark.parametrize("name", CLASSES)
def test_no_key_means_two_things_on_one_screen(name: str) -> None:
    keys = [key for action in actions_on(name) for key in action.keys.split(",") if key]
    assert sorted(keys) == sorted(set(keys))


@pytest.mark.parametrize("name", CLASSES)
def test_every_screen_does_nothing_that_is_not_in_the_registry(name: str) -> None:
    methods = {
        member.removeprefix("do_")
        for member, _ in inspect.getmembers(CLASSES[name], inspect.isfunction)
        if member.startswith("do_")
    }
    assert methods <= {action.id for action in ACTIONS}


@pytest.mark.parametrize("write", [True, False], ids=["write", "read-only"])
@pytest.mark.parametrize("name", CLASSES)
def test_the_footer_fits_80_columns_with_help_and_quit_first(name: str, write: bool) -> None:
    view = View("production", True, "ana", access=Access(write, None), capabilities=EVERYTHING)
    hints = hints_on(name, view, NOW)
    assert [hint.id for hint in hints[:2]] == ["help", "quit"]
    assert len(hints) <= FOOTER_HINTS
    shown = [Hint(a.hint_shown or a.shown, a.hint_label or a.label) for a in hints]
    line = hint_line(shown, look_of(THEMES[0]), 80).plain
    assert all(hint.label in line for hint in shown)
    assert any(hint.id == "elevate" for hint in hints) is not write


def test_a_screen_is_known_by_its_entry() -> None:
    for entry in SCREENS:
        assert entry.name == CLASSES[entry.name].NAME
        assert entry.title == CLASSES[entry.name].TITLE


def test_what_changes_something_is_guarded() -> None:
    for action in ACTIONS:
        assert not action.needs_write or action.tier is not Tier.HARMLESS
        assert action.capability is None or hasattr(capabilities, action.capability)
        assert action.where == ANYWHERE or set(action.where) <= set(CLASSES)


def test_a_key_exists_only_where_the_runtime_can() -> None:
    poor = View("dev", False, "ana", access=Access(True, None))
    keys = {action.id for action in offered_on("overview", poor)}
    assert not keys & {action.id for action in ACTIONS if action.capability}
    assert {"help", "elevate", "enter"} <= keys


@pytest.mark.parametrize("name", CLASSES)
async def test_in_production_no_changing_key_does_anything_without_write_access(
    open_desk: OpenDesk, name: str
) -> None:
    async with open_desk(pictures.production()) as desk:
        desk.engine.journal = [
            operations.operation(OperationState.INTERRUPTED),
            operations.operation(OperationState.DONE, operation_id="op-0006"),
        ]
        screen = "operations" if name in {"operation", "audit"} else name
        if screen != "overview":
            await desk.press(next(entry.key for entry in SCREENS if entry.name == screen))
            await desk.until(lambda: screen == desk.screen.NAME, screen)
        if name == "operation":
            await desk.sees("interrupted")
            await desk.press("enter")
            await desk.until(lambda: name == desk.screen.NAME, name)
        if name == "audit":
            await desk.press("tab")
            await desk.until(lambda: name == desk.screen.NAME, name)
        if name == "service":
            await desk.sees("reached at")
        changing = [a for a in actions_on(name) if a.needs_write]
        assert changing
        for action in changing:
            for key in filter(None, action.keys.split(",")):
                await desk.press(key)
                assert "read-only: this is production; w takes" in desk.footer, action.id
                assert name == desk.screen.NAME
            desk.app.say("")
            desk.app.act(action.id)  # as the palette does
            assert "read-only: this is production; w takes" in desk.footer, action.id
        reading = {"logs", "watch", "measured", "describe"}
        assert {asked[0] for asked in desk.engine.asked} <= reading
