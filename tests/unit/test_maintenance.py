"""Maintenance: a page while something is worked on, and nothing cut off."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from console.cli.status_lines import status_lines
from console.domain.differences import differences
from console.domain.maintenance import outside_words, with_answers
from console.domain.operations import OperationState
from console.domain.policy import MaintenancePolicy, Policy
from console.domain.services import Maintenance
from console.errors import NotSupported, UsageError
from console.runtimes.compose import maintenance
from console.runtimes.compose.containers import Container
from tests.unit.test_runner import Bench, boundaries


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    bench = Bench(tmp_path)
    bench.stack.page = True
    return bench


def test_the_page_is_shown_and_taken_away_again(bench: Bench) -> None:
    before = bench.stack.snapshot()

    on = bench.run(bench.stack.plan("maintenance", {"on": True}))

    assert (on.state, on.verified) == (OperationState.DONE, True)
    assert [s.name for s in on.steps] == ["maintenance-on", "drain-requests"]
    shown = bench.stack.snapshot()
    assert shown.maintenance is True
    assert any(line.startswith("maintenance: on since") for line in status_lines(shown))
    assert "maintenance off → on" in differences(before, shown)
    assert bench.stack.plan("maintenance", {"on": True}).steps == ()
    off = bench.run(bench.stack.plan("maintenance", {"on": False}))
    assert off.state is OperationState.DONE
    assert bench.stack.snapshot().maintenance is False
    assert bench.again(off, "undo").state is OperationState.UNDONE
    assert bench.stack.snapshot().maintenance is True


def test_requests_under_way_are_waited_for(bench: Bench) -> None:
    bench.stack.in_flight = 3

    def end_later() -> None:
        if bench.clock.monotonic() > 20:
            bench.stack.in_flight = 0

    bench.clock.on_sleep.append(end_later)

    ended = bench.run(bench.stack.plan("maintenance", {"on": True}))

    assert ended.state is OperationState.DONE
    assert 20 <= bench.clock.monotonic() < 40
    assert ended.steps[-1].detail == "no request is under way"


@pytest.mark.parametrize(
    ("under_way", "words"),
    [
        (2, "2 requests under way; left to themselves after 60 s"),
        (None, "requests under way cannot be seen; left to themselves after 60 s"),
    ],
)
def test_in_an_emergency_what_does_not_end_is_left_to_itself_and_told(
    bench: Bench, under_way: int | None, words: str
) -> None:
    bench.stack.in_flight = under_way

    ended = bench.run(bench.stack.plan("maintenance", {"on": True, "emergency": True}))

    assert ended.state is OperationState.DONE
    assert ended.steps[-1].detail == words
    assert bench.clock.monotonic() >= 60


def test_a_figure_of_before_the_page_proves_nothing(bench: Bench) -> None:
    plan = bench.stack.plan("maintenance", {"on": True})
    bench.stack.page_since = bench.clock.now()
    seen = bench.runner()._stepper.look_at(plan.steps[1], bench.stack.snapshot())
    assert seen.holds is False
    bench.clock.advance(1)
    seen = bench.runner()._stepper.look_at(plan.steps[1], bench.stack.snapshot())
    assert seen.holds is True


def test_an_application_that_does_not_run_has_no_request_under_way(bench: Bench) -> None:
    plan = bench.stack.plan("maintenance", {"on": True})
    bench.stack.page_since = bench.clock.now()
    bench.stack.in_flight = None
    drain, look_at = plan.steps[1], bench.runner()._stepper.look_at
    app = bench.stack.snapshot().service("app")
    assert app is not None
    first, *others = [r.name for r in app.replicas]
    for name in others:
        bench.stack.remove_replica(name, 1)
    assert look_at(drain, bench.stack.snapshot()).holds is None

    bench.stack.remove_replica(first, 1)

    assert look_at(drain, bench.stack.snapshot()).holds is True


def test_a_crash_at_every_boundary_is_survived(bench: Bench) -> None:
    for on in (True, False):
        steps = bench.stack.plan("maintenance", {"on": on}).steps
        for at in boundaries(steps):
            for mode in ("run", "undo"):
                crashed = bench.crash(bench.stack.plan("maintenance", {"on": on}), at)
                ended = bench.again(crashed, mode)
                assert ended.finished
                assert ended.verified
                assert bench.stack.snapshot().maintenance is (on if mode == "run" else not on)
                bench.stack.set_maintenance(on=not on)
        bench.stack.set_maintenance(on=on)


def test_without_a_page_it_is_refused(bench: Bench) -> None:
    bench.stack.page = False

    with pytest.raises(NotSupported, match="no maintenance page") as refusal:
        bench.stack.plan("maintenance", {"on": True})
    assert refusal.value.exit_code == 3
    assert bench.stack.snapshot().maintenance is None


@pytest.mark.parametrize("wish", [{}, {"on": "yes"}, {"on": True, "limit_seconds": -1}])
def test_a_wish_that_makes_no_sense_is_refused(bench: Bench, wish: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        bench.stack.plan("maintenance", wish)


SUNDAY_THREE = datetime(2026, 3, 15, 3, tzinfo=UTC)


@pytest.mark.parametrize(
    ("windows", "hours", "words"),
    [
        (("sunday 02:00-04:00",), -1.0, None),
        (("sunday 02:00-04:00",), 0.99, None),
        (("sunday 02:00-04:00",), 1.0, "next one begins 2026-03-22 02:00 UTC, in 6 d 22 h"),
        (("sunday 02:00-04:00",), -1.5, "next one begins 2026-03-15 02:00 UTC, in 0 h 30 min"),
        (("saturday 23:00-04:00",), 0.0, None),
        (("saturday 23:00-02:00",), 0.0, "next one begins 2026-03-21 23:00 UTC"),
        (("sunday 02:00-04:00", "monday 00:00-24:00"), 2.0, "begins 2026-03-16 00:00 UTC"),
        ((), 2.0, None),
    ],
)
def test_outside_of_its_window_the_next_one_is_named(
    windows: tuple[str, ...], hours: float, words: str | None
) -> None:
    told = outside_words(windows, SUNDAY_THREE + timedelta(hours=hours))
    assert (told is None) if words is None else (told is not None and words in told)


@pytest.mark.parametrize("text", ["sunday", "funday 02:00-04:00", "sunday 25:00-04:00", "2-4"])
def test_what_is_no_window_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=text):
        MaintenancePolicy(windows=(text,))


def test_a_plan_outside_the_window_warns_and_carries_the_list(bench: Bench) -> None:
    policy = Policy(maintenance=MaintenancePolicy(windows=("sunday 02:00-04:00",)))
    wish = {"on": True, "confirmed": ["notice", "on-call"]}

    plan = bench.stack.plan("maintenance", wish, policy)  # a Thursday

    assert plan.warnings == (
        "outside the maintenance window (sunday 02:00-04:00 UTC): "
        "the next one begins 2026-01-04 02:00 UTC, in 2 d 13 h",
        "not answered for: backup, staging, rollback, status-page",
    )
    assert {i.id: i.state for i in plan.checklist} == {
        "notice": "confirmed",
        "backup": "unknown",
        "staging": "open",
        "rollback": "open",
        "on-call": "confirmed",
        "status-page": "open",
    }
    with pytest.raises(UsageError, match="no 'lunch' on the list"):
        bench.stack.plan("maintenance", {"on": True, "confirmed": ["lunch"]})
    ended = bench.run(plan)
    assert ended.plan.checklist == plan.checklist


def test_an_emergency_needs_no_list_and_says_what_it_lacks(bench: Bench) -> None:
    plan = bench.stack.plan("maintenance", {"on": True, "emergency": True})
    assert plan.checklist == ()
    assert "without notice: announce it now" in plan.warnings[0]
    assert "outside the maintenance window" in plan.warnings[1]
    assert plan.steps[-1].question is None


def test_answers_given_while_it_is_shown_are_part_of_the_plan(bench: Bench) -> None:
    plan = bench.stack.plan("maintenance", {"on": True})
    items = plan.checklist
    every = [item.id for item in items]

    whole = with_answers(plan, items, every)
    assert whole.warnings == plan.warnings[:1], "only the window is left"
    assert whole.wish["confirmed"] == sorted(every)
    assert with_answers(whole, items, []).warnings == plan.warnings


def test_ending_it_warns_while_the_application_is_not_ready(bench: Bench) -> None:
    bench.stack.set_maintenance(on=True)
    assert bench.stack.plan("maintenance", {"on": False}).warnings == ()
    bench.stack.unwell = {"app-1"}
    assert "1 of 2 ready" in bench.stack.plan("maintenance", {"on": False}).warnings[0]


def test_a_proxy_that_does_not_say_is_neither_on_nor_off(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = bench.stack.plan("maintenance", {"on": True})
    topology = bench.stack.topology()
    since = bench.clock.now() - timedelta(seconds=5)
    stepper = bench.runner()._stepper

    monkeypatch.setattr(
        bench.stack,
        "topology",
        lambda: replace(topology, maintenance=Maintenance(shown=None, since=since)),
    )
    seen = stepper.look_at(plan.steps[0], bench.stack.snapshot())
    assert (seen.holds, seen.coming) == (False, True)


@pytest.mark.parametrize(
    ("on", "answer", "shown"),
    [
        (True, 503, True),
        (True, 204, None),
        (True, 404, None),
        (False, 204, False),
        (False, 503, None),
        (False, 404, None),
    ],
)
def test_only_a_proxy_that_says_so_shows_the_page_or_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on: bool, answer: int, shown: bool | None
) -> None:
    class Proxy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(answer)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    page = maintenance.MaintenancePage(tmp_path)
    page.switch(on=on)
    with HTTPServer(("127.0.0.1", 0), Proxy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(maintenance, "STATUS_PORT", server.server_port)
        # A busy machine may be slower than a console would wait.
        monkeypatch.setattr(maintenance, "ANSWER_SECONDS", 10.0)
        proxy = Container(
            "id", "nginx-1", "nginx", 1, "running", {}, addresses={"edge": "127.0.0.1"}
        )
        try:
            found = page.look([proxy])
        finally:
            server.shutdown()
    assert found is not None
    assert found.shown is shown
