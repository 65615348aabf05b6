"""A question outlives its runner, its asker's terminal and every crash around it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from console.domain.operations import Operation, OperationState, StepPhase
from console.engine import Engine
from console.operations.lock import OperationLock
from tests.faults.harness import FaultHarness
from tests.faults.test_operations import fragrance
from tests.faults.toy_stack import running_toy
from tests.stack import wait_for

STEP = "watch-worker-llm-at-2"
WISH = {
    "targets": {"worker-llm": 1},
    "gradual": True,
    "watch_seconds": 0.5,
    "answer_seconds": 600,
    "hold_seconds": 0,
}


@pytest.fixture(scope="module")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultHarness]:
    """Give a light stack with three workers and a queue that is too long."""
    state = tmp_path_factory.mktemp("toy") / "state"
    with running_toy(state) as engine:
        harness = FaultHarness(engine)
        up = engine.plan("scale", {"targets": {"worker-llm": 3}, "hold_seconds": 0})
        assert harness.run(up).state is OperationState.DONE
        (state / "toy" / "depth").write_text("60")
        yield harness


def asked(engine: Engine) -> Operation:
    """Wait until the operation at work asks."""
    operation = wait_for(
        lambda: next((o for o in engine.operations(1) if o.question is not None), None),
        60,
        "nothing was asked",
    )
    assert operation is not None
    return operation


def answer(engine: Engine, operation: Operation, word: str) -> subprocess.Popen[str]:
    reason = ("--yes", "--reason", "quiet night", "--json")
    return fragrance(engine, "operations", "answer", operation.id, word, *reason)


def test_it_is_asked_answered_crashed_and_taken_back(harness: FaultHarness) -> None:
    engine = harness.engine
    before = harness.world()
    follower = submit(engine)
    operation = asked(engine)
    listed = fragrance(engine, "operations", "list", "--json").communicate(timeout=60)[0]
    [told] = [o for o in json.loads(listed) if o["id"] == operation.id]
    assert told["question"]["step"] == STEP
    assert told["question"]["without_answer"] == "no"
    assert told["steps"][2]["phase"] == "intent"

    # Its runner dies while it asks: the next one asks at once.
    owner = OperationLock(engine.settings.state, engine.clock).owner()
    assert owner is not None
    os.kill(owner.pid, signal.SIGKILL)
    crashed = harness.ended(operation.id)
    assert (crashed.state, crashed.question) == (OperationState.INTERRUPTED, None)
    followed, _ = follower.communicate(timeout=60)
    assert follower.returncode == 4
    assert "question" in {json.loads(line)["event"] for line in followed.splitlines()}
    engine.resume(operation.id, "fault test")
    asked(engine)

    # Another operator says yes, from another process.
    lines, _ = answer(engine, operation, "yes").communicate(timeout=60)
    events = [json.loads(line) for line in lines.splitlines()]
    assert [e["word"] for e in events if e["event"] == "answer"] == ["yes"]
    assert events[-1]["outcome"] == "done"
    done = harness.ended(operation.id)
    assert (done.state, done.verified) == (OperationState.DONE, True)
    assert [name for name, _ in harness.world()["worker-llm"]] == ["worker-llm-1"]
    entry = next(e for e in engine.audit() if e["kind"] == "answer")
    assert (entry["outcome"], entry["reason"]) == ("yes", "quiet night")
    assert harness.undo(done).state is OperationState.UNDONE
    assert harness.world() == before
    assert engine.verify_audit().valid


def submit(engine: Engine) -> subprocess.Popen[str]:
    """Submit the scale and follow it in another process."""
    operation = engine.submit(engine.plan("scale", WISH), "fault test")
    return fragrance(engine, "operations", "follow", operation.id, "--json")


@contextmanager
def saying_yes(engine: Engine) -> Iterator[None]:
    """Let somebody say yes once, whenever it is asked."""
    stop = threading.Event()

    def say_yes() -> None:
        while not stop.wait(0.1):
            operation = engine.operations(1)[0]
            if operation.question is not None:
                engine.answer(operation.id, "yes", "fault test", operation.question.step)
                return

    operator = threading.Thread(target=say_yes)
    operator.start()
    try:
        yield
    finally:
        stop.set()
        operator.join()


@pytest.mark.parametrize("boundary", ["before", "after"])
def test_a_crash_at_the_boundaries_of_the_step_that_asks_is_survived(
    harness: FaultHarness, boundary: str
) -> None:
    engine = harness.engine
    before = harness.world()
    with saying_yes(engine):
        crashed = harness.run(engine.plan("scale", WISH), f"{STEP}:{boundary}")
        assert crashed.state is OperationState.INTERRUPTED, crashed.outcome_message
        resumed = harness.resume(crashed)
    assert (resumed.state, resumed.verified) == (OperationState.DONE, True), harness.runner_log()
    answers = [e for e in engine.events(crashed.id) if e.phase is StepPhase.ANSWERED]
    assert len(answers) == 1, "an answer given before the crash stands"
    assert harness.undo(resumed).state is OperationState.UNDONE
    assert harness.world() == before
    assert engine.verify_audit().valid
