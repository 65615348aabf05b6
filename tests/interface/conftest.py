"""A still world for the screens: fixed clock and zone, colours on, a fake engine."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
from textual.pilot import Pilot

from console.domain.snapshot import Snapshot
from screens.application import ConsoleApp
from screens.dialogs.base import Dialog
from screens.screen import ConsoleScreen
from screens.terminal import Terminal
from screens.widgets.footer import Footer
from screens.widgets.header import Header
from screens.widgets.lines import Lines
from screens.widgets.log_view import LogView
from tests.fakes.engine import FakeEngine

if TYPE_CHECKING:
    from console.engine import Engine

#: How long a test waits for what it waits for, seconds.
PATIENCE_SECONDS = 10.0


@pytest.fixture(autouse=True)
def _still_world(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    for name in ("NO_COLOR", "SSH_CONNECTION", "FRAGRANCE_THEME"):
        monkeypatch.delenv(name, raising=False)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


class Desk:
    """An operator at the console: presses keys, reads the screen, waits."""

    def __init__(self, app: ConsoleApp, engine: FakeEngine, pilot: Pilot[None]) -> None:
        self.app = app
        self.engine = engine
        self.pilot = pilot

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)

    async def type(self, text: str) -> None:
        await self.pilot.press(*["space" if sign == " " else sign for sign in text])

    async def until(self, condition: Callable[[], object], what: str = "") -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            assert time.monotonic() < deadline, f"never: {what}\n{self.text}"
            await self.pilot.pause()
            await asyncio.sleep(0.01)

    async def sees(self, *words: str) -> None:
        """Wait until all *words* are on the screen."""
        await self.until(lambda: all(w in self.text for w in words), f"sees {words}")

    async def dialog(self) -> Dialog[Any]:
        """Wait until a dialog is in front and takes keys; return it."""
        await self.until(
            lambda: isinstance(self.app.screen, Dialog) and self.app.screen.armed, "a dialog"
        )
        return cast(Dialog[Any], self.app.screen)

    async def plan(self, *keys: str) -> Dialog[Any]:
        """Press *keys*, and wait for the plan they ask for."""
        await self.press(*keys)
        await self.until(lambda: isinstance(self.app.screen, Dialog), "a dialog")
        await self.sees("exact commands")
        return await self.dialog()

    @property
    def text(self) -> str:
        screen = self.app.screen
        parts = [w.plain for w in screen.query(Lines)]
        parts[-1:-1] = [w.plain for w in screen.query(LogView)]
        return "\n".join(parts)

    @property
    def header(self) -> str:
        return self.app.screen.query_one(Header).plain

    @property
    def footer(self) -> str:
        return self.app.screen.query_one(Footer).plain

    @property
    def screen(self) -> ConsoleScreen:
        assert isinstance(self.app.screen, ConsoleScreen)
        return self.app.screen

    def asked(self, what: str) -> list[tuple[object, ...]]:
        return [asked for asked in self.engine.asked if asked[0] == what]


OpenDesk = Callable[..., AbstractAsyncContextManager[Desk]]


def console(engine: FakeEngine, terminal: Terminal | None = None) -> ConsoleApp:
    return ConsoleApp(cast("Engine", engine), terminal)


@pytest.fixture
def open_desk(tmp_path: Path) -> OpenDesk:
    """Give a function that opens the console on a picture and waits until it is drawn."""

    @asynccontextmanager
    async def opened(
        picture: Snapshot | None,
        *,
        size: tuple[int, int] = (80, 24),
        engine: FakeEngine | None = None,
        terminal: Terminal | None = None,
    ) -> AsyncIterator[Desk]:
        engine = engine or FakeEngine(picture, tmp_path)
        app = console(engine, terminal)
        async with app.run_test(size=size) as pilot:
            desk = Desk(app, engine, pilot)
            if engine.picture is not None and engine.failure is None:
                await desk.until(lambda: app.view.access is not None, "the first picture")
                await pilot.pause()
            yield desk

    return opened
