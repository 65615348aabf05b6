"""The batching engine: who shares a batch, who is given up, what a failure does."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence

import pytest

from workers.llm.engine import MicroBatchEngine, Ticket
from workers.llm.ports import (
    DeadlineExceeded,
    EngineStopped,
    GenerationCancelled,
    Sampling,
)


class ScriptedModel:
    """Echoes prompts; waits at a gate when told to, as a long generation does."""

    name, digest = "scripted", "0"

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Semaphore(0)
        self.error: Exception | None = None

    def generate(
        self,
        prompts: Sequence[str],
        *,
        max_new_tokens: int,
        sampling: Sampling,
        is_abandoned: Callable[[int], bool],
    ) -> list[str]:
        self.batches.append(list(prompts))
        self.entered.release()
        while not self.gate.wait(0.005):
            if all(is_abandoned(index) for index in range(len(prompts))):
                break
        if self.error is not None:
            raise self.error
        return [f"{prompt}!" for prompt in prompts]


@pytest.fixture
def model() -> ScriptedModel:
    return ScriptedModel()


@pytest.fixture
def engine(model: ScriptedModel) -> Iterator[MicroBatchEngine]:
    made = MicroBatchEngine(model, max_batch_size=4, max_new_tokens=8, window_seconds=0.05)
    yield made
    model.gate.set()
    made.close(timeout_seconds=5)


def occupy(engine: MicroBatchEngine, model: ScriptedModel) -> Ticket:
    """Keep the engine busy until the gate opens."""
    model.gate.clear()
    ticket = engine.submit("first", timeout_seconds=30)
    assert model.entered.acquire(timeout=5)
    return ticket


def test_requests_that_arrive_together_share_a_batch_up_to_its_size(
    engine: MicroBatchEngine, model: ScriptedModel
) -> None:
    first = occupy(engine, model)
    others = [engine.submit(str(number), timeout_seconds=30) for number in range(6)]
    model.gate.set()
    assert [ticket.result(5) for ticket in others] == [f"{number}!" for number in range(6)]
    assert first.result(5) == "first!"
    assert model.batches == [["first"], ["0", "1", "2", "3"], ["4", "5"]]


def test_requests_sampled_differently_do_not_share_a_batch(
    engine: MicroBatchEngine, model: ScriptedModel
) -> None:
    occupy(engine, model)
    greedy = engine.submit("a", timeout_seconds=30)
    sampled = engine.submit("b", timeout_seconds=30, sampling=Sampling(0.8))
    also_greedy = engine.submit("c", timeout_seconds=30)
    model.gate.set()
    assert [t.result(5) for t in (greedy, sampled, also_greedy)] == ["a!", "b!", "c!"]
    assert model.batches[1:] == [["a", "c"], ["b"]]


def test_a_request_whose_time_is_up_is_not_answered(
    engine: MicroBatchEngine, model: ScriptedModel
) -> None:
    model.gate.clear()
    ticket = engine.submit("late", timeout_seconds=0.1)
    with pytest.raises(DeadlineExceeded):
        ticket.result(5)


def test_a_cancelled_request_stops_the_model_while_it_works_on_it(
    engine: MicroBatchEngine, model: ScriptedModel
) -> None:
    ticket = occupy(engine, model)
    ticket.cancel()
    with pytest.raises(GenerationCancelled):
        ticket.result(5)
    model.gate.set()
    assert engine.submit("next", timeout_seconds=5).result(5) == "next!"


def test_a_request_cancelled_while_waiting_never_reaches_the_model(
    engine: MicroBatchEngine, model: ScriptedModel
) -> None:
    occupy(engine, model)
    waiting = engine.submit("waiting", timeout_seconds=30)
    waiting.cancel()
    model.gate.set()
    with pytest.raises(GenerationCancelled):
        waiting.result(5)
    assert all("waiting" not in batch for batch in model.batches)


def test_a_failing_model_fails_its_batch_and_the_engine_goes_on(
    engine: MicroBatchEngine, model: ScriptedModel
) -> None:
    model.error = RuntimeError("out of memory")
    ticket = engine.submit("bad", timeout_seconds=5)
    with pytest.raises(RuntimeError, match="out of memory"):
        ticket.result(5)
    model.error = None
    assert engine.submit("good", timeout_seconds=5).result(5) == "good!"


def test_closing_answers_what_was_accepted_and_takes_no_more(
    engine: MicroBatchEngine, model: ScriptedModel
) -> None:
    tickets = [engine.submit(str(number), timeout_seconds=5) for number in range(3)]
    engine.close(timeout_seconds=5)
    assert [ticket.result(0) for ticket in tickets] == ["0!", "1!", "2!"]
    with pytest.raises(EngineStopped):
        engine.submit("more", timeout_seconds=5)


def test_the_duration_is_observed_with_the_number_of_prompts(model: ScriptedModel) -> None:
    seen: list[tuple[float, int]] = []
    engine = MicroBatchEngine(
        model,
        max_batch_size=2,
        max_new_tokens=8,
        observe_seconds=lambda seconds, prompts: seen.append((seconds, prompts)),
    )
    engine.submit("x", timeout_seconds=5).result(5)
    engine.close()
    assert [prompts for _, prompts in seen] == [1]
