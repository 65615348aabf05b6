"""An operation that asks: who answers, what comes of it, and what nobody's silence means."""

from __future__ import annotations

from pathlib import Path

import pytest

from console.domain.operations import Actor, OpenQuestion, Operation, OperationState, StepPhase
from console.domain.plans import Plan
from console.domain.questions import asked_so_far
from console.errors import Refused, UsageError
from console.sources.journal_state import summarise
from tests.unit.test_runner import Bench

BOB = Actor("bob", 1001, "ssh 192.0.2.7")
STEP = "drain-requests"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    bench = Bench(tmp_path)
    bench.stack.page = True
    bench.stack.in_flight = 2
    return bench


def plan(bench: Bench, **wish: object) -> Plan:
    return bench.stack.plan("maintenance", {"on": True, **wish})


def answering(bench: Bench, *words: str) -> list[OpenQuestion]:
    """Let bob answer each question with the next of *words*; return what was asked."""
    asked: list[OpenQuestion] = []
    left = list(words)

    def look() -> None:
        operation = bench.journal.operations(1)[0]
        question = operation.question
        if question is None or (asked and asked[-1] == question):
            return
        asked.append(question)
        assert summarise(operation).question == question, "every console is to see it"
        if left:
            bench.journal.answer(operation.id, left.pop(0), BOB, "decided", question.step)

    bench.clock.on_sleep.append(look)
    return asked


def story(bench: Bench, operation: Operation) -> list[StepPhase]:
    return [e.phase for e in bench.journal.events(operation.id) if e.name == STEP]


def test_yes_goes_on_and_says_by_whom(bench: Bench) -> None:
    asked = answering(bench, "yes")

    ended = bench.run(plan(bench))

    assert (ended.state, ended.verified, ended.question) == (OperationState.DONE, True, None)
    assert bench.stack.snapshot().maintenance is True
    assert ended.steps[-1].detail == (
        "2 requests under way; answered yes by bob (ssh 192.0.2.7): decided"
    )
    [question] = asked
    assert list(question.choices) == ["yes", "no", "wait"]
    assert question.seen == "2 requests under way"
    assert (question.until - question.asked_at).total_seconds() == 120
    answer = next(c for c in bench.journal.changes() if c.what.startswith("answer to"))
    assert (answer.actor, answer.outcome, answer.reason) == (str(BOB), "yes", "decided")
    assert (answer.operation_id, answer.details["step"]) == (ended.id, STEP)
    assert bench.journal.verify_audit().valid


def test_no_goes_back(bench: Bench) -> None:
    answering(bench, "no")

    ended = bench.run(plan(bench))

    assert (ended.state, ended.exit_code) == (OperationState.REVERTED, 1)
    assert "answered no by bob" in ended.outcome_message
    assert bench.stack.snapshot().maintenance is False


def test_without_an_answer_it_goes_back_and_that_is_recorded(bench: Bench) -> None:
    asked = answering(bench)

    ended = bench.run(plan(bench))

    assert len(asked) == 1
    assert ended.state is OperationState.REVERTED
    assert "nobody answered within 120 s" in ended.outcome_message
    assert 180 <= bench.clock.monotonic() < 200
    assert bench.stack.snapshot().maintenance is False
    answer = next(c for c in bench.journal.changes() if c.what.startswith("answer to"))
    assert (answer.actor, answer.outcome) == ("nobody", "no")


def test_wait_waits_as_long_again_and_asks_once_more(bench: Bench) -> None:
    asked = answering(bench, "wait", "yes")

    ended = bench.run(plan(bench))

    assert len(asked) == 2
    assert (asked[1].asked_at - asked[0].asked_at).total_seconds() >= 60
    assert ended.state is OperationState.DONE


def test_what_comes_true_while_it_is_asked_needs_no_answer(bench: Bench) -> None:
    asked = answering(bench)

    def end_later() -> None:
        if bench.clock.monotonic() > 100:
            bench.stack.in_flight = 0

    bench.clock.on_sleep.append(end_later)
    ended = bench.run(plan(bench))

    assert len(asked) == 1
    assert ended.state is OperationState.DONE
    assert ended.steps[-1].detail == "no request is under way"
    assert not [c for c in bench.journal.changes() if c.what.startswith("answer to")]
    with pytest.raises(Refused, match="asks nothing now"):
        bench.journal.answer(ended.id, "no", BOB)


def test_an_answer_in_the_moment_it_comes_true_is_obeyed(bench: Bench) -> None:
    asked = answering(bench, "no")
    bench.clock.on_sleep.append(lambda: setattr(bench.stack, "in_flight", 0 if asked else 2))

    assert bench.run(plan(bench)).state is OperationState.REVERTED


def test_a_cancel_ends_the_question(bench: Bench) -> None:
    asked = answering(bench)
    bench.clock.on_sleep.append(lambda: bench.journal.request_cancel("op-1") if asked else None)

    ended = bench.run(plan(bench))

    assert (ended.state, ended.question) == (OperationState.CANCELLED, None)


class Killed(BaseException):
    """Stands for SIGKILL."""


def crash_while_asking(bench: Bench) -> Operation:
    def die() -> None:
        if bench.journal.operation("op-1").question is not None:
            bench.clock.on_sleep.remove(die)
            raise Killed

    bench.clock.on_sleep.append(die)
    operation = bench.submit(plan(bench))
    with pytest.raises(Killed):
        bench.runner().run(operation.id, "run")
    return bench.journal.operation(operation.id)


def test_a_question_survives_its_runner_and_is_asked_again_at_once(bench: Bench) -> None:
    crashed = crash_while_asking(bench)
    assert (crashed.state, crashed.question) == (OperationState.INTERRUPTED, None)
    with pytest.raises(Refused, match="interrupted") as refusal:
        bench.journal.answer(crashed.id, "yes", BOB)
    assert "resume" in refusal.value.remedy
    at = bench.clock.monotonic()
    asked = answering(bench, "yes")

    ended = bench.again(crashed, "run")

    assert ended.state is OperationState.DONE
    assert bench.clock.monotonic() - at < 10, "the limit was waited for already"
    assert len(asked) >= 1
    assert bench.journal.verify_audit().valid


def test_undoing_while_it_was_asked_asks_nothing(bench: Bench) -> None:
    crashed = crash_while_asking(bench)
    asked = answering(bench)

    ended = bench.again(crashed, "undo")

    assert (ended.state, asked) == (OperationState.UNDONE, [])
    assert bench.stack.snapshot().maintenance is False


def test_a_yes_stands_for_the_next_runner_and_not_after_going_back(bench: Bench) -> None:
    asked = answering(bench, "yes")
    crashed = bench.crash(plan(bench), f"{STEP}:after")
    assert len(asked) == 1

    resumed = bench.again(crashed, "run")

    assert (resumed.state, resumed.verified) == (OperationState.DONE, True)
    assert story(bench, resumed)[-1] is StepPhase.SKIPPED
    assert len(asked) == 1, "it was decided"
    undone = bench.again(resumed, "undo")
    assert not asked_so_far(undone.plan, bench.journal.events(undone.id)).answered


def test_an_answer_must_fit_what_is_asked(bench: Bench) -> None:
    refused: list[Exception] = []

    def try_them() -> None:
        if bench.journal.operation("op-1").question is None or refused:
            return
        for word, step in (("maybe", None), ("yes", "watch-app-at-2")):
            with pytest.raises((Refused, UsageError)) as refusal:
                bench.journal.answer("op-1", word, BOB, "", step)
            refused.append(refusal.value)
        bench.stack.in_flight = 0

    bench.clock.on_sleep.append(try_them)
    ended = bench.run(plan(bench))

    assert ended.state is OperationState.DONE
    assert [type(error) for error in refused] == [UsageError, Refused]


def test_a_gradual_scale_down_asks_when_its_figures_are_not_calm(bench: Bench) -> None:
    bench.stack.page = False
    bench.run(bench.stack.plan("scale", {"targets": {"worker-llm": 4}}))
    wish = {"targets": {"worker-llm": 2}, "gradual": True, "watch_seconds": 60}
    asked = answering(bench, "yes")

    def fall_ill() -> None:
        if ("remove", "worker-llm-4", "40") in bench.stack.commands:
            bench.stack.unwell = {"worker-llm-1"}

    bench.clock.on_sleep.append(fall_ill)
    ended = bench.run(bench.stack.plan("scale", wish))

    assert [q.step for q in asked] == ["watch-worker-llm-at-3"]
    assert "2 of 3 ready" in asked[0].seen
    assert ended.state is OperationState.DONE
    assert len(bench.stack.world()["worker-llm"]) == 2
