"""How each screen looks, in each state, at the two sizes that are looked after."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from textual.pilot import Pilot

from console.domain.audit import AuditVerdict
from console.domain.operations import OperationState, StepPhase
from console.domain.plans import Risk
from console.domain.services import Limits
from console.domain.settling import Settling
from console.domain.snapshot import Snapshot
from screens.dialogs.base import Dialog
from tests.fakes import insight, operations, pictures
from tests.fakes.engine import FakeEngine
from tests.fakes.pictures import NOW
from tests.interface.conftest import Desk, console

SnapCompare = Callable[..., bool]
SIZES = pytest.mark.parametrize("size", [(80, 24), (160, 48)], ids=["80x24", "160x48"])
STATES: dict[str, Callable[[], Snapshot]] = {
    "empty": pictures.empty,
    "normal": pictures.normal,
    "stale": pictures.stale,
    "failed": pictures.failed,
}


def drawn(engine: FakeEngine, script: Callable[[Desk], Awaitable[None]]) -> dict[str, Any]:
    """Return the arguments of snap_compare for a console after *script*."""
    app = console(engine)

    async def run_before(pilot: Pilot[None]) -> None:
        desk = Desk(app, engine, pilot)
        await desk.until(lambda: app.view.access is not None, "the first picture")
        await script(desk)
        await pilot.pause()

    return {"app": app, "run_before": run_before}


@SIZES
@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("key", ["v", "t"], ids=["overview", "queues"])
def test_watching(snap_compare: SnapCompare, key: str, state: str, size: tuple[int, int]) -> None:
    async def script(desk: Desk) -> None:
        await desk.press(key)

    engine = FakeEngine(STATES[state]())
    assert snap_compare(**drawn(engine, script), terminal_size=size)


@SIZES
@pytest.mark.parametrize("state", STATES)
def test_why(snap_compare: SnapCompare, state: str, size: tuple[int, int]) -> None:
    engine = FakeEngine(STATES[state]())
    engine.trends = {"service.worker-llm.cpu_ratio": insight.rising()}
    engine.recalled = engine.picture
    if state == "failed":
        engine.seen = insight.happenings()

    async def script(desk: Desk) -> None:
        if state != "empty":
            await desk.until(lambda: desk.app.view.trends, "trends")
            desk.app.chosen = "worker-llm"
        await desk.press("i")
        await desk.sees("Nothing runs here" if state == "empty" else "reached at")

    assert snap_compare(**drawn(engine, script), terminal_size=size)


@SIZES
@pytest.mark.parametrize("state", STATES)
def test_changes(snap_compare: SnapCompare, state: str, size: tuple[int, int]) -> None:
    engine = FakeEngine(STATES[state]())
    if state != "empty":
        engine.seen = insight.happenings()
        engine.done = list(pictures.normal().changes[:1])
    if state == "failed":

        def broken(seconds: float, **more: object) -> object:
            raise operations.TOO_MANY

        engine.happened = broken  # type: ignore[method-assign,assignment]

    async def script(desk: Desk) -> None:
        await desk.press("h")
        words = {"empty": "Nothing changed", "failed": "cannot run 9"}.get(state, "LOG_LEVEL")
        await desk.sees(words)

    assert snap_compare(**drawn(engine, script), terminal_size=size)


@SIZES
def test_an_overview_with_drift_trends_and_uneven_load(
    snap_compare: SnapCompare, size: tuple[int, int]
) -> None:
    engine = FakeEngine(pictures.drifting())
    names = ("service.app.cpu_ratio", "request_rate", "host_cpu_ratio", "p95_seconds")
    engine.trends = dict.fromkeys(names, insight.rising())
    engine.recalled = engine.picture

    async def script(desk: Desk) -> None:
        await desk.until(lambda: desk.app.view.trends, "trends")
        await desk.press("right")

    assert snap_compare(**drawn(engine, script), terminal_size=size)


@SIZES
@pytest.mark.parametrize("state", STATES)
def test_logs(snap_compare: SnapCompare, state: str, size: tuple[int, int]) -> None:
    engine = FakeEngine(STATES[state]())
    if state == "failed":

        def broken(request: object) -> object:
            raise operations.TOO_MANY

        engine.logs = broken  # type: ignore[method-assign,assignment]
    elif state != "empty":
        engine.log.extend(insight.log_lines(60))

    async def script(desk: Desk) -> None:
        await desk.press("l")
        words = {"empty": "nothing said yet", "failed": "logs ended"}.get(state, "heartbeat")
        await desk.sees(words)

    assert snap_compare(**drawn(engine, script), terminal_size=size)


@SIZES
@pytest.mark.parametrize("state", STATES)
def test_metrics(snap_compare: SnapCompare, state: str, size: tuple[int, int]) -> None:
    engine = FakeEngine(STATES[state]())
    if state == "stale":
        engine.measured_from, engine.prometheus_trouble = "agent", "connection refused"
    if state == "failed":
        engine.unmeasured = operations.TOO_MANY

    async def script(desk: Desk) -> None:
        await desk.press("m")
        words = {"empty": "nothing was measured", "failed": "cannot run"}.get(state, "Figures")
        await desk.sees(words)

    assert snap_compare(**drawn(engine, script), terminal_size=size)


@SIZES
@pytest.mark.parametrize("state", STATES)
def test_alerts(snap_compare: SnapCompare, state: str, size: tuple[int, int]) -> None:
    picture = STATES[state]()
    if state == "failed":
        picture = replace(picture, **pictures.alerted(picture))

    async def script(desk: Desk) -> None:
        await desk.press("a")
        words = {"empty": "Nothing runs", "failed": "1 firing"}.get(state, "No alert")
        await desk.sees(words)

    assert snap_compare(**drawn(FakeEngine(picture), script), terminal_size=size)


@SIZES
def test_the_procedure_of_an_alert(snap_compare: SnapCompare, size: tuple[int, int]) -> None:
    engine = FakeEngine(pictures.failed())
    engine.procedures = (
        '# Runbook\n\n## High error rate\n<a id="higherrorrate"></a>\n\nMore than 5 % are 5xx.\n\n'
        "```sh\nfragrance status\n```\n\nWorked when: it ends."
    )

    async def script(desk: Desk) -> None:
        await desk.press("a", "enter")
        await desk.sees("Worked when")

    assert snap_compare(**drawn(engine, script), terminal_size=size)


@SIZES
@pytest.mark.parametrize("state", STATES)
def test_operations(snap_compare: SnapCompare, state: str, size: tuple[int, int]) -> None:
    engine = FakeEngine(STATES[state]())
    done = operations.operation(
        OperationState.DONE, operation_id="op-0006", ended_at=NOW, verified=True
    )
    if state != "empty":
        engine.journal = [done]
    if state == "failed":
        engine.journal.insert(0, operations.operation(OperationState.INTERRUPTED))

    async def script(desk: Desk) -> None:
        await desk.press("o")
        await desk.sees("No operation yet" if state == "empty" else "worker-llm 2 → 4")

    assert snap_compare(**drawn(engine, script), terminal_size=size)


@SIZES
@pytest.mark.parametrize("state", STATES)
def test_audit(snap_compare: SnapCompare, state: str, size: tuple[int, int]) -> None:
    engine = FakeEngine(STATES[state]())
    words = "Nothing was changed yet"
    if state != "empty":
        engine.entries = operations.audit_entries()
        engine.verdict = AuditVerdict(valid=True, entries=4)
        words = "✓ valid"
    if state == "failed":
        engine.verdict = AuditVerdict(False, 4, 2, "its content was changed")
        words = "NOT VALID"

    async def script(desk: Desk) -> None:
        await desk.press("o")
        await desk.until(lambda: desk.screen.NAME == "operations", "the operations")
        await desk.press("tab")
        await desk.sees(words, *(["hash"] if state != "empty" else []))

    assert snap_compare(**drawn(engine, script), terminal_size=size)


@SIZES
def test_production_with_an_unfinished_operation(
    snap_compare: SnapCompare, size: tuple[int, int]
) -> None:
    async def script(desk: Desk) -> None:
        await desk.press("down")

    engine = FakeEngine(pictures.production(pictures.unfinished()))
    assert snap_compare(**drawn(engine, script), terminal_size=size)


@SIZES
def test_the_plan(snap_compare: SnapCompare, size: tuple[int, int]) -> None:
    async def script(desk: Desk) -> None:
        dialog = await desk.plan("down", "plus", "plus", "enter")
        dialog.redraw()

    assert snap_compare(**drawn(FakeEngine(pictures.normal()), script), terminal_size=size)


@SIZES
def test_the_wizard_with_advice(snap_compare: SnapCompare, size: tuple[int, int]) -> None:
    async def script(desk: Desk) -> None:
        dialog = await desk.plan("down", "plus", "enter")
        dialog.redraw()

    assert snap_compare(**drawn(FakeEngine(pictures.busy()), script), terminal_size=size)


@SIZES
def test_an_engine_that_has_gone(snap_compare: SnapCompare, size: tuple[int, int]) -> None:
    engine = FakeEngine(pictures.normal())

    async def script(desk: Desk) -> None:
        engine.clock.advance(40)
        engine.picture = pictures.blind(engine.clock.now())
        await desk.sees("last seen")

    assert snap_compare(**drawn(engine, script), terminal_size=size)


@SIZES
@pytest.mark.parametrize("asked", ["resize", "settings"])
def test_what_is_asked_for(snap_compare: SnapCompare, asked: str, size: tuple[int, int]) -> None:
    async def script(desk: Desk) -> None:
        desk.app.act(asked)
        await desk.until(lambda: isinstance(desk.app.screen, Dialog), "a dialog")
        await desk.sees("largest replica" if asked == "resize" else "LOG_LEVEL")
        (await desk.dialog()).redraw()

    picture = pictures.normal()
    app = replace(picture.services[0], limits=Limits(1.0, 2 * 1024**3, 0.25, 512 * 1024**2))
    picture = replace(picture, services=(app, *picture.services[1:]))
    assert snap_compare(**drawn(FakeEngine(picture), script), terminal_size=size)


@SIZES
def test_a_refused_plan(snap_compare: SnapCompare, size: tuple[int, int]) -> None:
    engine = FakeEngine(pictures.busy())
    engine.refusal = operations.TOO_MANY

    async def script(desk: Desk) -> None:
        await desk.press("down", "9", "enter")
        await desk.sees("cannot run 9 replicas")
        (await desk.dialog()).redraw()

    assert snap_compare(**drawn(engine, script), terminal_size=size)


@SIZES
def test_a_severe_plan_in_production(snap_compare: SnapCompare, size: tuple[int, int]) -> None:
    engine = FakeEngine(pictures.production())
    engine.elevate(15, "test")
    engine.next_plan = operations.restart_plan("redis-1", service="redis", risk=Risk.HIGH)

    async def script(desk: Desk) -> None:
        dialog = await desk.plan("end", "r")
        dialog.redraw()

    assert snap_compare(**drawn(engine, script), terminal_size=size)


@SIZES
def test_maintenance_seen_by_who_may_not_write(
    snap_compare: SnapCompare, size: tuple[int, int]
) -> None:
    async def script(desk: Desk) -> None:
        await desk.press("P")
        await desk.until(lambda: "read-only" in desk.footer, "the refusal")

    picture = pictures.production(
        pictures.normal(maintenance=True, maintenance_since=NOW - timedelta(minutes=12))
    )
    assert snap_compare(**drawn(FakeEngine(picture), script), terminal_size=size)


@SIZES
@pytest.mark.parametrize("state", [OperationState.DONE, OperationState.FROZEN])
def test_how_it_ended(
    snap_compare: SnapCompare, state: OperationState, size: tuple[int, int]
) -> None:
    engine = FakeEngine(pictures.normal())
    done = state is OperationState.DONE
    phases = (StepPhase.DONE, StepPhase.DONE if done else StepPhase.FAILED)
    ended = NOW - timedelta(minutes=2)
    engine.journal = [
        operations.operation(
            state,
            phases=phases,
            ended_at=ended,
            verified=done,
            outcome_message="4 of 4 ready" if done else "worker-llm-4 is not healthy after 60 s",
            remedy="" if done else "fragrance logs worker-llm-4",
        )
    ]
    begun = engine.journal[0].submitted_at
    if done:
        engine.settled = Settling("settling", NOW, "settling, 3 min left")
        engine.history = {
            "service.worker-llm.ready": [(begun, 2.0), (NOW, 4.0)],
            "service.worker-llm.cpu_ratio": [(begun, 0.91), (NOW, 0.55)],
            "queue.llm.depth": [(begun, 120.0), (NOW, 31.0)],
            "queue.llm.completed_per_second": [(begun, 0.8), (NOW, 1.6)],
        }

    async def script(desk: Desk) -> None:
        await desk.press("o")
        await desk.sees(state.value)
        await desk.press("enter")
        await desk.sees("3 min left" if done else "press r to resume")

    assert snap_compare(**drawn(engine, script), terminal_size=size)


@SIZES
def test_steps_under_way(snap_compare: SnapCompare, size: tuple[int, int]) -> None:
    engine = FakeEngine(pictures.normal())
    engine.journal = [
        operations.operation(OperationState.RUNNING, phases=(StepPhase.DONE, StepPhase.INTENT))
    ]

    async def script(desk: Desk) -> None:
        await desk.press("o")
        await desk.sees("running")
        await desk.press("enter")
        await desk.sees("as worker-llm-4")

    assert snap_compare(**drawn(engine, script), terminal_size=size)


@SIZES
def test_the_reading_before_any_source_answers(
    snap_compare: SnapCompare, size: tuple[int, int]
) -> None:
    engine = FakeEngine(None)
    app = console(engine)

    async def run_before(pilot: Pilot[None]) -> None:
        await Desk(app, engine, pilot).sees("Reading the stack")

    assert snap_compare(app=app, run_before=run_before, terminal_size=size)


@pytest.mark.parametrize("theme", ["light", "colour-blind", "no-colour"])
def test_themes(snap_compare: SnapCompare, theme: str) -> None:
    async def script(desk: Desk) -> None:
        while desk.app.look_name != theme:
            await desk.press("T")
        await desk.press("down")

    assert snap_compare(**drawn(FakeEngine(pictures.failed()), script))


def test_help(snap_compare: SnapCompare) -> None:
    async def script(desk: Desk) -> None:
        await desk.press("question_mark")
        await desk.until(lambda: isinstance(desk.app.screen, Dialog), "help")

    assert snap_compare(**drawn(FakeEngine(pictures.production()), script))
