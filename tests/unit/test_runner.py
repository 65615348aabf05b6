"""The runner, in one process: every end an operation can come to, and every crash."""

from __future__ import annotations

import re
from collections.abc import Collection
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from console.domain.operations import Actor, Operation, OperationState, StepPhase
from console.domain.plans import Plan, Step
from console.domain.snapshot import Snapshot
from console.errors import ConsoleError, Refused, Unreachable, UsageError
from console.operations import crash
from console.operations.lock import OperationLock
from console.operations.runner import Runner
from console.operations.stepping import Stepper
from console.steps import step_kinds
from tests.fakes.clock import FakeClock
from tests.fakes.journal import FakeJournal
from tests.fakes.stack import ModelStack

ANNA = Actor("anna", 1000)


class Killed(BaseException):
    """Stands for SIGKILL: nothing catches it."""


class WatchedLock(OperationLock):
    """The real lock; the journal in memory is told whether it is held."""

    journal: FakeJournal

    def held(self, operation_id: str, actor: Actor, timeout_seconds: float = 10.0) -> Any:
        @contextmanager
        def watched() -> Any:
            with super(WatchedLock, self).held(operation_id, actor, timeout_seconds) as owner:
                self.journal.runner_alive = True
                try:
                    yield owner
                finally:
                    self.journal.runner_alive = False

        return watched()


@dataclass
class Bench:
    """A model stack with a journal and runners."""

    state: Path
    clock: FakeClock = field(default_factory=FakeClock)
    said: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.stack = ModelStack(self.clock)
        self.journal = FakeJournal(self.clock)
        self.lock = WatchedLock(self.state, self.clock)
        self.lock.journal = self.journal

    def runner(self, crash_at: str = "", **more: Any) -> Runner:
        def die(step: str, boundary: str) -> None:
            if f"{step}:{boundary}" == crash_at:
                raise Killed

        return Runner(
            journal=self.journal,
            kinds=step_kinds(self.stack),
            observe=self.stack.snapshot,
            clock=self.clock,
            lock=self.lock,
            crash_at=die,
            tell=self.said.append,
            **more,
        )

    def submit(self, plan: Plan) -> Operation:
        return self.journal.submit(plan, ANNA, "test")

    def plan(self, **targets: int) -> Plan:
        wish = {"targets": {k.replace("_", "-"): v for k, v in targets.items()}}
        return self.stack.plan("scale", wish)

    def run(self, plan: Plan, **more: Any) -> Operation:
        operation = self.submit(plan)
        code = self.runner(**more).run(operation.id, "run")
        ended = self.journal.operation(operation.id)
        assert ended.exit_code == code
        return ended

    def crash(self, plan: Plan, at: str) -> Operation:
        operation = self.submit(plan)
        with pytest.raises(Killed):
            self.runner(at).run(operation.id, "run")
        return self.journal.operation(operation.id)

    def again(self, operation: Operation, mode: str, **more: Any) -> Operation:
        self.journal.reopen(operation.id, ANNA, mode)
        self.runner(**more).run(operation.id, mode)
        return self.journal.operation(operation.id)

    def phases(self, operation: Operation) -> dict[str, StepPhase]:
        return {s.name: s.phase for s in self.journal.operation(operation.id).steps}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def boundaries(steps: tuple[Step, ...]) -> list[str]:
    return [f"{step.name}:{when}" for step in steps for when in ("before", "after")]


def test_what_a_gate_reads_is_what_it_rests_on(bench: Bench) -> None:
    read: list[set[str]] = []

    def asked(names: Collection[str] | None) -> Snapshot:
        read.append(set(names or ()))
        return bench.stack.snapshot(names)

    stepper = Stepper(step_kinds(bench.stack), asked, bench.clock)
    gates = {
        name: next(s for s in bench.plan(**{name: 3}).steps if s.kind == "gate_replica")
        for name in ("app", "worker_llm")
    }
    stepper.look([gates["app"]])
    stepper.look([gates["worker_llm"]])
    stepper.look(list(gates.values()))

    everything = {"runtime", "health", "broker", "database"}
    assert read == [everything, {"runtime", "broker"}, everything]


def test_a_scale_up_ends_done_and_verified(bench: Bench) -> None:
    ended = bench.run(bench.plan(worker_llm=3))

    assert (ended.state, ended.exit_code, ended.verified) == (OperationState.DONE, 0, True)
    assert [name for name, _ in bench.stack.world()["worker-llm"]] == [
        "worker-llm-1",
        "worker-llm-2",
        "worker-llm-3",
    ]
    assert set(bench.phases(ended).values()) <= {StepPhase.DONE, StepPhase.SKIPPED}
    assert not bench.lock.is_held()
    assert bench.journal.changes()[0].outcome == "done"


def test_a_worker_with_a_task_in_hand_is_waited_for_before_it_stops(bench: Bench) -> None:
    bench.run(bench.plan(worker_llm=2))
    bench.stack.active = {"worker-llm-1": 1, "worker-llm-2": 1}
    stopped_with: list[int] = []

    def finish_later() -> None:
        if bench.clock.monotonic() > 200:
            bench.stack.active = {}
        if ("remove", "worker-llm-2", "40") in bench.stack.commands:
            stopped_with.append(bench.stack.active.get("worker-llm-2", 0))

    bench.clock.advance(100)
    bench.clock.on_sleep.append(finish_later)

    ended = bench.run(bench.plan(worker_llm=1))

    assert ended.state is OperationState.DONE
    assert bench.clock.monotonic() > 200
    assert set(stopped_with) <= {0}


def test_an_undo_takes_back_what_was_done(bench: Bench) -> None:
    before = bench.stack.world()
    done = bench.run(bench.plan(worker_llm=2, app=1))

    undone = bench.again(done, "undo")

    assert (undone.state, undone.exit_code, undone.verified) == (OperationState.UNDONE, 0, True)
    assert bench.stack.world() == before
    assert set(bench.phases(undone).values()) == {StepPhase.UNDONE}


def test_a_replica_that_never_gets_well_is_taken_away_again(bench: Bench) -> None:
    before = bench.stack.world()
    bench.stack.unwell = {"worker-llm-3"}

    ended = bench.run(bench.plan(worker_llm=3))

    assert (ended.state, ended.exit_code, ended.verified) == (OperationState.REVERTED, 1, False)
    assert "gate-worker-llm-3" in ended.outcome_message
    assert "does not answer" in ended.outcome_message
    assert "as it was before" in ended.outcome_message
    assert bench.stack.world() == before
    assert ended.finished


def test_a_start_that_is_refused_goes_back(bench: Bench) -> None:
    plan = bench.plan(worker_llm=2)
    bench.stack.refuse_start = ConsoleError("image missing")

    ended = bench.run(plan)

    assert ended.state is OperationState.REVERTED
    assert "image missing" in ended.outcome_message


def test_when_going_back_fails_too_it_is_frozen_for_a_person(bench: Bench) -> None:
    bench.stack.unwell = {"worker-llm-2"}
    plan = bench.plan(worker_llm=2)
    bench.stack.instant = False  # what is removed never goes

    ended = bench.run(plan)

    assert (ended.state, ended.exit_code) == (OperationState.FROZEN, 6)
    assert "going back failed too" in ended.outcome_message
    assert f"operations show {ended.id}" in ended.remedy
    assert bench.journal.unfinished() == ended
    assert bench.journal.changes()[0].outcome == "frozen"

    bench.stack.settle()
    bench.stack.instant = True
    assert bench.again(ended, "undo").state is OperationState.UNDONE


def test_what_cannot_be_seen_is_waited_for_and_never_taken_for_true(bench: Bench) -> None:
    plan = bench.plan(worker_llm=2)
    bench.clock.on_sleep.append(
        lambda: (
            bench.stack.failed_sources.update({"broker": "no answer"})
            if bench.clock.monotonic() < 60
            else bench.stack.failed_sources.clear()
        )
    )
    bench.stack.failed_sources = {"broker": "no answer"}

    ended = bench.run(plan)

    assert ended.state is OperationState.DONE
    assert bench.clock.monotonic() >= 60


def test_nothing_is_done_about_what_cannot_be_seen(bench: Bench) -> None:
    bench.run(bench.plan(worker_llm=2))
    plan = bench.plan(worker_llm=1)
    bench.stack.commands.clear()
    bench.stack.failed_sources = {"broker": "no answer"}
    until_seen: list[tuple[str, ...]] = []

    def see_again() -> None:
        if bench.clock.monotonic() < 100:
            until_seen.extend(bench.stack.commands)
        else:
            bench.stack.failed_sources.clear()

    bench.clock.on_sleep.append(see_again)

    ended = bench.run(plan)

    assert ended.state is OperationState.DONE
    assert bench.clock.monotonic() >= 100
    assert until_seen == []


def test_a_stack_that_stays_unseen_is_not_changed_blindly(bench: Bench) -> None:
    plan = bench.plan(worker_llm=2)
    bench.stack.blind = True

    ended = bench.run(plan)

    assert (ended.state, ended.exit_code) == (OperationState.REFUSED, 5)
    assert "nothing answers" in ended.outcome_message
    assert bench.stack.commands == []


def test_a_world_that_changed_since_the_plan_is_refused(bench: Bench) -> None:
    plan = bench.plan(worker_llm=2)
    bench.stack.start_replica("worker-llm", "worker-llm-7", {})
    bench.stack.commands.clear()

    ended = bench.run(plan)

    assert (ended.state, ended.exit_code) == (OperationState.REFUSED, 3)
    assert "worker-llm-7" in ended.outcome_message
    assert bench.stack.commands == []


def test_a_cancel_stops_at_the_next_boundary_and_goes_back(bench: Bench) -> None:
    before = bench.stack.world()
    bench.stack.unwell = {"worker-llm-2"}
    operation = bench.submit(bench.plan(worker_llm=2))

    def change_ones_mind() -> None:
        if bench.clock.monotonic() > 30:
            bench.clock.on_sleep.clear()
            bench.journal.request_cancel(operation.id)

    bench.clock.on_sleep.append(change_ones_mind)

    code = bench.runner().run(operation.id, "run")

    ended = bench.journal.operation(operation.id)
    assert (ended.state, code) == (OperationState.CANCELLED, 1)
    assert bench.clock.monotonic() < 100
    assert bench.stack.world() == before


def test_a_runner_told_to_end_leaves_it_interrupted_and_resumable(bench: Bench) -> None:
    bench.stack.unwell = {"worker-llm-2"}
    operation = bench.submit(bench.plan(worker_llm=2))
    runner = bench.runner()
    bench.clock.on_sleep.append(lambda: runner.stop() if bench.clock.monotonic() > 30 else None)

    assert runner.run(operation.id, "run") == 4

    ended = bench.journal.operation(operation.id)
    assert ended.state is OperationState.INTERRUPTED
    assert "told to end" in ended.outcome_message
    bench.clock.on_sleep.clear()
    bench.stack.unwell = set()
    assert bench.again(ended, "run").state is OperationState.DONE


def test_a_journal_that_fails_midway_stops_it_at_the_boundary(bench: Bench) -> None:
    operation = bench.submit(bench.plan(worker_llm=3))

    def disk_full(step: str, boundary: str) -> None:
        if (step, boundary) == ("start-worker-llm-2", "before"):
            bench.journal.refuses = Refused("disk is full")

    runner = bench.runner()
    runner._crash_at = disk_full

    assert runner.run(operation.id, "run") == 4

    assert any("disk is full" in line for line in bench.said)
    assert [c for c in bench.stack.commands if c[0] == "start"] == [
        ("start", "worker-llm", "worker-llm-2")
    ]
    bench.journal.refuses = None
    ended = bench.journal.operation(operation.id)
    assert ended.state is OperationState.INTERRUPTED
    assert bench.again(ended, "run").state is OperationState.DONE


def test_a_far_side_that_does_not_answer_for_a_while_is_asked_again(bench: Bench) -> None:
    plan = bench.plan(worker_llm=2)
    real = bench.stack.start_replica
    tries: list[str] = []

    def flaky(service: str, replica: str, labels: dict[str, str]) -> None:
        tries.append(replica)
        if len(tries) < 3:
            raise Unreachable("engine hangs")
        real(service, replica, labels)

    bench.stack.start_replica = flaky  # type: ignore[method-assign]  # a fault put in

    assert bench.run(plan).state is OperationState.DONE
    assert len(tries) == 3


def test_a_step_of_an_unknown_kind_is_not_guessed_at(bench: Bench) -> None:
    ended = bench.run(Plan("odd", "odd", (Step("odd", "levitate"),)))

    assert ended.state is OperationState.REVERTED
    assert "levitate" in ended.outcome_message


def test_a_replica_that_dies_after_its_gate_is_no_success(bench: Bench) -> None:
    operation = bench.submit(bench.plan(worker_llm=3))

    def dies(step: str, boundary: str) -> None:
        if (step, boundary) == ("gate-worker-llm-3", "after"):
            bench.stack.unwell = {"worker-llm-2"}

    runner = bench.runner()
    runner._crash_at = dies
    runner.run(operation.id, "run")

    ended = bench.journal.operation(operation.id)
    assert ended.state is OperationState.REVERTED
    assert "gate-worker-llm-2: not true at the end" in ended.outcome_message


def test_going_back_is_verified_too(bench: Bench) -> None:
    done = bench.run(bench.plan(worker_llm=2))
    bench.journal.reopen(done.id, ANNA, "undo")

    def comes_back(step: str, boundary: str) -> None:
        if (step, boundary) == ("stop-worker-llm-2", "after"):
            bench.stack.start_replica("worker-llm", "worker-llm-2", {})

    runner = bench.runner()
    runner._crash_at = comes_back

    assert runner.run(done.id, "undo") == 6
    ended = bench.journal.operation(done.id)
    assert ended.state is OperationState.FROZEN
    assert "not true at the end" in ended.outcome_message


def test_a_gate_holds_for_its_time_without_a_break(bench: Bench) -> None:
    plan = bench.stack.plan("scale", {"targets": {"worker-llm": 2}, "hold_seconds": 30})
    flaps = iter((10.0, 25.0, 50.0))
    next_flap = [next(flaps)]

    def flap() -> None:
        bench.stack.unwell = set()
        if next_flap and bench.clock.monotonic() > next_flap[0]:
            bench.stack.unwell = {"worker-llm-2"}
            following = next(flaps, None)
            next_flap[:] = [] if following is None else [following]

    bench.clock.on_sleep.append(flap)

    assert bench.run(plan).state is OperationState.DONE
    assert bench.clock.monotonic() > 80


def test_gates_hold_side_by_side_and_each_from_when_it_was_well(bench: Bench) -> None:
    plan = bench.stack.plan("scale", {"targets": {"worker-llm": 4}, "hold_seconds": 30})
    bench.stack.unwell = {"worker-llm-4"}
    passed: dict[str, float] = {}

    def well_later() -> None:
        if bench.clock.monotonic() > begun + 20:
            bench.stack.unwell = set()

    def note(step: str, boundary: str) -> None:
        if boundary == "after":
            passed[step] = bench.clock.monotonic() - begun

    begun = bench.clock.monotonic()
    bench.clock.on_sleep.append(well_later)
    operation = bench.submit(plan)
    runner = bench.runner()
    runner._crash_at = note

    assert runner.run(operation.id, "run") == 0

    early, late = passed["gate-worker-llm-2"], passed["gate-worker-llm-4"]
    assert early == passed["gate-worker-llm-3"]
    assert 30 <= early < 40, "what is well early passes early"
    assert 50 <= late < 60, "the last one counts from when it was well, and nothing is added up"


def test_what_breaks_off_beside_another_holds_anew_and_alone(bench: Bench) -> None:
    plan = bench.stack.plan("scale", {"targets": {"worker-llm": 3}, "hold_seconds": 30})
    flapped_at: list[float] = []

    def flap_once() -> None:
        bench.stack.unwell = set()
        if not flapped_at and bench.clock.monotonic() > begun + 25:
            flapped_at.append(bench.clock.monotonic())
            bench.stack.unwell = {"worker-llm-3"}

    begun = bench.clock.monotonic()
    bench.clock.on_sleep.append(flap_once)

    assert bench.run(plan).state is OperationState.DONE
    assert flapped_at
    assert bench.clock.monotonic() >= flapped_at[0] + 30


def test_of_several_that_leave_all_are_told_before_one_is_waited_for(bench: Bench) -> None:
    bench.run(bench.plan(worker_llm=3))
    bench.stack.active = {"worker-llm-2": 1, "worker-llm-3": 1}
    told_by: dict[int, float] = {}

    def finish_later() -> None:
        for pid in bench.stack.drained:
            told_by.setdefault(pid, bench.clock.monotonic())
        if bench.clock.monotonic() > begun + 100:
            bench.stack.active = {}

    begun = bench.clock.monotonic()
    bench.clock.on_sleep.append(finish_later)

    ended = bench.run(bench.plan(worker_llm=1))

    assert ended.state is OperationState.DONE
    assert len(told_by) == 2
    assert max(told_by.values()) < begun + 100
    assert bench.clock.monotonic() < begun + 150, "they are waited for side by side"


def test_one_that_fails_takes_those_beside_it_back_too(bench: Bench) -> None:
    before = bench.stack.world()
    bench.stack.unwell = {"worker-llm-3"}

    ended = bench.run(bench.plan(worker_llm=4))

    phases = bench.phases(ended)
    assert ended.state is OperationState.REVERTED
    assert "gate-worker-llm-3" in ended.outcome_message
    assert set(phases.values()) == {StepPhase.UNDONE}
    assert bench.stack.world() == before


def test_a_cancel_between_two_begun_side_by_side_takes_back_the_first(bench: Bench) -> None:
    before = bench.stack.world()
    operation = bench.submit(bench.plan(worker_llm=3))

    def change_ones_mind(step: str, boundary: str) -> None:
        if (step, boundary) == ("start-worker-llm-2", "before"):
            bench.journal.request_cancel(operation.id)

    runner = bench.runner()
    runner._crash_at = change_ones_mind

    assert runner.run(operation.id, "run") == 1
    assert [c for c in bench.stack.commands if c[0] == "start"] == [
        ("start", "worker-llm", "worker-llm-2")
    ]
    assert bench.journal.operation(operation.id).state is OperationState.CANCELLED
    assert bench.stack.world() == before


def test_a_restart_replaces_every_process_once(bench: Bench) -> None:
    pids = {r.name: r.pid for s in bench.stack.snapshot().services for r in s.replicas}

    ended = bench.run(bench.stack.plan("restart", {"all": True}))

    assert ended.state is OperationState.DONE
    after = {r.name: r.pid for s in bench.stack.snapshot().services for r in s.replicas}
    assert after.keys() == pids.keys()
    assert all(after[name] != pids[name] for name in pids)
    assert len([c for c in bench.stack.commands if c[0] == "restart"]) == len(pids)


def test_replicas_carry_the_operation_that_made_them(bench: Bench) -> None:
    labels: list[dict[str, str]] = []
    real = bench.stack.start_replica
    bench.stack.start_replica = lambda s, r, given: (labels.append(given), real(s, r, given))[1]  # type: ignore[method-assign,assignment,func-returns-value]  # a spy

    ended = bench.run(bench.plan(worker_llm=2))

    assert labels == [{"console.operation": ended.id}]


SCENARIOS = [
    *("up", "down", "mixed", "restart", "routed-up", "routed-down", "routed-restart"),
    *("resize", "resize-replaced", "settings", "routed-settings"),
]


def scenario(name: str, bench: Bench) -> Plan:
    if name.startswith("routed"):
        bench.stack.routed, bench.stack.members = {"app"}, {"app-1", "app-2"}
    match name:
        case "routed-up":
            return bench.plan(app=4)
        case "routed-down":
            return bench.plan(app=1)
        case "routed-restart":
            return bench.stack.plan("restart", {"services": ["app"]})
        case "resize":
            return bench.stack.plan("resize", {"service": "app", "cpus": "2", "memory": "1G"})
        case "resize-replaced":  # too much is in use for less while they run
            return bench.stack.plan("resize", {"service": "worker-llm", "memory": "110M"})
        case "settings":
            return bench.stack.plan("settings", {"values": {"LLM_MAX_BATCH_SIZE": "16"}})
        case "routed-settings":
            return bench.stack.plan("settings", {"values": {"LOG_LEVEL": "DEBUG"}})
        case "up":
            return bench.plan(worker_llm=3)
        case "down":
            bench.run(bench.plan(worker_llm=3))
            return bench.plan(worker_llm=1)
        case "mixed":
            return bench.plan(worker_llm=2, app=1)
        case "restart":
            return bench.stack.plan("restart", {"services": ["worker-llm", "app"]})
    raise AssertionError(name)


def every_crash(names: list[str], way: str = "steps") -> list[tuple[str, str]]:
    cases = []
    for name in names:
        bench = Bench(Path("unused"))
        bench.lock.held = None  # type: ignore[method-assign,assignment]  # planning only
        match name:
            case "down":
                for number in (2, 3):
                    bench.stack.start_replica("worker-llm", f"worker-llm-{number}", {})
                plan = bench.plan(worker_llm=1)
            case _:
                plan = scenario(name, bench)
        steps = plan.steps if way == "steps" else plan.undo
        cases += [(name, at) for at in boundaries(steps)]
    return cases


@pytest.mark.parametrize(("name", "at"), every_crash(SCENARIOS))
def test_a_crash_at_any_boundary_can_be_resumed_to_the_end_or_undone(
    tmp_path: Path, name: str, at: str
) -> None:
    clean = Bench(tmp_path / "clean")
    clean.run(scenario(name, clean))
    wanted = clean.stack.world()

    for mode, state in (("run", OperationState.DONE), ("undo", OperationState.UNDONE)):
        bench = Bench(tmp_path / mode)
        plan = scenario(name, bench)
        before = bench.stack.world()
        crashed = bench.crash(plan, at)
        assert crashed.state is OperationState.INTERRUPTED
        with pytest.raises(Refused):
            bench.submit(plan)

        ended = bench.again(crashed, mode)

        assert (ended.state, ended.exit_code, ended.verified) == (state, 0, True)
        assert bench.stack.world() == (wanted if mode == "run" else before)
        assert not bench.lock.is_held()
        assert bench.journal.verify_audit().valid


@pytest.mark.parametrize(("name", "at"), every_crash(SCENARIOS, "undo"))
def test_a_crash_while_going_back_can_be_resumed_either_way(
    tmp_path: Path, name: str, at: str
) -> None:
    for mode, state in (("run", OperationState.DONE), ("undo", OperationState.UNDONE)):
        bench = Bench(tmp_path / mode)
        plan = scenario(name, bench)
        before = bench.stack.world()
        done = bench.run(plan)
        wanted = bench.stack.world()
        bench.journal.reopen(done.id, ANNA, "undo")
        with pytest.raises(Killed):
            bench.runner(at).run(done.id, "undo")
        crashed = bench.journal.operation(done.id)
        assert crashed.state is OperationState.INTERRUPTED

        ended = bench.again(crashed, mode)

        assert (ended.state, ended.exit_code, ended.verified) == (state, 0, True)
        assert bench.stack.world() == (wanted if mode == "run" else before)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_any_history_of_crashes_resumes_and_undos_ends_at_the_goal_or_the_start(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    bench = Bench(tmp_path_factory.mktemp("h"))
    bench.run(bench.plan(worker_llm=data.draw(st.integers(1, 4)), app=data.draw(st.integers(1, 3))))
    before = bench.stack.world()
    plan = bench.plan(worker_llm=data.draw(st.integers(0, 4)), app=data.draw(st.integers(1, 3)))
    at = st.sampled_from(["", *boundaries(plan.steps), *boundaries(plan.undo)])
    operation = bench.submit(plan)
    mode = "run"
    for _ in range(data.draw(st.integers(0, 4))):
        with suppress(Killed):
            bench.runner(data.draw(at)).run(operation.id, mode)
        operation = bench.journal.operation(operation.id)
        if operation.finished:
            if operation.state is OperationState.UNDONE:
                break
            mode = "undo"
        else:
            mode = data.draw(st.sampled_from(["run", "undo"]))
        bench.journal.reopen(operation.id, ANNA, mode)
    if not bench.journal.operation(operation.id).finished:
        bench.runner().run(operation.id, mode)
    ended = bench.journal.operation(operation.id)

    if ended.state is OperationState.DONE:
        counts = {name: len(replicas) for name, replicas in bench.stack.world().items()}
        assert counts | plan.wish["targets"] == counts
        assert all(
            accepting is not False for r in bench.stack.world().values() for _, accepting in r
        )
    else:
        assert ended.state is OperationState.UNDONE
        assert bench.stack.world() == before


def test_a_crash_point_is_understood_or_refused() -> None:
    assert crash.crash_point({}) is crash.never
    assert callable(crash.crash_point({"FRAGRANCE_CRASH_AT": "start-a:b-2:after"}))
    for wrong in ("start-a", "start-a:during", ":before"):
        with pytest.raises(UsageError, match=re.escape(wrong)):
            crash.crash_point({"FRAGRANCE_CRASH_AT": wrong})
