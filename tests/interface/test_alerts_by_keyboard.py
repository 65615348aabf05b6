"""Alerts: read, open the procedure, silence with a reason; and Metrics by its keys."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from console.domain.alerts import Alert, AlertSeverity, AlertState, Silence
from tests.fakes import pictures
from tests.fakes.engine import FakeEngine
from tests.fakes.pictures import NOW
from tests.interface.conftest import OpenDesk


async def test_enter_opens_the_procedure_of_the_selected_alert(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.failed()) as desk:
        await desk.press("a")
        await desk.sees("1 firing, 1 pending", "HighErrorRate", "5xx 6.1 % over 5 %", "firing 6m",
                        "warning if it lasts")  # fmt: skip
        await desk.press("enter")
        await desk.sees("Procedure for HighErrorRate", "fragrance logs app --errors")
        await desk.press("escape")
        await desk.press("down", "enter")
        await desk.sees("Procedure for WorkerQueueBacklog", "fragrance queues")


async def test_every_watched_alert_has_a_procedure(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.normal()) as desk:
        await desk.press("a")
        await desk.sees("No alert", "Watched", "ApiDown")
        for _ in range(12):
            await desk.press("enter")
            await desk.until(lambda: "Procedure for" in desk.text, "the reader")
            await desk.until(lambda: "Reading RUNBOOK" not in desk.text, "its text")
            assert "has no section" not in desk.text
            await desk.press("escape", "down")


async def test_an_alert_is_silenced_for_a_time_with_a_reason(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.failed()) as desk:
        await desk.press("a", "down", "s")
        await desk.dialog()
        await desk.sees("Silence WorkerQueueBacklog", "a silence mends nothing")
        await desk.press("enter", "enter", "y")
        await desk.sees("a reason is required")
        await desk.type("load test")
        await desk.press("tab", "y")
        await desk.until(lambda: desk.asked("silence"), "the silence")
        assert desk.asked("silence") == [("silence", "WorkerQueueBacklog", 3600.0, "load test")]
        await desk.until(lambda: "is silenced until 04:12 UTC" in desk.footer, "the word")


async def test_a_time_that_makes_no_sense_is_not_taken(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.failed()) as desk:
        await desk.press("a", "s")
        await desk.dialog()
        await desk.press("ctrl+u", "9", "enter", "enter", "y")
        await desk.sees("is no duration")
        assert not desk.asked("silence")


async def test_a_silenced_alert_says_by_whom_and_why_and_comes_last(open_desk: OpenDesk) -> None:
    picture = pictures.failed()
    until = NOW + timedelta(minutes=30)
    silence = Silence("HighErrorRate", until, "ben", "known", NOW)
    async with open_desk(replace(picture, silences=(silence,))) as desk:
        await desk.press("a")
        await desk.sees("silenced until 03:42 UTC (30m left) by ben: known")
        assert desk.text.index("WorkerQueueBacklog") < desk.text.index("HighErrorRate")
        await desk.press("down", "u")
        await desk.dialog()
        await desk.sees("ben silenced it until 03:42 UTC: known")
        await desk.press("escape")
        await desk.press("u")
        await desk.dialog()
        await desk.press("tab", "tab", "y")
        await desk.until(lambda: desk.asked("unsilence"), "the end of it")


async def test_no_alert_is_no_good_news_while_a_source_fails(open_desk: OpenDesk) -> None:
    async with open_desk(replace(pictures.failed(), alerts=())) as desk:
        await desk.press("a")
        await desk.sees("No alert, as far as can be told", "not judged while database is failed")


async def test_an_old_picture_says_nothing_of_now(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.stale()) as desk:
        await desk.press("a")
        await desk.sees("No alert when last seen, 2m ago")


async def test_words_from_outside_cannot_draw(open_desk: OpenDesk) -> None:
    bad = "\x1b[31m[/x] gone\u202e\x07"
    alert = Alert(bad, AlertSeverity.CRITICAL, AlertState.FIRING, NOW, bad, bad, bad)
    engine = FakeEngine(replace(pictures.normal(), alerts=(alert,)))
    engine.procedures = f'## {bad}\n<a id="{bad}"></a>\n{bad}\n```\n{bad}\n```\n'
    async with open_desk(None, engine=engine) as desk:
        await desk.press("a")
        await desk.sees("[/x] gone")
        await desk.press("enter")
        await desk.until(lambda: "Procedure for" in desk.text, "the reader")
        assert desk.text.replace("\n", "").isprintable()


async def test_keys_choose_range_and_figure(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.normal(), size=(80, 24)) as desk:
        await desk.press("m")
        await desk.sees("Errors (5xx)", "✗ above 5%", "HighErrorRate", "from Prometheus")
        await desk.press("home", "down", "down", "down")
        await desk.sees("Queue llm  14", "WorkerQueueBacklog")
        await desk.press("3")
        await desk.until(lambda: ("measured", 6 * 3600.0) in desk.engine.asked, "six hours")
        await desk.press("right")
        await desk.until(lambda: ("measured", 24 * 3600.0) in desk.engine.asked, "a day")
        await desk.sees("Queue llm  14")
        await desk.press("x")
        await desk.sees("Scrape targets", "no Prometheus that answers")


async def test_losing_prometheus_is_said_and_takes_nothing_away(open_desk: OpenDesk) -> None:
    engine = FakeEngine(pictures.normal())
    engine.measured_from, engine.prometheus_trouble = "agent", "connection refused"
    async with open_desk(None, engine=engine, size=(160, 48)) as desk:
        await desk.press("m")
        await desk.sees("Prometheus does not answer since 03:05: connection refused", "Disk")


async def test_a_narrow_and_a_huge_terminal_are_drawn(open_desk: OpenDesk) -> None:
    for size in ((40, 10), (300, 90)):
        async with open_desk(pictures.normal(), size=size) as desk:
            await desk.press("m")
            await desk.sees("Figures")
            await desk.press("a")
            await desk.sees("No alert")


async def test_a_test_is_sent_to_every_receiver_by_its_name(open_desk: OpenDesk) -> None:
    async with open_desk(pictures.normal()) as desk:
        desk.app.act("test_alerts")  # as the palette does
        await desk.dialog()
        await desk.sees("Send a test to every receiver", "only a test")
        await desk.press("y")
        await desk.until(lambda: desk.asked("test_alerts"), "the test")
        await desk.until(lambda: "slack took it; webhook did not take it" in desk.footer, "who")


async def test_whom_alerts_are_sent_to_and_who_is_not_reached(open_desk: OpenDesk) -> None:
    failing = Alert(
        "AlertDeliveryFailing", AlertSeverity.WARNING, AlertState.FIRING, NOW,
        "alertdeliveryfailing", "Alerts do not reach slack", "integration=slack", "prometheus",
    )  # fmt: skip
    picture = replace(pictures.normal(), receivers=("slack", "webhook"), alerts=(failing,))
    async with open_desk(picture) as desk:
        await desk.press("a")
        await desk.sees("Sent to  ✗ slack: not reached  webhook")
    async with open_desk(replace(pictures.normal(), receivers=())) as desk:
        await desk.press("a")
        await desk.sees("Nobody is sent an alert: no receiver is given")
