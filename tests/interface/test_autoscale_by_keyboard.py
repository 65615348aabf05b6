"""x: autoscale of the selected service is turned on or off, and its last decision is told."""

from __future__ import annotations

from datetime import timedelta

from console.domain.decisions import Action, Decision
from console.domain.snapshot import AgentState
from console.duties.autoscale import Switch
from tests.fakes import pictures
from tests.fakes.pictures import NOW
from tests.interface.conftest import Desk, OpenDesk

HOLDS = Decision(
    "worker-llm",
    Action.HOLD,
    None,
    "34 of 50 tasks wait; one less would not be enough",
    NOW - timedelta(seconds=12),
)
ON = Switch("2026-03-13T21:00:00+00:00", "ben", "nights")


async def select(desk: Desk, name: str) -> None:
    for _ in range(8):
        if any(line[:1] == "›" and f" {name} " in line for line in desk.text.splitlines()):
            return
        await desk.press("down")
    raise AssertionError(desk.text)


async def test_it_is_turned_on_with_a_reason(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.normal()) as desk:
        await select(desk, "worker-llm")
        await desk.press("x")
        await desk.sees("Autoscale is off", "within 1–10 replicas", "by autoscaler, with undo")
        await desk.dialog()
        await desk.press("tab")
        await desk.type("nights")
        await desk.press("enter", "y")
        await desk.until(lambda: desk.asked("autoscale"), "turned on")
        assert desk.asked("autoscale") == [("autoscale", "worker-llm", "nights", "on")]
        await desk.until(lambda: "autoscale of worker-llm: on" in desk.footer, "told")


async def test_what_it_decided_last_is_told_and_it_is_turned_off(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.normal(autoscale=(HOLDS,))) as desk:
        desk.engine.switched = {"worker-llm": ON}
        await select(desk, "worker-llm")
        await desk.sees("↳ autoscale holds: 34 of 50 tasks wait")
        await desk.press("x")
        await desk.sees("on since 2026-03-13 21:00 UTC by ben: nights", "last decision: holds")
        await desk.dialog()
        await desk.press("enter")
        assert desk.asked("autoscale") == [], "enter is Cancel"
        await desk.press("x")
        await desk.sees("last decision")
        await desk.dialog()
        await desk.press("y")
        await desk.until(lambda: desk.asked("autoscale"), "turned off")
        assert desk.asked("autoscale") == [("autoscale", "worker-llm", "", "off")]


async def test_without_an_agent_that_nothing_is_decided_is_said(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.normal(agent=AgentState.ABSENT)) as desk:
        await select(desk, "worker-llm")
        await desk.press("x")
        await desk.sees("no agent is running: nothing is decided")


async def test_what_is_not_scaled_is_not_autoscaled(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.normal()) as desk:
        await select(desk, "postgres")
        await desk.press("x")
        await desk.until(lambda: "it has no scale policy" in desk.footer, "refused")


async def test_read_only_it_is_refused(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.production()) as desk:
        await select(desk, "worker-llm")
        await desk.press("x")
        await desk.until(lambda: "read-only" in desk.footer, "refused")
