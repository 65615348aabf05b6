"""Operations when runners die: real processes on a light stack, and on the product's."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from console.bootstrap import build_engine
from console.domain.operations import OperationState, StepPhase
from console.engine import Engine
from console.errors import Busy, Interrupted, Refused
from console.operations.lock import OperationLock
from console.runtimes.embedded import EmbeddedRuntime
from console.settings import Settings, load_settings
from tests.faults.cases import CASES
from tests.faults.forked_runner import forking
from tests.faults.harness import FaultHarness, crashing, leave_an_old_log
from tests.faults.toy_stack import build_toy, running_toy
from tests.stack import PROJECT, Stack, wait_for

UP = {"targets": {"worker-llm": 2}, "hold_seconds": 0}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """Give the engine of a light stack that runs, once for the module."""
    with running_toy(tmp_path_factory.mktemp("toy") / "state") as engine:
        yield engine


@pytest.fixture
def harness(engine: Engine) -> Iterator[FaultHarness]:
    """Give the harness on the stack as it is at first, and leave it so."""
    harness = FaultHarness(engine)
    yield harness
    unfinished = engine.journal.unfinished()
    if unfinished is not None:
        harness.undo(harness.ended(unfinished.id))


def fragrance(engine: Engine, *words: str, **more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.faults.toy_stack", *words],
        cwd=PROJECT,
        env=os.environ | {"FRAGRANCE_STATE": str(engine.settings.state)} | more,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_one_crash_of_each_kind_is_survived(harness: FaultHarness) -> None:
    before = harness.world()
    plan = harness.engine.plan("scale", UP)

    resumed = harness.resume(harness.run(plan, "start-worker-llm-2:after"))
    assert resumed.state is OperationState.DONE
    assert {s.phase for s in resumed.steps} <= {StepPhase.DONE, StepPhase.SKIPPED}
    crashed = harness.undo(resumed, "drain-worker-llm-2:after")
    assert crashed.state is OperationState.INTERRUPTED, crashed.outcome_message
    again = harness.resume(crashed)  # the drained worker must take tasks again
    assert ("worker-llm-2", True) in harness.world()["worker-llm"]
    undone = harness.undo(again)

    assert undone.state is OperationState.UNDONE
    assert harness.world() == before
    assert harness.engine.verify_audit().valid


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("verb", "wish"), CASES["embedded"])
def test_a_crash_at_every_boundary_is_survived(
    harness: FaultHarness, verb: str, wish: dict[str, object]
) -> None:
    engine = harness.engine
    with forking(engine.settings.state, "tests.faults.toy_stack:build_toy") as forks:
        started, engine._launch_runner = engine._launch_runner, forks.launch
        harness.prepare = lambda: leave_an_old_log(engine.settings.state)
        try:
            assert harness.crash_everywhere(verb, wish) >= 4
        finally:
            engine._launch_runner = started


@pytest.mark.stack
@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_crash_at_every_boundary_of_a_scale_is_survived_by_the_product(stack: Stack) -> None:
    engine = build_engine(load_settings(state=str(stack.state)))
    try:
        crashes = FaultHarness(engine, seconds=240).crash_everywhere(
            "scale", {"targets": {"worker-llm": 2}}
        )
    finally:
        engine.close()

    assert crashes == 12
    assert stack.replicas("worker-llm") == ["worker-llm-1"]


def test_of_two_submits_in_the_same_moment_one_runs_and_one_is_told(
    harness: FaultHarness,
) -> None:
    both = [
        fragrance(harness.engine, "scale", wish, "--yes", "--reason", "race", "--json")
        for wish in ("worker-llm=2", "app=3")
    ]
    results = [(p.communicate(timeout=60), p.returncode) for p in both]

    assert sorted(code for _, code in results) == [0, 3], results
    (winner, _), _ = next(result for result in results if result[1] == 0)
    (_, refusal), _ = next(result for result in results if result[1] == 3)
    assert "scale" in refusal
    end = json.loads(winner.splitlines()[-1])
    assert end["outcome"] == "done"
    assert end["verified"] is True
    assert harness.undo(harness.engine.operation(end["operation_id"])).verified


def test_the_end_of_the_follower_changes_nothing(harness: FaultHarness) -> None:
    plan = harness.engine.plan("scale", UP)
    command = fragrance(harness.engine, "scale", "worker-llm=2", "--yes", "--reason", "test")
    wait_for(harness.engine.journal.unfinished, 30, "nothing was submitted")
    lock = OperationLock(harness.engine.settings.state, harness.engine.clock)
    wait_for(lock.is_held, 30, "no runner came")
    command.kill()
    command.communicate(timeout=30)

    ended = harness.ended(harness.engine.operations(1)[0].id)

    assert ended.state is OperationState.DONE
    assert ended.plan.summary == plan.summary
    assert harness.undo(ended).state is OperationState.UNDONE


def test_ctrl_c_only_stops_the_following_and_says_how_to_find_it_again(
    harness: FaultHarness,
) -> None:
    command = fragrance(harness.engine, "scale", "worker-llm=2", "--yes", "--reason", "test")
    wait_for(harness.engine.journal.unfinished, 30, "nothing was submitted")
    assert command.stderr is not None
    told = command.stderr.readline()
    command.send_signal(signal.SIGINT)
    _, rest = command.communicate(timeout=30)

    assert command.returncode == 130, rest
    assert "operations follow op-" in told + rest
    assert "goes on" in rest
    ended = harness.ended(harness.engine.operations(1)[0].id)
    assert ended.state is OperationState.DONE
    harness.undo(ended)


def test_a_runner_ended_by_sigterm_says_so_and_can_be_resumed(harness: FaultHarness) -> None:
    wish = {"targets": {"worker-llm": 2}, "hold_seconds": 60}
    operation = harness.engine.submit(harness.engine.plan("scale", wish), "test")
    lock = OperationLock(harness.engine.settings.state, harness.engine.clock)
    pid = lock.holder_pid()
    assert pid is not None
    assert os.getsid(pid) == pid
    wait_for(lambda: len(harness.engine.events(operation.id)) >= 3, 30, "the gate was not reached")
    os.kill(pid, signal.SIGTERM)

    ended = harness.ended(operation.id)

    assert ended.state is OperationState.INTERRUPTED
    assert "told to end" in ended.outcome_message
    assert harness.undo(ended).state is OperationState.UNDONE


def test_a_hung_runner_is_ended_by_unlock(harness: FaultHarness) -> None:
    wish = {"targets": {"worker-llm": 2}, "hold_seconds": 60}
    operation = harness.engine.submit(harness.engine.plan("scale", wish), "test")
    lock = OperationLock(harness.engine.settings.state, harness.engine.clock)
    pid = lock.holder_pid()
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(Busy):
        harness.engine.undo(operation.id)

    assert harness.engine.unlock("it hangs") == pid

    ended = harness.ended(operation.id)
    assert ended.state is OperationState.INTERRUPTED
    assert harness.engine.journal.changes(1)[0].reason == "it hangs"
    assert harness.undo(ended).state is OperationState.UNDONE


def test_a_cancel_takes_back_what_runs(harness: FaultHarness) -> None:
    before = harness.world()
    wish = {"targets": {"worker-llm": 2}, "hold_seconds": 60}
    operation = harness.engine.submit(harness.engine.plan("scale", wish), "test")

    harness.engine.cancel(operation.id)

    ended = harness.ended(operation.id)
    assert (ended.state, ended.exit_code) == (OperationState.CANCELLED, 1)
    assert harness.world() == before


def test_an_emergency_cancels_what_runs_and_goes_first(harness: FaultHarness) -> None:
    wish = {"targets": {"worker-llm": 3}, "hold_seconds": 60}
    running = harness.engine.submit(harness.engine.plan("scale", wish), "test")

    command = fragrance(
        harness.engine, "scale", "app=1", "--emergency", "--yes", "--reason", "fire"
    )
    _, told = command.communicate(timeout=60)

    assert command.returncode == 0, told
    assert running.id in told
    assert harness.engine.operation(running.id).state is OperationState.CANCELLED
    assert [name for name, _ in harness.world()["app"]] == ["app-1"]
    assert harness.undo(harness.engine.operations(1)[0]).state is OperationState.UNDONE


def test_a_death_between_submit_and_lock_is_seen_and_can_be_resumed(
    harness: FaultHarness,
) -> None:
    plan = harness.engine.plan("scale", UP)
    with crashing("not a crash point"), pytest.raises(Interrupted) as error:
        harness.engine.submit(plan, "test")  # its runner ends before it takes the lock

    assert "FRAGRANCE_CRASH_AT" in error.value.message
    operation = harness.engine.operations(1)[0]
    assert operation.state is OperationState.INTERRUPTED
    assert f"resume {operation.id}" in error.value.remedy
    assert harness.resume(operation).state is OperationState.DONE
    assert harness.undo(operation).state is OperationState.UNDONE


def test_a_world_changed_by_somebody_else_is_refused(harness: FaultHarness) -> None:
    plan = harness.engine.plan("scale", UP)
    runtime = harness.engine.runtime
    assert isinstance(runtime, EmbeddedRuntime)
    runtime.start_replica("worker-llm", "worker-llm-9", {})
    try:
        ended = harness.run(plan)
    finally:
        runtime.remove_replica("worker-llm-9", 5)
        wait_for(lambda: len(harness.world()["worker-llm"]) == 1, 30, "the stranger did not go")

    assert (ended.state, ended.exit_code) == (OperationState.REFUSED, 3)
    assert "worker-llm-9" in ended.outcome_message


def test_a_damaged_journal_stops_changes_and_nothing_else(tmp_path: Path) -> None:
    with running_toy(tmp_path / "state") as engine:
        (tmp_path / "state" / "journal.db").write_bytes(b"rubbish " * 1000)

        status = fragrance(engine, "status", "--json")
        told, _ = status.communicate(timeout=60)
        assert status.returncode == 0
        sources = {s["name"]: s["state"] for s in json.loads(told)["sources"]}
        assert sources["runtime"] == "fresh"
        assert sources["journal"] == "failed"
        change = fragrance(engine, "scale", "app=3", "--yes", "--reason", "test")
        _, refusal = change.communicate(timeout=60)
        assert change.returncode == 5
        assert "damaged" in refusal
        assert "Traceback" not in refusal


def test_without_write_access_nothing_is_submitted(engine: Engine) -> None:
    production = build_toy(
        Settings(project=engine.settings.project, state=engine.settings.state, environment="prod")
    )
    plan = production.plan("scale", UP)
    count = len(engine.operations())

    for attempt in (
        lambda: production.submit(plan, "test"),
        lambda: production.resume("op-1"),
        lambda: production.undo("op-1"),
        lambda: production.accept("op-1", "test"),
        lambda: production.cancel("op-1"),
        lambda: production.unlock("test"),
        production.preempt,
    ):
        with pytest.raises(Refused, match="read-only"):
            attempt()

    assert len(engine.operations()) == count
