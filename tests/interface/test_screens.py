"""Every state has its drawing, every key does what help says."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest
from textual.geometry import Region

from console.domain.operations import OperationState, OperationSummary, StepPhase
from console.domain.services import Role
from console.domain.snapshot import AgentState
from console.errors import Unreachable
from screens.dialogs.base import Dialog
from screens.dialogs.links import LinksDialog
from screens.follow import FollowScreen
from screens.overview import OverviewScreen
from screens.terminal import Terminal
from screens.widgets.lines import Lines, made
from tests.fakes import operations, pictures
from tests.fakes.engine import FakeEngine
from tests.fakes.pictures import NOW, OPERATION_ID
from tests.interface.conftest import OpenDesk


async def test_it_opens_before_any_source_answers(open_desk: OpenDesk) -> None:
    async with open_desk(None) as desk:
        await desk.sees("reading the stack", "dev")
        desk.engine.picture = pictures.normal()
        await desk.sees("HEALTHY", "worker-llm")


async def test_the_last_picture_is_drawn_at_once_with_its_age(open_desk: OpenDesk) -> None:
    engine = FakeEngine(None)
    engine.recalled = pictures.stale()
    async with open_desk(None, engine=engine) as desk:
        await desk.sees("the agent's last picture, 2m old", "worker-llm")
        engine.picture = pictures.normal()
        await desk.until(lambda: "picture" not in desk.header, "the present picture")


async def test_a_console_without_agent_says_so_and_collects(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.normal(agent=AgentState.ABSENT), size=(120, 30)) as desk:
        await desk.sees("no agent: this console collects for itself")
        assert desk.asked("watch") == [("watch",)]


async def test_a_stopped_stack_says_how_to_start_it(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.empty()) as desk:
        await desk.sees("Nothing runs here", "fragrance start")


async def test_failed_sources_are_named_with_what_still_works(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.failed()) as desk:
        await desk.sees(
            "source database failed, 1m old: connection refused",
            "health and metrics still work",
            "source host stale",
            "HighErrorRate critical, firing 6m",
            "killed by SIGKILL",
        )
        services = [line for line in desk.text.splitlines() if "healthy" in line]
        assert "worker-llm" in services[0]  # the worst is first
        assert "–/–" in desk.text  # unknown is not zero


async def test_unreadable_keeps_the_picture_and_recovers(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.normal()) as desk:
        desk.engine.failure = Unreachable("the runtime does not answer", remedy="fragrance doctor")
        await desk.sees("reading fails since 03:12 UTC: the runtime does not answer", "worker-llm")
        desk.engine.failure = None
        desk.engine.picture = pictures.normal(taken_at=NOW + timedelta(seconds=1))
        await desk.until(lambda: "reading fails" not in desk.header, "recovery")


async def test_unreadable_from_the_start_shows_the_whole_error(open_desk: OpenDesk) -> None:
    engine = FakeEngine(pictures.normal())
    engine.failure = Unreachable("no supervisor", remedy="fragrance start")
    async with open_desk(None, engine=engine) as desk:
        await desk.sees("The stack cannot be read", "no supervisor", "next: fragrance start")


async def test_an_old_picture_is_called_old(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.normal()) as desk:
        assert "old" not in desk.header
        desk.engine.clock.advance(40)
        await desk.sees("this picture is 40s old")


async def test_the_header_names_what_must_not_be_overlooked(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.production(pictures.unfinished())) as desk:
        await desk.sees(
            "PRODUCTION", "1.4.2 · compose", "READ-ONLY", "ana", "03:12 UTC", "04:12 local",
            "INTERRUPTED", "o, then r resume", "P1 incident", "slow answers", "open 21m",
        )  # fmt: skip


async def test_a_running_operation_is_in_the_header_of_every_screen(open_desk: OpenDesk) -> None:
    running = OperationSummary("op-1", "scale", OperationState.RUNNING, "start-app-3", NOW, "ben")
    async with open_desk(pictures.normal(operation=running)) as desk:
        for key in ("l", "t", "o", "v", "question_mark"):
            await desk.press(key)
            await desk.sees("scale running · start-app-3 · ben")


async def test_replicas_unfold_and_fold(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.failed()) as desk:
        assert "worker-llm-1" not in desk.text
        await desk.press("right")
        await desk.sees("worker-llm-1", "1 busy", "backoff")
        await desk.press("down", "left")
        assert "worker-llm-1" not in desk.text
        await desk.press("right")
        await desk.sees("worker-llm-1")


async def test_help_is_the_registry_and_says_why_not(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.production(), size=(80, 60)) as desk:
        await desk.press("question_mark")
        await desk.sees(
            "▲ read-only: this is production", "one replica more in the target (read-only)"
        )
        await desk.press("escape")
        await desk.until(lambda: isinstance(desk.app.screen, OverviewScreen), "the overview")


async def test_the_palette_finds_and_does(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.normal()) as desk:
        await desk.press("colon")
        await desk.until(lambda: desk.app.focused is not None, "the palette")
        await desk.type("who did")
        await desk.sees("Operations: who did what?")
        await desk.press("enter")
        await desk.until(lambda: desk.app.screen.title == "Operations", "operations")


async def test_esc_leads_back_and_q_leaves(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.normal()) as desk:
        await desk.press("t", "o", "escape")
        await desk.until(lambda: isinstance(desk.app.screen, OverviewScreen), "the overview")
        await desk.press("q")
        await desk.until(lambda: desk.app.return_code == 0 and not desk.app.is_running, "left")


@pytest.mark.parametrize(
    ("key", "asked"),
    [("r", "resume"), ("u", "undo"), ("A", "accept")],
)
async def test_an_unfinished_operation_is_settled(
    open_desk: OpenDesk, key: str, asked: str
) -> None:
    async with open_desk(pictures.unfinished()) as desk:
        desk.engine.journal = [operations.operation(OperationState.INTERRUPTED)]
        await desk.press("o")
        await desk.sees("interrupted", "press r, u or A")
        await desk.press(key)
        await desk.dialog()
        await desk.press("enter")
        assert desk.asked(asked) == []
        await desk.until(lambda: not isinstance(desk.app.screen, Dialog), "cancelled")
        await desk.press(key)
        await desk.dialog()
        if asked == "accept":
            await desk.press("tab")
            await desk.type("seen and right")
            await desk.press("enter")
        await desk.press("y")
        await desk.until(lambda: desk.asked(asked), asked)
        assert desk.asked(asked)[0][1] == OPERATION_ID


async def test_a_running_operation_can_be_cancelled_and_left(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.normal()) as desk:
        desk.engine.journal = [
            operations.operation(OperationState.RUNNING, phases=(StepPhase.INTENT,))
        ]
        await desk.press("o")
        await desk.sees("running")
        await desk.press("enter")
        await desk.until(lambda: isinstance(desk.app.screen, FollowScreen), "the operation")
        await desk.press("r")
        assert "it is running; this is for one that is" in desk.footer
        await desk.press("c")
        await desk.dialog()
        await desk.press("y")
        await desk.until(lambda: desk.asked("cancel"), "cancelled")
        await desk.press("escape")
        await desk.until(lambda: desk.app.screen.title == "Operations", "back")


async def test_no_operation_yet_says_how_to_make_one(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.normal()) as desk:
        await desk.press("o")
        await desk.sees("No operation yet", "enter plans")


async def test_read_only_refuses_every_change(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.production(pictures.unfinished())) as desk:
        desk.engine.journal = [operations.operation(OperationState.INTERRUPTED)]
        await desk.press("down", "plus")
        assert "read-only: this is production; w takes write access" in desk.footer
        await desk.press("o")
        await desk.sees("interrupted")
        for key in "ruA":
            await desk.press(key)
            assert "read-only" in desk.footer
        assert not isinstance(desk.app.screen, Dialog)
        assert [asked for asked in desk.engine.asked if asked[0] != "logs"] == []


async def test_write_access_is_taken_with_a_reason_and_counts_down(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.production()) as desk:
        await desk.press("w")
        await desk.dialog()
        await desk.press("enter", "enter", "y")
        await desk.sees("a reason is required")
        await desk.type("queue grows")
        await desk.press("enter", "y")
        await desk.sees("WRITE 15m")
        assert desk.asked("elevate") == [("elevate", 15, "queue grows")]
        assert "write access for 15 minutes" in desk.footer
        desk.engine.clock.advance(600)
        await desk.sees("WRITE 5m")


async def test_write_access_is_for_a_number_of_minutes(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.production()) as desk:
        await desk.press("w")
        await desk.dialog()
        await desk.type("999")
        await desk.press("enter")
        await desk.type("x")
        await desk.press("enter", "y")
        await desk.sees("whole number from 0 to 240")
        assert desk.asked("elevate") == []


async def test_hostile_names_are_drawn_harmless(open_desk: OpenDesk) -> None:
    hostile = pictures.service(
        "[/x]\x1b[31m\u202eevil\x07", Role.OTHER, pictures.replica("a\x1b]52;c;eA==\x07b")
    )
    picture = pictures.normal(services=(hostile, *pictures.services()))
    async with open_desk(replace(picture, release="[bold]\x9b1m")) as desk:
        await desk.sees("[/x]evil", "[bold]1m")
        await desk.press("enter")
        await desk.sees("ab")
        assert "\x1b" not in desk.text


@pytest.mark.parametrize("size", [(40, 10), (60, 15), (80, 24), (200, 60)])
@pytest.mark.parametrize("picture", [pictures.failed, pictures.empty, pictures.unfinished])
async def test_no_size_is_too_small(
    open_desk: OpenDesk, size: tuple[int, int], picture: object
) -> None:
    async with open_desk(picture(), size=size) as desk:  # type: ignore[operator]
        desk.engine.journal = [operations.operation(OperationState.INTERRUPTED)]
        for key in ("down", "enter", "t", "l", "o", "enter", "escape", "question_mark", "escape"):
            await desk.press(key)
        await desk.press("v")
        await desk.pilot.resize_terminal(40, 10)
        await desk.pilot.resize_terminal(*size)
        assert desk.header


async def test_themes_change_the_colours_and_never_the_words(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.failed()) as desk:
        before = desk.text.replace(desk.footer, "")
        seen = {desk.app.look_name}
        for _ in range(3):
            await desk.press("T")
            seen.add(desk.app.look_name)
            assert desk.text.replace(desk.footer, "") == before
        assert seen == {"dark", "light", "colour-blind", "no-colour"}


async def test_no_color_means_no_colour_at_all(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.failed(), terminal=Terminal(colour=False)) as desk:
        await desk.press("T")
        strips = desk.app.screen._compositor.render_strips()
        colours = {
            colour.name
            for strip in strips
            for segment in strip
            if segment.style
            for colour in (segment.style.color, segment.style.bgcolor)
            if colour is not None
        }
        assert colours <= {"default"}


async def test_a_terminal_without_utf8_gets_ascii(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.failed(), terminal=Terminal(unicode=False)) as desk:
        for key in ("1", "t", "o", "question_mark"):
            await desk.press(key)
            text = "".join(strip.text for strip in desk.app.screen._compositor.render_strips())
            assert text.isascii()


async def test_nothing_is_repainted_when_nothing_changed(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.normal()) as desk:
        body = desk.app.screen.query_one("#body")
        painted: list[tuple[Region, ...]] = []
        body.refresh = lambda *regions, **_: painted.append(regions)  # type: ignore[method-assign,assignment]
        desk.engine.picture = pictures.normal(taken_at=NOW + timedelta(seconds=1))
        await desk.until(
            lambda: desk.app.view.snapshot is desk.engine.picture, "the second picture"
        )
        assert painted == []
        busier = replace(pictures.normal().metrics, request_rate=12.5)
        desk.engine.picture = pictures.normal(taken_at=NOW + timedelta(seconds=2), metrics=busier)
        await desk.until(lambda: painted, "a repaint")
        ((region,),) = painted
        assert (region.width, region.height) == (1, 1)  # 12.4 → 12.5: one cell


@pytest.mark.parametrize("width", [80, 120, 124, 160])
async def test_the_verdict_on_a_queue_is_never_cut(open_desk: OpenDesk, width: int) -> None:
    async with open_desk(pictures.failed(), size=(width, 48)) as desk:
        await desk.sees("drains in", "never: +30/min")


async def test_a_report_that_comes_after_the_end_is_dropped(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.normal()) as desk:
        console = desk.app
    console.redraw()


async def test_an_operation_seen_to_end_forbids_nothing_before_the_next_picture(
    open_desk: OpenDesk,
) -> None:
    async with open_desk(pictures.unfinished()) as desk:
        shown = desk.app.view.operation
        assert shown is not None
        taken = desk.app.view.snapshot.taken_at  # type: ignore[union-attr]
        ended = replace(
            operations.operation(OperationState.DONE, operation_id=shown.id), ended_at=taken
        )
        desk.app.operation_ended(ended)
        assert desk.app.view.operation is None
        # Taken up again by somebody: a later picture is believed.
        desk.app.operation_ended(replace(ended, ended_at=taken - timedelta(seconds=2)))
        assert desk.app.view.operation == shown


async def test_what_does_not_fit_can_be_scrolled(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.normal()) as desk:
        await desk.press("question_mark")
        await desk.until(lambda: isinstance(desk.app.screen, Dialog), "help")
        body = desk.app.screen.query_one("#body", Lines)
        assert "▾ more below" in desk.header
        await desk.press(*["pagedown"] * 8)
        await desk.until(lambda: not body.more_below, "the last line")
        await desk.until(lambda: "more below" not in desk.header, "no more below")
        await desk.press("up")
        await desk.until(lambda: body.more_below, "a line further up")


async def test_a_runtime_that_stops_answering_leaves_what_was_last_seen_with_its_age(
    open_desk: OpenDesk,
) -> None:
    async with open_desk(pictures.normal()) as desk:
        desk.engine.clock.advance(40)
        desk.engine.picture = pictures.blind(desk.engine.clock.now())
        await desk.sees(
            "source runtime failed, 40s old: the Docker Engine is not running",
            "last seen 40s ago: 2/2 ready, healthy",
        )
        lines = [made(line) for line in desk.screen.lines._lines]
        rows = [line for line in lines if "worker-rl" in line.plain]
        assert {span.style for span in rows[0].spans} <= {desk.app.look.dim, desk.app.look.accent}
        desk.engine.clock.advance(1)
        desk.engine.picture = pictures.normal(taken_at=desk.engine.clock.now())
        await desk.until(lambda: "last seen" not in desk.text, "it is seen again")


async def test_a_link_is_found_by_name_and_copied(open_desk: OpenDesk) -> None:
    picture = pictures.normal()
    endpoints = picture.endpoints | {"grafana": "http://127.0.0.1:3000"}
    async with open_desk(replace(picture, endpoints=endpoints)) as desk:

        def copied_is(begin: str) -> bool:
            return desk.app.clipboard.startswith(begin)

        for key, copied in (("enter", "http://127.0.0.1:3000"), ("t", "ssh -N -L 3000:")):
            await desk.press("colon")
            await desk.until(lambda: desk.app.focused is not None, "the palette")
            await desk.type("links")
            await desk.sees("API docs, Grafana, Prometheus")
            await desk.press("enter")
            await desk.until(lambda: isinstance(desk.app.screen, LinksDialog), "the links")
            await desk.press("j")
            await desk.sees("http://127.0.0.1:8000", "From another machine", "ssh -N -L 3000:")
            await desk.press(key)
            await desk.until(partial(copied_is, copied), "copied")
