"""What every journal must do, asked of the one in memory and the one on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from console.domain.lifecycle import SUBMIT_GRACE_SECONDS
from console.domain.operations import Actor, Change, Operation, OperationState, StepPhase
from console.domain.plans import Plan, Question, Step
from console.errors import Busy, Refused, UsageError
from console.journal.store import JournalStore
from console.operations.lock import OperationLock
from console.ports import Journal
from tests.fakes.clock import FakeClock
from tests.fakes.journal import FakeJournal

ANNA = Actor("anna", 1000, "ssh 192.0.2.7")
BOB = Actor("bob", 1001)


@dataclass
class Bench:
    """A journal, its time, and a way to be its runner."""

    journal: Journal
    clock: FakeClock
    runner: Callable[[], AbstractContextManager[None]]

    def submitted(self, plan: Plan | None = None) -> Operation:
        return self.journal.submit(plan or a_plan(), ANNA, "backlog")

    def finished(
        self, state: OperationState = OperationState.DONE, plan: Plan | None = None
    ) -> Operation:
        operation = self.submitted(plan)
        with self.runner():
            self.journal.claim(operation.id, "run")
            self.clock.advance(1)
            self.journal.set_state(operation.id, state, ended_at=self.clock.now(), exit_code=0)
        self.clock.advance(1)
        return self.journal.operation(operation.id)

    def interrupted(self) -> Operation:
        operation = self.submitted()
        with self.runner():
            self.journal.claim(operation.id, "run")
            self.journal.step(operation.id, 1, "start-w-2", StepPhase.INTENT, "")
        return self.journal.operation(operation.id)


def a_plan(service: str = "w", verb: str = "scale") -> Plan:
    return Plan(
        verb,
        f"{service} 1 → 2",
        (
            Step(f"start-{service}-2", "start_replica", {"replica": f"{service}-2"}),
            Step(f"gate-{service}-2", "gate_replica", {"replica": f"{service}-2"}),
        ),
        undo=(Step(f"stop-{service}-2", "stop_replica", undoes=f"start-{service}-2"),),
        warnings=("careful",),
        expects={service: [f"{service}-1"]},
        wish={"targets": {service: 2}},
    )


def in_memory(state: Path) -> Bench:
    clock = FakeClock()
    journal = FakeJournal(clock)

    @contextmanager
    def runner() -> Iterator[None]:
        journal.runner_alive = True
        yield
        journal.runner_alive = False

    return Bench(journal, clock, runner)


def on_disk(state: Path) -> Bench:
    clock = FakeClock()

    @contextmanager
    def runner() -> Iterator[None]:
        with OperationLock(state, clock).held("op", ANNA):
            yield

    return Bench(JournalStore(state, clock), clock, runner)


@pytest.fixture(params=[in_memory, on_disk])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Bench:
    make: Callable[[Path], Bench] = request.param
    return make(tmp_path / "state")


def test_an_empty_journal_knows_nothing(bench: Bench) -> None:
    assert bench.journal.operations() == []
    assert bench.journal.unfinished() is None
    assert bench.journal.changes() == []
    assert bench.journal.elevated_until() is None
    assert bench.journal.verify_audit().valid


def test_a_submitted_operation_is_kept_whole(bench: Bench) -> None:
    operation = bench.submitted()

    kept = bench.journal.operation(operation.id)
    assert kept == operation
    assert kept.plan == a_plan()
    assert kept.actor == ANNA
    assert kept.reason == "backlog"
    assert kept.state is OperationState.SUBMITTED
    assert [(s.name, s.phase) for s in kept.steps] == [
        ("start-w-2", StepPhase.PENDING),
        ("gate-w-2", StepPhase.PENDING),
    ]


def test_an_unknown_operation_is_a_usage_error(bench: Bench) -> None:
    for name in ("op-99", "99", "nonsense", "op-", "\x1b[31m"):
        with pytest.raises(UsageError):
            bench.journal.operation(name)


def test_a_second_operation_is_refused_and_told_why(bench: Bench) -> None:
    first = bench.submitted()

    with pytest.raises(Busy) as refusal:
        bench.journal.submit(a_plan("x"), BOB, "")

    assert "anna (ssh 192.0.2.7)" in refusal.value.message
    assert "w 1 → 2" in refusal.value.message
    assert refusal.value.remedy == f"fragrance operations follow {first.id}"
    assert bench.journal.unfinished() == first


def test_after_a_finished_operation_a_new_one_may_come(bench: Bench) -> None:
    bench.finished()

    second = bench.submitted()

    assert bench.journal.operations()[0].id == second.id
    assert len(bench.journal.operations(1)) == 1


def test_a_running_operation_whose_runner_is_gone_is_interrupted(bench: Bench) -> None:
    operation = bench.submitted()
    with bench.runner():
        bench.journal.claim(operation.id, "run")
        assert bench.journal.operation(operation.id).state is OperationState.RUNNING

    seen = bench.journal.operation(operation.id)

    assert seen.state is OperationState.INTERRUPTED
    assert seen.exit_code == 4
    assert f"resume {operation.id}" in seen.remedy
    with pytest.raises(Busy, match="interrupted") as refusal:
        bench.journal.submit(a_plan("x"), BOB, "")
    for word in ("resume", "undo", "accept"):
        assert f"{word} {operation.id}" in refusal.value.remedy
    assert bench.journal.operation(operation.id).state is OperationState.INTERRUPTED


def test_a_submitted_one_gets_some_seconds_to_find_its_runner(bench: Bench) -> None:
    operation = bench.submitted()
    bench.clock.advance(SUBMIT_GRACE_SECONDS - 0.1)
    assert bench.journal.operation(operation.id).state is OperationState.SUBMITTED

    bench.clock.advance(0.2)

    assert bench.journal.operation(operation.id).state is OperationState.INTERRUPTED
    with bench.runner():  # a runner that was only slow may still have it
        assert bench.journal.claim(operation.id, "run").state is OperationState.RUNNING


def test_steps_are_told_in_order_and_shown_by_their_latest_phase(bench: Bench) -> None:
    operation = bench.submitted()
    other = StepPhase.INTENT
    with bench.runner():
        bench.journal.claim(operation.id, "run")
        bench.journal.step(operation.id, 1, "start-w-2", other, "a")
        bench.clock.advance(1)
        bench.journal.step(operation.id, 1, "start-w-2", StepPhase.DONE, "b")
        events = bench.journal.events(operation.id)
        later = bench.journal.events(operation.id, events[0].event_id)
        kept = bench.journal.operation(operation.id)

    assert [(e.name, e.phase, e.detail) for e in events] == [
        ("start-w-2", StepPhase.INTENT, "a"),
        ("start-w-2", StepPhase.DONE, "b"),
    ]
    assert later == events[1:]
    assert kept.steps[0].phase is StepPhase.DONE
    assert kept.steps[0].at == bench.clock.now()
    assert kept.steps[1].phase is StepPhase.PENDING


def test_the_outcome_is_kept_and_audited(bench: Bench) -> None:
    operation = bench.submitted()
    with bench.runner():
        bench.journal.claim(operation.id, "run")
        bench.clock.advance(7)
        bench.journal.set_state(
            operation.id,
            OperationState.REVERTED,
            ended_at=bench.clock.now(),
            exit_code=1,
            outcome_message="gate failed",
            remedy="look",
            verified=False,
        )

    kept = bench.journal.operation(operation.id)
    assert (kept.state, kept.exit_code, kept.outcome_message, kept.remedy) == (
        OperationState.REVERTED,
        1,
        "gate failed",
        "look",
    )
    assert kept.ended_at == bench.clock.now()
    assert kept.finished
    [change] = bench.journal.changes()
    assert change.what == "scale w 1 → 2"
    assert change.outcome == "reverted"
    assert change.actor == "anna (ssh 192.0.2.7)"
    assert change.reason == "backlog"
    assert change.operation_id == operation.id
    assert bench.journal.verify_audit().valid


def test_only_a_runner_in_the_wanted_mode_may_claim(bench: Bench) -> None:
    operation = bench.finished()
    with bench.runner(), pytest.raises(Refused):
        bench.journal.claim(operation.id, "run")

    bench.journal.reopen(operation.id, BOB, "undo")
    with bench.runner():
        with pytest.raises(Refused):
            bench.journal.claim(operation.id, "run")
        assert bench.journal.claim(operation.id, "undo").state is OperationState.RUNNING


def test_an_interrupted_operation_can_be_run_again_or_undone(bench: Bench) -> None:
    operation = bench.interrupted()

    for mode in ("run", "undo"):
        again = bench.journal.reopen(operation.id, BOB, mode)
        assert again.state is OperationState.SUBMITTED
        with pytest.raises(Busy):
            bench.journal.reopen(operation.id, BOB, mode)
        with bench.runner():
            bench.journal.claim(operation.id, mode)


def test_whoever_undoes_it_stands_in_the_audit(bench: Bench) -> None:
    operation = bench.finished()
    bench.journal.reopen(operation.id, BOB, "undo", "was wrong")
    with bench.runner():
        bench.journal.claim(operation.id, "undo")
        bench.journal.set_state(operation.id, OperationState.UNDONE, exit_code=0)

    change = bench.journal.changes()[0]
    assert (change.actor, change.outcome, change.reason) == ("bob", "undone", "was wrong")
    assert bench.journal.operation(operation.id).actor == ANNA


def test_what_is_done_cannot_be_resumed_and_what_went_back_not_undone(bench: Bench) -> None:
    done = bench.finished()
    with pytest.raises(Refused, match="done"):
        bench.journal.reopen(done.id, BOB, "run")
    for state in (OperationState.REVERTED, OperationState.CANCELLED, OperationState.REFUSED):
        operation = bench.finished(state)
        for mode in ("run", "undo"):
            with pytest.raises(Refused, match=state.value):
                bench.journal.reopen(operation.id, BOB, mode)


def test_an_old_operation_is_not_undone_over_a_newer_one_on_the_same_service(
    bench: Bench,
) -> None:
    first = bench.finished()
    second = bench.finished()
    elsewhere = bench.finished(plan=a_plan("other"))

    with pytest.raises(Refused, match=second.id):
        bench.journal.reopen(first.id, BOB, "undo")
    assert bench.journal.reopen(elsewhere.id, BOB, "undo").state is OperationState.SUBMITTED


def test_nothing_is_undone_while_another_one_is_unfinished(bench: Bench) -> None:
    done = bench.finished(plan=a_plan("other"))
    bench.interrupted()

    with pytest.raises(Busy):
        bench.journal.reopen(done.id, BOB, "undo")


def test_an_interrupted_operation_can_be_accepted_as_it_stands(bench: Bench) -> None:
    operation = bench.interrupted()

    bench.journal.accept(operation.id, BOB, "it is right")

    assert bench.journal.operation(operation.id).state is OperationState.ACCEPTED
    assert bench.journal.unfinished() is None
    change = bench.journal.changes()[0]
    assert (change.actor, change.outcome, change.reason) == ("bob", "accepted", "it is right")


def test_only_what_waits_for_a_person_can_be_accepted(bench: Bench) -> None:
    done = bench.finished()
    with pytest.raises(Refused):
        bench.journal.accept(done.id, BOB, "")
    running = bench.submitted()
    with bench.runner():
        bench.journal.claim(running.id, "run")
        with pytest.raises(Busy):
            bench.journal.accept(running.id, BOB, "")


def test_a_cancel_is_remembered_until_it_is_run_again(bench: Bench) -> None:
    operation = bench.submitted()
    with bench.runner():
        bench.journal.claim(operation.id, "run")
        bench.journal.request_cancel(operation.id)
        assert bench.journal.operation(operation.id).cancel_requested
    with pytest.raises(Refused):
        bench.journal.request_cancel(operation.id)

    again = bench.journal.reopen(operation.id, BOB, "run")

    assert not again.cancel_requested


def asking() -> Plan:
    question = Question("go on?", {"yes": "on", "no": "back"}, 60)
    return Plan("scale", "w 2 → 1", (Step("watch-w", "watch_service", question=question),))


def test_a_question_is_seen_by_all_and_answered_once(bench: Bench) -> None:
    operation = bench.submitted(asking())
    with bench.runner():
        bench.journal.claim(operation.id, "run")
        bench.journal.step(operation.id, 1, "watch-w", StepPhase.INTENT, "")
        assert bench.journal.operation(operation.id).question is None
        with pytest.raises(Refused, match="asks nothing"):
            bench.journal.answer(operation.id, "yes", BOB)
        bench.journal.step(operation.id, 1, "watch-w", StepPhase.ASKED, "60 tasks wait")

        [listed] = bench.journal.operations()
        question = listed.question
        assert question is not None
        assert (question.text, question.seen) == ("go on?", "60 tasks wait")
        assert (question.step, question.choices) == ("watch-w", {"yes": "on", "no": "back"})
        assert question.asked_at == bench.clock.now()
        assert question.until == bench.clock.now() + timedelta(seconds=60)
        assert question.without_answer == "no"
        assert listed.steps[0].phase is StepPhase.INTENT
        with pytest.raises(UsageError, match="no answer"):
            bench.journal.answer(operation.id, "wait", BOB)
        bench.journal.answer(operation.id, "yes", BOB, "quiet night")
        with pytest.raises(Refused, match="asks nothing"):
            bench.journal.answer(operation.id, "no", ANNA)

        assert bench.journal.operation(operation.id).question is None
        told = bench.journal.events(operation.id)[-1]
        assert (told.phase, told.detail) == (StepPhase.ANSWERED, "yes by bob: quiet night")
        [change] = bench.journal.changes()
        assert (change.actor, change.outcome, change.reason) == ("bob", "yes", "quiet night")
        assert bench.journal.verify_audit().valid


def test_what_nobody_runs_asks_nothing(bench: Bench) -> None:
    operation = bench.submitted(asking())
    with bench.runner():
        bench.journal.claim(operation.id, "run")
        bench.journal.step(operation.id, 1, "watch-w", StepPhase.ASKED, "")
    assert bench.journal.operation(operation.id).question is None
    with pytest.raises(Refused, match="interrupted"):
        bench.journal.answer(operation.id, "yes", BOB)


def test_changes_are_told_newest_first(bench: Bench) -> None:
    for number in range(3):
        bench.journal.record(
            Change(bench.clock.now(), "anna", f"start {number}", "done", "why", None, {"a": "b"})
        )
        bench.clock.advance(1)

    changes = bench.journal.changes(2)

    assert [c.what for c in changes] == ["start 2", "start 1"]
    assert changes[0].details == {"a": "b"}
    assert bench.journal.audit(1)[0]["what"] == "start 2"


def test_a_note_is_kept_with_the_change_that_made_it(bench: Bench) -> None:
    assert bench.journal.note("autoscale") is None

    bench.journal.record(Change(bench.clock.now(), "anna", "autoscale", "on"), ("autoscale", "a"))
    bench.journal.record(Change(bench.clock.now(), "anna", "autoscale", "on"), ("autoscale", "b"))

    assert bench.journal.note("autoscale") == "b"
    assert bench.journal.note("other") is None
    assert [c.what for c in bench.journal.changes()] == ["autoscale", "autoscale"]


def test_the_changes_of_one_operation_are_told_apart(bench: Bench) -> None:
    operation = bench.finished()
    bench.journal.record(
        Change(bench.clock.now(), "agent", "scale", "settled", operation_id=operation.id)
    )
    bench.journal.record(Change(bench.clock.now(), "anna", "stop", "done"))

    told = bench.journal.changes(20, operation_id=operation.id)

    assert [c.outcome for c in told] == ["settled", "done"]
    assert bench.journal.changes(1, operation_id=operation.id) == told[:1]
    assert bench.journal.changes(20, operation_id="op-77") == []


def test_write_access_ends_by_itself_or_when_told(bench: Bench) -> None:
    until = bench.clock.now() + timedelta(minutes=15)
    bench.journal.elevate(ANNA, until, "incident")
    assert bench.journal.elevated_until() == until

    bench.clock.advance(15 * 60)
    assert bench.journal.elevated_until() is None

    bench.journal.elevate(ANNA, bench.clock.now() + timedelta(minutes=5), "again")
    bench.journal.elevate(ANNA, bench.clock.now(), "done")
    assert bench.journal.elevated_until() is None
    outcomes = [c.outcome for c in bench.journal.changes()]
    assert outcomes == ["ended", "granted", "expired", "granted"]


def test_write_access_that_ran_out_is_recorded_once_with_what_used_it(bench: Bench) -> None:
    bench.journal.settle_elevation()  # none: nothing to record
    bench.journal.elevate(ANNA, bench.clock.now() + timedelta(minutes=15), "incident")
    bench.journal.settle_elevation()  # in force: the same
    operation = bench.submitted()
    bench.clock.advance(15 * 60)
    bench.journal.settle_elevation()
    bench.journal.settle_elevation()

    expired, granted = bench.journal.changes()
    assert (expired.outcome, granted.outcome) == ("expired", "granted")
    assert expired.actor == str(ANNA)
    assert expired.details == {"granted_to": str(ANNA), "used_by": operation.id}
    assert bench.journal.verify_audit().valid

    bench.journal.elevate(ANNA, bench.clock.now() + timedelta(minutes=5), "again")
    bench.journal.elevate(ANNA, bench.clock.now() + timedelta(minutes=9), "a little longer")
    bench.journal.elevate(ANNA, bench.clock.now(), "done")
    assert bench.journal.changes(1)[0].details["used_by"] == "nothing"


def test_what_comes_from_outside_cannot_reach_the_terminal(bench: Bench) -> None:
    operation = bench.journal.submit(
        a_plan(), Actor("an\x1bna", 1, "lo\ncal"), "\x1b[2Jwhy\nforged line\u202e"
    )
    with bench.runner():
        bench.journal.claim(operation.id, "run")
        bench.journal.step(operation.id, 1, "start-w-2", StepPhase.FAILED, "\x1b]0;x\x07 out\r\n")

    assert bench.journal.operation(operation.id).reason == "[2Jwhy forged line"
    assert bench.journal.events(operation.id)[0].detail == "]0;x out"
