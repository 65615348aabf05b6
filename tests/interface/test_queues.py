"""Queues: whether each drains and when, what would help, what each worker has in hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from console.domain.services import Role
from screens.dialogs.scale import ScaleDialog
from screens.logs import LogsScreen
from screens.queues import QueuesScreen
from tests.fakes import pictures
from tests.fakes.engine import FakeEngine
from tests.fakes.pictures import NOW
from tests.interface.conftest import OpenDesk
from tests.unit.test_training import training


async def test_queues_say_whether_and_when_they_drain(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.failed(), size=(80, 40)) as desk:
        await desk.press("t")
        await desk.sees(
            "340 tasks wait; grows by 30/min: never at this rate",
            "3 more workers would drain it in 8 min",
            "a task sent now waits about 14m",
            "0.4/s complete, 5% of them fail",
            "runs 1 of 1",
            "takes work",
            "beat <5s",
            "↳ 1m      compose_brief  job-0001",
            "how much waits is unknown",
        )
        desk.engine.picture = pictures.normal(taken_at=NOW + timedelta(seconds=1))
        await desk.sees("34 tasks wait, drained in about 70 s", "✓ nothing waits")


async def test_how_it_went_lately_is_drawn_and_unknown_is_a_gap(open_desk: OpenDesk) -> None:
    engine = FakeEngine(pictures.normal())
    engine.recalled = pictures.normal()
    engine.trends = {
        "queue.llm.depth": (None, *range(11)),
        "queue.llm.arrived_per_second": (0.5,) * 12,
        "queue.rl.depth": (None,) * 12,
    }
    async with open_desk(None, engine=engine) as desk:
        await desk.press("t")
        await desk.sees("waiting  ▁▁▂▃▄▄▅▆▇██  in ████████████  last 30 min")
        assert desk.text.count("last 30 min") == 1


async def test_a_worker_without_a_heartbeat_is_unknown_and_not_idle(open_desk: OpenDesk) -> None:
    silent = pictures.replica("worker-rl-1", accepting=None)
    draining = pictures.replica("worker-rl-2", active=0, accepting=False, slots=1)
    service = pictures.service("worker-rl", Role.WORKER, silent, draining, queue="rl")
    picture = pictures.normal(services=(*pictures.services()[:2], service))
    async with open_desk(picture, size=(80, 40)) as desk:
        await desk.press("t")
        await desk.sees("no heartbeat", "idle, 1 place", "drains")


async def test_the_wizard_and_the_logs_are_of_the_selected_queue(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.normal()) as desk:
        await desk.press("t")
        await desk.sees("› llm")
        await desk.press("down")
        await desk.sees("› rl")
        await desk.press("s")
        await desk.until(lambda: isinstance(desk.app.screen, ScaleDialog), "the wizard")
        assert isinstance(desk.app.screen, ScaleDialog)
        assert desk.app.screen.targets == {"worker-rl": 1}
        await desk.dialog()
        await desk.press("escape")
        await desk.until(lambda: isinstance(desk.app.screen, QueuesScreen), "the queues")
        await desk.press("L")
        await desk.until(lambda: isinstance(desk.app.screen, LogsScreen), "the logs")
        assert ("logs", ("worker-rl",)) in desk.engine.asked


async def test_a_queue_that_nobody_works_on_says_so(open_desk: OpenDesk) -> None:
    picture = pictures.normal(services=pictures.services()[3:])
    async with open_desk(picture) as desk:
        await desk.press("t")
        await desk.sees("no service is labelled as working on this queue")
        await desk.press("s")
        assert "no service is labelled" in desk.footer


async def test_queues_are_filtered_and_a_bad_filter_keeps_the_old_one(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.normal()) as desk:
        await desk.press("t", "slash")
        await desk.type("depth>10")
        await desk.press("enter")
        await desk.sees("1 of 2 match depth>10; esc: all")
        assert "worker-rl-1" not in desk.text
        await desk.press("slash")
        await desk.type("depth>x")
        await desk.press("enter")
        await desk.sees("is no number")
        await desk.sees("1 of 2 match depth>10; esc: all")
        await desk.press("escape")
        await desk.sees("worker-rl-1")


async def test_many_queues_are_walked_through_and_seen(open_desk: OpenDesk) -> None:
    picture = pictures.normal()
    queues = tuple(replace(picture.queues[0], name=f"queue-{n}" + "x" * 200) for n in range(40))
    async with open_desk(replace(picture, queues=queues)) as desk:
        await desk.press("t", *["down"] * 39)
        await desk.sees("› queue-39")
        body = desk.screen.lines

        def seen() -> bool:
            rows = [body.render_line(y).text for y in range(body.size.height)]
            return any(row.startswith("› queue-39") for row in rows)

        await desk.until(seen, "the last queue in sight")


async def test_hostile_queues_are_drawn_harmless(open_desk: OpenDesk) -> None:
    queue = replace(pictures.normal().queues[0], name="[/x]\x1b[31m\u202eevil\x07")
    async with open_desk(pictures.normal(queues=(queue,))) as desk:
        await desk.press("t")
        await desk.sees("[/x]evil")
        assert "\x1b" not in desk.text
        assert "\u202e" not in desk.text


async def test_a_search_is_on_overview_and_queues(open_desk: OpenDesk) -> None:
    async with open_desk(training(), size=(100, 50)) as desk:
        await desk.sees("Training", "step 1280/20000", "entropy 0.0043", "checkpoint 10s")
        await desk.press("t")
        await desk.sees("optimise  job-7", "step 1280/20000, reward 0.612, entropy 0.0043")
