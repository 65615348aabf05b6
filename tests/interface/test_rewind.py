"""Every watching screen, moved back in time: plainly the past, and nothing changes it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from console.domain.operations import OperationState
from console.domain.snapshot import Overall
from screens.actions import PAST, Tier, actions_on
from screens.table import SCREENS, WATCHING
from tests.fakes import insight, pictures
from tests.fakes.engine import FakeEngine
from tests.fakes.operations import operation
from tests.fakes.pictures import NOW
from tests.interface.conftest import Desk, OpenDesk
from tests.interface.test_snapshots import SIZES, SnapCompare, drawn

KEYS = {entry.name: entry.key for entry in SCREENS}
EVERY = timedelta(seconds=10)
#: The last picture kept before what is the present here.
LAST = NOW - timedelta(seconds=4)


def with_past(state: Path = Path("state")) -> FakeEngine:
    """A present that is well, after a night that was not; no agent ran for a while."""
    engine = FakeEngine(pictures.normal(), state)
    well = pictures.normal(taken_at=NOW)
    sick = replace(pictures.failed(), release="1.3.9")
    calm = [replace(well, taken_at=LAST - n * EVERY) for n in range(4)]
    bad = [replace(sick, taken_at=LAST - timedelta(minutes=12) - n * EVERY) for n in range(40)]
    engine.past = sorted([*calm, *bad], key=lambda one: one.taken_at)
    engine.trends = {"service.worker-llm.cpu_ratio": insight.rising()}
    engine.recalled = engine.picture
    return engine


async def at_twelve_minutes_ago(desk: Desk) -> None:
    await desk.press("J", *"03:00:30", "enter")
    await desk.sees("this was 03:00:26 UTC, not now")


@SIZES
@pytest.mark.parametrize("name", WATCHING)
def test_the_past(snap_compare: SnapCompare, name: str, size: tuple[int, int]) -> None:
    engine = with_past()
    engine.seen = insight.happenings()
    engine.log.extend(
        replace(line, at=line.at and line.at - timedelta(minutes=12, seconds=10))
        for line in insight.log_lines(60)
    )

    async def script(desk: Desk) -> None:
        desk.app.chosen = "worker-llm"
        await at_twelve_minutes_ago(desk)
        if name != "overview":
            await desk.press(KEYS[name])
        await desk.until(lambda: name == desk.screen.NAME, name)
        await desk.sees(SEEN[name])

    assert snap_compare(**drawn(engine, script), terminal_size=size)


@SIZES
def test_where_to(snap_compare: SnapCompare, size: tuple[int, int]) -> None:
    engine = with_past()
    engine.seen = insight.happenings()
    engine.journal = [operation(OperationState.DONE)]

    async def script(desk: Desk) -> None:
        await desk.press("J")
        await desk.sees("alert HighErrorRate firing")
        await desk.press("down", *"27:00", "enter")
        await desk.sees("no time of day")

    assert snap_compare(**drawn(engine, script), terminal_size=size)


#: What is on a screen once everything that it asks for is there.
SEEN = {
    "overview": "12m ago",
    "service": "what only the runtime can tell is of now",
    "queues": "340",
    "metrics": "from Prometheus",
    "logs": "until 03:00",
    "alerts": "HighErrorRate",
    "changes": "HighErrorRate is over",
}


@pytest.mark.parametrize("name", WATCHING)
async def test_no_changing_key_does_anything_in_the_past(
    open_desk: OpenDesk, tmp_path: Path, name: str
) -> None:
    async with open_desk(None, engine=with_past(tmp_path)) as desk:
        await at_twelve_minutes_ago(desk)
        if name != "overview":
            await desk.press(KEYS[name])
            await desk.until(lambda: name == desk.screen.NAME, name)
        asked = len(desk.engine.asked)
        for action in actions_on(name):
            if action.tier is Tier.HARMLESS:
                continue
            desk.app.say("")
            key = action.keys.split(",")[0]
            if key:
                await desk.press(key)
            else:
                desk.app.act(action.id)  # as the palette does
            assert PAST in desk.footer, action.id
        reading = {"logs", "watch", "measured", "describe"}
        assert {one[0] for one in desk.engine.asked[asked:]} <= reading
        assert name == desk.screen.NAME
        assert "NOT NOW  03:00:26 UTC" in desk.header


async def test_the_keys_lead_back_step_by_step_and_forth_to_now(open_desk: OpenDesk) -> None:
    async with open_desk(None, engine=with_past()) as desk:
        await desk.press("left_square_bracket")
        await desk.sees("<5s ago: this was 03:12:26 UTC, not now")
        assert "WRITE" not in desk.header
        await desk.press(*["left_square_bracket"] * 3)
        await desk.sees("03:11:56 UTC")
        assert "nothing was kept" not in desk.header
        await desk.press("left_square_bracket")
        await desk.sees("03:00:26 UTC", "nothing was kept from 03:00:26 to 03:11:56: no agent ran")
        assert "1.3.9" in desk.header
        await desk.press("left_curly_bracket")
        await desk.sees("this was 02:55:26 UTC")
        assert "nothing was kept" not in desk.header
        await desk.press("right_curly_bracket")
        await desk.sees("03:00:26 UTC")
        await desk.press("right_square_bracket")
        await desk.sees("03:11:56 UTC")
        await desk.press("right_curly_bracket")
        await desk.until(lambda: "NOT NOW" not in desk.header, "now")
        assert "03:12 UTC" in desk.header


async def test_nothing_kept_is_said_and_what_is_drawn_stays(open_desk: OpenDesk) -> None:
    engine = with_past()
    engine.past = engine.past[-2:]
    async with open_desk(None, engine=engine) as desk:
        await desk.press(*["left_square_bracket"] * 2)
        await desk.sees("03:12:16 UTC")
        await desk.press("left_square_bracket")
        await desk.sees("nothing was kept before 03:00:00 UTC", "03:12:16 UTC, not now")
        await desk.press("J", *"-2h", "enter")
        await desk.sees("nothing was kept before", "03:12:16 UTC, not now")
        await desk.press("full_stop")
        await desk.until(lambda: "NOT NOW" not in desk.header, "now")
        await desk.press("full_stop")
        assert "this is now" in desk.footer
        await desk.press("right_square_bracket")
        assert "this is now" in desk.footer
        await desk.press("left_square_bracket")
        await desk.sees("not now")
        await desk.press("escape")
        await desk.until(lambda: "NOT NOW" not in desk.header, "now")


async def test_one_jumps_to_an_alert_and_to_an_operation(open_desk: OpenDesk) -> None:
    engine = with_past()
    alert = insight.happenings()[0]
    engine.seen = [replace(alert, at=LAST - timedelta(minutes=12) - 3 * EVERY)]
    began = LAST - timedelta(minutes=12) - 7 * EVERY - timedelta(seconds=3)
    engine.journal = [operation(OperationState.DONE, started_at=began, submitted_at=began)]
    async with open_desk(None, engine=engine) as desk:
        await desk.press("J")
        await desk.sees("alert HighErrorRate firing", "scale worker-llm 2 → 4: done · by ana")
        await desk.press("enter")
        await desk.sees("this was 02:59:56 UTC")  # it is in this picture
        await desk.press("J")
        await desk.sees("alert HighErrorRate firing")
        await desk.press("down", "enter")
        await desk.sees("this was 02:59:06 UTC")  # as it was when it began


async def test_what_is_typed_wrong_is_said_in_the_dialog(open_desk: OpenDesk) -> None:
    async with open_desk(None, engine=with_past()) as desk:
        await desk.press("J", "enter")
        await desk.sees("type a time: 03:10")
        await desk.press(*"soon", "enter")
        await desk.sees("'soon' is no duration")
        await desk.press("escape")
        await desk.until(lambda: desk.screen.NAME == "overview", "the screen")
        assert "NOT NOW" not in desk.header


async def test_the_present_is_not_forgotten(open_desk: OpenDesk) -> None:
    engine = with_past()
    async with open_desk(None, engine=engine) as desk:
        await at_twelve_minutes_ago(desk)
        engine.picture = pictures.normal(
            taken_at=NOW + timedelta(seconds=1), overall=Overall.UNHEALTHY
        )
        await desk.sees("now UNHEALTHY", "DEGRADED")


async def test_what_is_no_watching_screen_is_of_now(open_desk: OpenDesk) -> None:
    async with open_desk(None, engine=with_past()) as desk:
        await at_twelve_minutes_ago(desk)
        await desk.press("o")
        await desk.sees("Operations · of now")
        assert "NOT NOW" not in desk.header
        await desk.press("escape")
        await desk.sees("this was 03:00:26 UTC")


async def test_a_pending_target_is_dropped_in_the_past(open_desk: OpenDesk) -> None:
    async with open_desk(None, engine=with_past()) as desk:
        await desk.press("plus")
        await desk.sees("2 → 3")
        await desk.press("left_square_bracket")
        await desk.sees("not now")
        assert "2 → 3" not in desk.text
        await desk.press("enter")
        await desk.until(lambda: desk.screen.NAME == "service", "why, and no plan")


async def test_figures_logs_and_changes_are_read_up_to_that_moment(open_desk: OpenDesk) -> None:
    engine = with_past()
    engine.seen = insight.happenings()
    engine.log.extend(insight.log_lines(1200))
    async with open_desk(None, engine=engine) as desk:
        await desk.press("h")
        await desk.sees("HighErrorRate is over", "LOG_LEVEL INFO → DEBUG")
        await at_twelve_minutes_ago(desk)
        await desk.until(lambda: "LOG_LEVEL" not in desk.text, "the hour before")  # at 03:00:30
        await desk.sees("HighErrorRate is over")
        await desk.press("l")
        await desk.sees("03:00:26", "until 03:00, not following: .")
        assert "03:00:27" not in desk.text
        await desk.press("space")
        assert "this is the past; . goes back to now" in desk.footer
        await desk.press("full_stop")
        await desk.sees("03:12:29", "following")
        await desk.press("m", "left_square_bracket")
        await desk.until(lambda: desk.engine.asked[-1] == ("measured", 3600.0), "figures")
        await desk.press("i", "enter")
        assert "what the runtime tells is of now" in desk.footer
        await desk.sees("what only the runtime can tell is of now")
        assert not desk.asked("describe")
