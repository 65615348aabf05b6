"""Overview and Service: why something is so, what can be done, filters, order, many of them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from console.domain.figures import figures_of
from console.domain.happenings import Happening, Kind
from console.domain.services import Health, ReplicaState, Role, Service
from console.errors import Unreachable
from screens.acting import ActsOnServices
from screens.dialogs.base import Dialog
from screens.history_feeds import trend_names
from screens.overview import OverviewScreen
from screens.service import ServiceScreen
from screens.widgets.lines import Later
from tests.fakes import insight, operations, pictures
from tests.fakes.engine import FakeEngine
from tests.fakes.pictures import NOW
from tests.interface.conftest import Desk, OpenDesk


async def opens_why(desk: Desk, *keys: str) -> None:
    await desk.press(*keys)
    await desk.until(lambda: isinstance(desk.app.screen, ServiceScreen), "the service")
    await desk.sees("reached at")


async def test_enter_says_why(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.failed(), size=(100, 60)) as desk:
        await opens_why(desk, "enter")
        await desk.sees(
            "worker-llm  worker · 1/2 ready · unhealthy",
            "worker-llm-2: crash loop: restarted 4 times; out of memory: the kernel killed it",
            "its health check failed 3 times in a row",
            "no answer in 2 s",
            "172.18.0.5 in fragrance_default",
            "POSTGRES_PASSWORD              (hidden: its name is a secret's)",
            "BROKER_URL                     (hidden: it holds a password)",
            "LOG_LEVEL                      INFO",
            "▲ worker-llm-2 ended: killed by SIGKILL",
        )
        assert "not for the screen" not in desk.text
        assert "\x1b" not in desk.text
        assert "\u202e" not in desk.text
        await desk.press("escape")
        await desk.until(lambda: isinstance(desk.app.screen, OverviewScreen), "the overview")


async def test_the_runtime_is_asked_on_opening_and_on_change_only(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.normal(), size=(100, 60)) as desk:
        await opens_why(desk, "i")
        assert desk.asked("describe") == [("describe", "app")]
        # Another load is no change; a picture a second must cost the engine nothing.
        busier = replace(desk.app.view.snapshot.services[0], cpu_ratio=0.77)  # type: ignore[union-attr]
        rest = pictures.normal().services[1:]
        later = NOW.replace(second=31)
        desk.engine.picture = pictures.normal(taken_at=later, services=(busier, *rest))
        await desk.until(lambda: desk.app.view.snapshot.taken_at == later, "the picture")  # type: ignore[union-attr]
        await desk.pilot.pause()
        assert desk.asked("describe") == [("describe", "app")]
        # A crash is one.
        died = replace(busier.replicas[0], restarts=1, pid=9)
        crashed = replace(busier, replicas=(died, busier.replicas[1]))
        later = NOW.replace(second=32)
        desk.engine.picture = pictures.normal(taken_at=later, services=(crashed, *rest))
        await desk.until(lambda: len(desk.asked("describe")) == 2, "asked again")


async def test_a_service_that_cannot_be_described_is_still_shown(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.normal(), size=(100, 40)) as desk:
        desk.engine.describe_failure = Unreachable("the Docker Engine is not running")
        await desk.press("i")
        await desk.sees("no more is known: the Docker Engine is not running", "app-2", "2/2 ready")


async def test_drift_is_told_with_the_command_that_mends_it(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.drifting(), size=(100, 50)) as desk:
        await desk.sees("≠ 2/2", "≠ app-2: has 0.5 cores", "requests are shared unevenly")
        await opens_why(desk, "enter")
        await desk.sees(
            "LOG_LEVEL is DEBUG, the file says INFO",
            "mend: docker compose --file compose.yaml up",
            "mend: fragrance resize app --cpus 2 --memory 2G",
        )


async def test_the_keys_of_a_service_work_on_its_own_screen(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.normal(), size=(100, 34)) as desk:
        await opens_why(desk, "down", "enter")
        await desk.press("plus", "plus")
        await desk.sees("2 → 4")
        assert "plan worker-llm 2 → 4" in desk.footer
        await desk.press("escape")
        assert "plan" not in desk.footer
        desk.engine.next_plan = operations.restart_plan("worker-llm-1", service="worker-llm")
        await desk.press("down")
        await desk.until(lambda: desk.app.chosen == "worker-llm-1", "a replica")
        await desk.plan("r")
        assert desk.asked("plan")[-1] == ("plan", "restart", {"services": ["worker-llm-1"]})
        await desk.press("escape")
        await desk.until(lambda: not isinstance(desk.app.screen, Dialog), "back")
        await desk.press("n")
        await desk.sees("worker-rl  worker")
        await desk.press("p", "p")
        await desk.sees("app  app · 2/2 ready")
        await desk.press("escape")
        await desk.until(lambda: isinstance(desk.app.screen, OverviewScreen), "the overview")
        assert any(line.startswith("›") and "app" in line for line in desk.text.splitlines())


async def test_a_service_without_a_replica_says_why(open_desk: OpenDesk) -> None:
    gone = pictures.service("worker-rl", Role.WORKER, desired=0)
    gone = replace(gone, reason="scaled to 0")
    async with open_desk(pictures.normal(services=(gone,))) as desk:
        await desk.press("i")
        await desk.sees("worker-rl: scaled to 0")


# Filter and order ---------------------------------------------------------------


async def test_a_filter_hides_and_says_so(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.failed(), size=(100, 40)) as desk:
        await desk.press("slash")
        await desk.type("!worker restarts=0")
        await desk.press("enter")
        await desk.sees("2 services not shown by the filter", "1 of them not healthy: worker-llm")
        assert "worker-rl " not in desk.text
        assert "filter !worker restarts=0" in desk.header
        await desk.press("slash")
        await desk.type(" cpu>>")
        await desk.press("enter")
        await desk.until(lambda: "the filter is as it was" in desk.footer, "the complaint")
        assert "filter !worker restarts=0" in desk.header
        await desk.press("escape")
        await desk.sees("worker-rl")
        assert "filter" not in desk.header


async def test_the_order_is_chosen_and_told(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.failed(), size=(100, 40)) as desk:

        def first() -> str:
            rows = desk.screen._page.rows  # type: ignore[attr-defined]
            return str(rows[0].key)

        assert first() == "worker-llm"
        await desk.press("S")
        await desk.until(lambda: "by name" in desk.header and first() == "app", "by name")
        await desk.press("S")
        await desk.until(lambda: "by cpu" in desk.header and first() == "worker-llm", "by cpu")
        await desk.press("S", "S", "S", "S")
        await desk.until(lambda: "by" not in desk.header.split("Overview")[-1], "the worst again")
        assert desk.screen.kept() == {"order": "worst"}
        desk.screen.restore({"order": "memory"})
        assert "by memory" in desk.screen.titled()
        with pytest.raises(ValueError, match="beauty"):
            desk.screen.restore({"order": "beauty"})


async def test_replicas_are_filtered_by_fields_of_their_own(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.failed(), size=(100, 50)) as desk:
        await opens_why(desk, "enter", "slash")
        await desk.type("state:backoff")
        await desk.press("enter")
        await desk.sees("1 replica not shown by the filter")
        assert "filter state:backoff" in desk.header
        await desk.press("S")
        assert "by name" in desk.header


async def test_help_explains_the_filter(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.normal(), size=(160, 48)) as desk:
        await desk.press("question_mark")
        await desk.sees("health:unhealthy", "cpu>80", "restarts>0", "!word")


# Many, few, strange --------------------------------------------------------------


def crowd(count: int) -> tuple[Service, ...]:
    """One service with *count* replicas, the last of them sick."""
    replicas = [pictures.replica(f"app-{n}") for n in range(1, count)]
    sick = pictures.replica(
        f"app-{count}", health=Health.UNHEALTHY, state=ReplicaState.BACKOFF, restarts=5
    )
    return (pictures.service("app", Role.APP, *replicas, sick),)


@pytest.mark.parametrize("key", ["v", "i"], ids=["overview", "service"])
async def test_of_300_replicas_only_those_in_sight_are_drawn(open_desk: OpenDesk, key: str) -> None:
    async with open_desk(pictures.normal(services=crowd(300)), size=(100, 30)) as desk:
        await desk.press("right", key)
        await desk.until(lambda: key == "v" or isinstance(desk.screen, ServiceScreen), key)
        screen = desk.screen
        assert isinstance(screen, ActsOnServices)
        await desk.until(lambda: len(screen._page.rows) >= 300, "all rows")

        def drawn() -> int:
            later = [line for line in screen._page.lines if isinstance(line, Later)]
            return sum(line._made is not None for line in later)

        desk.app.redraw()
        await desk.pilot.pause()
        assert 0 < drawn() <= 30
        await desk.press("end", "pageup", "home")
        for _ in range(290):
            screen.do_down()
        desk.app.redraw()
        await desk.pilot.pause()
        assert screen.lines.scroll_offset.y > 200
        desk.app.redraw()
        await desk.pilot.pause()
        assert drawn() <= 60


@pytest.mark.parametrize("count", [0, 1, 500])
@pytest.mark.parametrize("size", [(80, 24), (160, 48)], ids=["80x24", "160x48"])
async def test_any_number_of_services_of_any_name(
    open_desk: OpenDesk, count: int, size: tuple[int, int]
) -> None:
    names = [f"{n}-[/b]\x1b[31m\u202e{'long' * 50}" for n in range(count)]
    many = tuple(
        pictures.service(name, Role.APP, pictures.replica(f"{name}-1", reason="\x07[red]"))
        for name in names
    )
    async with open_desk(pictures.normal(services=many), size=size) as desk:
        await desk.sees("no services are defined" if count == 0 else "0-[/b]")
        await desk.press("end", "i")
        await desk.until(lambda: isinstance(desk.screen, ServiceScreen), "the service")
        await desk.sees("No services are defined" if count == 0 else "reached at")
        width = desk.app.size.width
        for line in desk.screen.lines.plain.splitlines():
            assert line.isprintable()
            assert len(line) <= width


async def test_trends_are_there_with_the_first_picture_and_cost_nothing_afterwards(
    open_desk: OpenDesk,
) -> None:
    engine = FakeEngine(None)
    engine.recalled = pictures.normal()
    engine.trends = {"service.app.cpu_ratio": insight.rising()}
    async with open_desk(None, engine=engine) as desk:
        # Before any source has answered: from the agent's picture and its history.
        await desk.sees("app", "▄▅▆▆▇██")


# What changed --------------------------------------------------------------------


async def test_h_tells_the_last_hour_from_anywhere(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.normal()) as desk:
        desk.engine.seen = insight.happenings()
        desk.engine.done = list(pictures.normal().changes[:1])
        for key in ("l", "t", "o", "i"):
            await desk.press(key, "h")
            await desk.sees("alert HighErrorRate is over", "killed by SIGKILL")
        lines = [line for line in desk.text.splitlines() if "▶" in line or "▲" in line]
        assert "scale worker-llm 1 → 2 · done · queue growing · by ana" in lines[0]
        later = Happening(NOW, Kind.REPLICA, "app-2", "app-2 healthy → starting", False)
        desk.engine.seen.append(later)
        await desk.sees("app-2 healthy → starting")


async def test_a_quiet_hour_is_said_in_words(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.normal()) as desk:
        await desk.press("h")
        await desk.sees("Nothing changed in the last hour")


async def test_the_requests_of_a_service_and_of_each_replica_are_drawn_over_time(
    open_desk: OpenDesk,
) -> None:
    engine = FakeEngine(pictures.drifting())
    counted = {"service.app.request_rate": 24.4, "replica.app-1.request_rate": 23.5}
    kept = figures_of(pictures.drifting())
    assert {name: kept[name] for name in counted} == counted
    assert {*counted, "replica.app-2.request_rate"} <= set(trend_names(pictures.drifting()))
    engine.trends = {
        "service.app.request_rate": (24.4,) * 8,
        "replica.app-1.request_rate": (23.5,) * 8,
        "replica.app-2.request_rate": (0.9,) * 8,
    }
    engine.recalled = engine.picture
    async with open_desk(None, engine=engine) as desk:
        await desk.until(lambda: desk.app.view.trends, "trends")
        desk.app.chosen = "app"
        await desk.press("i")
        # On one scale, so that what has no share of the load is seen.
        await desk.sees("requests     ", "app-1     ████████", "app-2     ▁▁▁▁▁▁▁▁")
