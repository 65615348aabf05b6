"""Limits and settings: asked for, planned, and only then confirmed."""

from __future__ import annotations

from dataclasses import replace

from console.domain.plans import Plan, Risk, Step
from console.domain.services import Limits
from screens.dialogs.base import Dialog
from screens.overview import OverviewScreen
from tests.fakes import operations, pictures
from tests.interface.conftest import Desk, OpenDesk

PLAN = Plan(
    "resize",
    "app cpus 1 → 1.5",
    (Step("limit-app-1", "set_limits", command="docker update --cpus 1.5 app-1"),),
    expects={"app": ["app-1"]},
)


async def _open(desk: Desk, *keys: str) -> None:
    await desk.press(*keys)
    await desk.until(lambda: isinstance(desk.app.screen, Dialog), "a dialog")
    await desk.dialog()


async def test_limits_are_asked_for_as_they_are_and_only_what_changed_is_planned(
    open_desk: OpenDesk,
) -> None:
    services = list(pictures.services())
    services[0] = replace(services[0], limits=Limits(cpu_cores=1.0, memory_bytes=2 * 1024**3))
    async with open_desk(pictures.normal(services=tuple(services))) as desk:
        desk.engine.next_plan = PLAN
        await _open(desk, "z")
        await desk.sees("the largest replica uses 320M")
        await desk.press("backspace")
        await desk.type("1.5")
        await desk.press("enter", "enter", "enter", "enter")
        await desk.sees("docker update --cpus 1.5 app-1")
        assert desk.asked("plan") == [("plan", "resize", {"service": "app", "cpus": "1.5"})]


async def test_nothing_changed_is_nothing_planned(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.normal()) as desk:
        await _open(desk, "z")
        await desk.press("enter", "enter", "enter", "enter")
        await desk.until(lambda: isinstance(desk.app.screen, OverviewScreen), "the overview")
        assert desk.asked("plan") == []


async def test_a_setting_is_found_by_part_of_its_name(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.normal()) as desk:
        desk.engine.next_plan = replace(PLAN, verb="settings", summary="LOG_LEVEL INFO → DEBUG")
        desk.app.act("settings")
        await desk.sees("LLM_BATCH_SIZE", "(secret)", "how much is logged")
        await desk.dialog()
        await desk.type("log")
        await desk.until(lambda: "BATCH" not in desk.text, "the match alone")
        await desk.press("enter")
        await desk.sees("LOG_LEVEL  now INFO")
        await desk.press(*["backspace"] * 4)
        await desk.type("DEBUG")
        await desk.press("enter")
        await desk.sees("Settings: LOG_LEVEL INFO → DEBUG")
        assert desk.asked("plan") == [("plan", "settings", {"values": {"LOG_LEVEL": "DEBUG"}})]


async def test_what_is_stopped_for_a_setting_is_named_before(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.normal()) as desk:
        desk.engine.next_plan = Plan(
            "settings",
            "REDIS_MAXMEMORY 640mb → 1gb (redis)",
            (Step("stop-redis-1", "stop_replica", command="stop redis-1", risk=Risk.HIGH),),
            typed="redis",
        )
        desk.app._plan("settings", {"values": {"REDIS_MAXMEMORY": "1gb"}})
        await desk.sees("exact commands")
        await desk.dialog()
        await desk.press("y")
        await desk.sees("type redis to confirm")
        assert desk.asked("submit") == []
        await desk.type("redis")
        await desk.press("enter", "y")
        await desk.until(lambda: desk.asked("submit"), "submitted")


async def test_the_complete_restart_is_severe_everywhere(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.normal()) as desk:
        desk.engine.next_plan = operations.restart_plan("app-1", "redis-1")
        await desk.press("colon")
        await desk.until(lambda: desk.app.focused is not None, "the palette")
        await desk.type("ground up")
        await desk.press("enter")
        await desk.sees("exact commands")
        await desk.dialog()
        await desk.press("y")
        await desk.sees("type dev to confirm")
        assert desk.asked("submit") == []
        await desk.type("dev")
        await desk.press("enter", "y")
        await desk.until(lambda: desk.asked("submit"), "submitted")
        assert desk.asked("plan") == [("plan", "restart", {"complete": True})]


async def test_cleaning_up_shows_sizes_before_anything_is_asked(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.normal()) as desk:
        desk.engine.next_plan = Plan(
            "cleanup",
            "1.2 GiB: 1 images, 0 logs, 0 checkpoints packed",
            (Step("remove-image-abc", "remove_image", command="docker image rm abc: 1.2 GiB"),),
        )
        desk.app.act("cleanup")
        await desk.sees("Cleanup: 1.2 GiB", "docker image rm abc: 1.2 GiB", "cannot be undone")
        assert desk.asked("plan") == [("plan", "cleanup", {})]
        assert desk.asked("submit") == []
