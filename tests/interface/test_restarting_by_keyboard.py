"""r, R: what is restarted is shown whole, asked for, followed; the severe asks for a name."""

from __future__ import annotations

import pytest

from console.domain.plans import Risk
from screens.follow import FollowScreen
from tests.fakes import operations, pictures
from tests.fakes.engine import FakeEngine
from tests.fakes.pictures import NOW
from tests.interface.conftest import OpenDesk


@pytest.mark.parametrize(
    ("keys", "name"), [(("r",), "app"), (("enter", "down", "r"), "app-1")], ids=["all", "one"]
)
async def test_a_service_or_one_replica_is_restarted(
    open_desk: OpenDesk, keys: tuple[str, ...], name: str
) -> None:
    async with open_desk(pictures.normal()) as desk:
        desk.engine.next_plan = operations.restart_plan("app-1", "app-2")
        await desk.plan(*keys)
        assert desk.asked("plan") == [("plan", "restart", {"services": [name]})]
        await desk.sees("app  now 2 of 2 ready", "12.4/s", "restart app-2", "risk low")
        await desk.press("y")
        await desk.until(lambda: isinstance(desk.app.screen, FollowScreen), "the steps")
        await desk.sees("restart-app-1", "waits")


async def test_everything_is_restarted_with_one_key(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.normal()) as desk:
        desk.engine.next_plan = operations.restart_plan("app-1", "app-2")
        await desk.plan("t", "R")  # from any screen
        assert desk.asked("plan") == [("plan", "restart", {"all": True})]


async def test_in_production_what_stops_everything_asks_for_its_name(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.production()) as desk:
        desk.engine.elevate(15, "test")
        await desk.until(lambda: desk.app.view.may_write(NOW), "write access")
        desk.engine.next_plan = operations.restart_plan("redis-1", service="redis", risk=Risk.HIGH)
        await desk.plan("end", "r")
        await desk.sees("risk high")
        await desk.type("hangs")
        await desk.press("enter")
        await desk.type("postgres")
        await desk.press("enter", "y")
        await desk.sees("type redis to confirm")
        assert desk.asked("submit") == []
        await desk.type("redis")
        await desk.press("enter", "y")
        await desk.until(lambda: desk.asked("submit"), "submitted")
        assert desk.asked("submit") == [("submit", "redis-1", "hangs")]


async def test_a_runtime_that_cannot_restart_has_no_such_key(open_desk: OpenDesk) -> None:
    engine = FakeEngine(pictures.normal())
    engine.runtime = object()
    async with open_desk(None, engine=engine) as desk:
        assert "r restart" not in desk.footer
        await desk.press("r")
        assert "the embedded runtime cannot do this" in desk.footer
        await desk.press("colon")
        await desk.until(lambda: desk.app.focused is not None, "the palette")
        await desk.type("restart this")
        await desk.sees("the embedded runtime cannot do this")
