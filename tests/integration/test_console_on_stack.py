"""The console on the real stack: scaling by keys alone, and a death on the screen."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from textual.pilot import Pilot

from console.bootstrap import build_engine
from console.settings import load_settings
from screens.application import ConsoleApp
from screens.dialogs.base import Dialog
from screens.widgets.header import Header
from screens.widgets.lines import Lines
from tests.integration.test_scale import attempts
from tests.stack import Stack

pytestmark = pytest.mark.stack


class Keyboard:
    """The keys and the eyes of an operator at 80×24."""

    def __init__(self, app: ConsoleApp, pilot: Pilot[None]) -> None:
        self.app = app
        self.press = pilot.press
        self._pause = pilot.pause

    @property
    def text(self) -> str:
        """What the screen shows, its header included."""
        screen = self.app.screen
        return "\n".join(
            [*(w.plain for w in screen.query(Header)), *(w.plain for w in screen.query(Lines))]
        )

    async def until(self, sees: Callable[[str], object], what: str, seconds: float) -> None:
        """Wait until the screen shows what *sees* looks for."""
        deadline = time.monotonic() + seconds
        while not sees(self.text):
            assert time.monotonic() < deadline, f"{what}:\n{self.text}"
            await self._pause(0.05)

    async def select(self, service: str) -> None:
        """Move the selection to *service*."""
        for _ in range(12):
            if any(line.startswith("›") and service in line for line in self.text.splitlines()):
                return
            await self.press("down")
            await self._pause(0.05)
        raise AssertionError(f"{service} cannot be selected:\n{self.text}")

    async def confirm(self) -> None:
        """Answer yes once the plan is there and keys count."""
        await self.until(lambda text: "exact commands" in text, "no plan", 20)
        await self.until(
            lambda _: isinstance(self.app.screen, Dialog) and self.app.screen.armed,
            "the dialog takes no keys",
            5,
        )
        await self.press("y")


@asynccontextmanager
async def console(stack: Stack) -> AsyncIterator[Keyboard]:
    app = ConsoleApp(build_engine(load_settings(state=str(stack.state), environ={})))
    async with app.run_test(size=(80, 24)) as pilot:
        keyboard = Keyboard(app, pilot)
        await keyboard.until(lambda text: "5 of 5 services ready" in text, "not healthy", 20)
        yield keyboard


@pytest.mark.timeout(600)
async def test_workers_are_scaled_up_and_down_by_keys_while_briefs_wait(stack: Stack) -> None:
    stack.wait_ready("worker-llm", 1)
    jobs = [stack.post_brief(f"brief {n}: iris and suede with rain") for n in range(200)]
    async with console(stack) as keyboard:
        await keyboard.select("worker-llm")
        await keyboard.press("3")
        await keyboard.until(lambda text: "1 → 3" in text, "the target is not drawn", 5)
        await keyboard.press("enter")
        await keyboard.confirm()
        await keyboard.until(lambda text: "DONE" in text and "verified" in text, "no end", 120)
        assert len(stack.replicas("worker-llm")) == 3

        await keyboard.press("escape")
        await keyboard.until(
            lambda text: "Last changes" in text and "scale running" not in text, "not back", 5
        )
        await keyboard.select("worker-llm")
        await keyboard.press("minus", "minus")
        await keyboard.until(lambda text: "3 → 1" in text, "the target is not drawn", 5)
        await keyboard.press("enter")
        await keyboard.confirm()
        await keyboard.until(lambda text: "DONE" in text and "verified" in text, "no end", 180)
        assert len(stack.replicas("worker-llm")) == 1

    assert {stack.wait_job(job, 200)["state"] for job in jobs} == {"succeeded"}
    assert set(attempts(stack, jobs).values()) == {1}


@pytest.mark.parametrize(
    ("service", "killed"),
    [("worker-rl", "worker-rl-1"), ("redis", "redis-1"), ("postgres", "postgres-1")],
)
async def test_a_death_is_on_the_screen_within_a_second_and_blanks_nothing_else(
    stack: Stack, service: str, killed: str
) -> None:
    pid = next(r["pid"] for r in stack.service(service)["replicas"] if r["name"] == killed)
    async with console(stack) as keyboard:
        begin = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        await keyboard.until(lambda text: "killed by SIGKILL" in text, "the death is unseen", 5)
        seconds = time.monotonic() - begin
        text = keyboard.text
        assert all(name in text for name in ("app", "worker-llm", "worker-rl", "postgres", "redis"))
        assert "Host" in text
        # Generous, for a busy machine; `fragrance bench death` gives the figure.
        assert seconds < 3
        await keyboard.until(lambda text: "5 of 5 services ready" in text, "no recovery", 90)
