"""
Micro-batching: many waiting threads, one model.

Celery's thread pool can neither time out nor cancel a task, so both live here:
each request carries a deadline, and its ticket can be cancelled at any moment,
while it waits as well as between two tokens.  Requests that arrive within a short
window of the first one are answered by one ``generate`` call.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Protocol

from workers.llm.ports import (
    GREEDY,
    DeadlineExceeded,
    EngineStopped,
    GenerationCancelled,
    Sampling,
    TextModel,
)


class InferenceEngine(Protocol):
    """The small port behind which batching may be replaced."""

    @property
    def model(self) -> TextModel:
        """Return the model that answers."""
        ...

    def submit(self, prompt: str, *, timeout_seconds: float, sampling: Sampling = GREEDY) -> Ticket:
        """Queue one prompt; return at once."""
        ...

    def close(self) -> None:
        """Answer what was accepted, then stop."""
        ...


@dataclass(eq=False, slots=True)
class Ticket:
    """One accepted request: wait for it, or give it up."""

    prompt: str
    sampling: Sampling
    deadline: float
    """On the monotonic clock, seconds."""
    _cancelled: threading.Event = field(default_factory=threading.Event)
    _future: Future[str] = field(default_factory=Future)

    def cancel(self) -> None:
        """Give the request up; the model stops working on it at its next token."""
        self._cancelled.set()

    def done(self) -> bool:
        """Say whether :meth:`result` would return or raise at once."""
        return self._future.done()

    def result(self, timeout_seconds: float) -> str:
        """
        Wait for the text.

        Raises:
            TimeoutError: Nothing yet; call again.
            DeadlineExceeded: The request's own deadline has passed.
            GenerationCancelled: It was cancelled.
            EngineStopped: The engine stopped before answering.
        """
        return self._future.result(timeout=timeout_seconds)

    def abandoned(self) -> bool:
        """Say whether nobody wants the text any more."""
        return self._cancelled.is_set() or time.monotonic() >= self.deadline

    def settle(self, text: str | None = None, error: BaseException | None = None) -> None:
        """Record the outcome; an abandoned request is never answered with half a text."""
        if self._future.done():
            return
        if self._cancelled.is_set():
            error = GenerationCancelled("the request was cancelled")
        elif error is None and time.monotonic() >= self.deadline:
            error = DeadlineExceeded("the model did not finish before the deadline")
        if error is not None:
            self._future.set_exception(error)
        else:
            self._future.set_result(text or "")


class MicroBatchEngine:
    """
    Answer requests in batches from a thread of its own.

    Args:
        model: Used from the engine's thread only.
        max_batch_size: Most prompts in one ``generate`` call.
        max_new_tokens: Upper bound for each answer.
        window_seconds: How long the first request of a batch waits for others.
        observe_seconds: Called with the duration of each ``generate`` call and
            the number of prompts in it.
    """

    def __init__(
        self,
        model: TextModel,
        *,
        max_batch_size: int,
        max_new_tokens: int,
        window_seconds: float = 0.02,
        observe_seconds: Callable[[float, int], None] | None = None,
    ) -> None:
        if max_batch_size < 1:
            raise ValueError("a batch holds at least one request")
        self._model = model
        self._max_batch_size = max_batch_size
        self._max_new_tokens = max_new_tokens
        self._window_seconds = window_seconds
        self._observe_seconds = observe_seconds
        self._waiting: deque[Ticket] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="llm-engine", daemon=True)
        self._thread.start()

    @property
    def model(self) -> TextModel:
        """Return the model that answers."""
        return self._model

    def submit(self, prompt: str, *, timeout_seconds: float, sampling: Sampling = GREEDY) -> Ticket:
        """
        Queue one prompt.

        Args:
            prompt: Text to continue.
            timeout_seconds: Time from now until the answer is worthless.
            sampling: Requests with the same value may share a batch.

        Raises:
            EngineStopped: After :meth:`close`.
        """
        ticket = Ticket(prompt, sampling, time.monotonic() + timeout_seconds)
        with self._changed:
            if self._closing:
                raise EngineStopped("the engine is shutting down")
            self._waiting.append(ticket)
            self._changed.notify()
        return ticket

    def close(self, timeout_seconds: float = 30.0) -> None:
        """Answer what was accepted, then stop; whatever is left then is refused."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(timeout_seconds)
        with self._changed:
            while self._waiting:
                self._waiting.popleft().settle(error=EngineStopped("the engine stopped"))

    def _run(self) -> None:
        while batch := self._next_batch():
            self._answer(batch)

    def _next_batch(self) -> list[Ticket]:
        """Wait for work; an empty list means that the engine is closed and idle."""
        with self._changed:
            while True:
                self._drop_abandoned()
                if self._waiting:
                    break
                if self._closing:
                    return []
                self._changed.wait(0.5)
            closes_at = time.monotonic() + self._window_seconds
            while len(self._waiting) < self._max_batch_size and not self._closing:
                remaining = closes_at - time.monotonic()
                if remaining <= 0:
                    break
                self._changed.wait(remaining)
            return self._take_compatible()

    def _drop_abandoned(self) -> None:
        for ticket in [waiting for waiting in self._waiting if waiting.abandoned()]:
            self._waiting.remove(ticket)
            ticket.settle()

    def _take_compatible(self) -> list[Ticket]:
        """Take the oldest request and those behind it that are sampled alike."""
        sampling = self._waiting[0].sampling
        batch = [ticket for ticket in self._waiting if ticket.sampling == sampling]
        batch = batch[: self._max_batch_size]
        for ticket in batch:
            self._waiting.remove(ticket)
        return batch

    def _answer(self, batch: list[Ticket]) -> None:
        started = time.monotonic()
        try:
            texts = self._model.generate(
                [ticket.prompt for ticket in batch],
                max_new_tokens=self._max_new_tokens,
                sampling=batch[0].sampling,
                is_abandoned=lambda index: batch[index].abandoned(),
            )
        except Exception as error:  # every waiting caller must learn of it
            for ticket in batch:
                ticket.settle(error=error)
            return
        if self._observe_seconds is not None:
            self._observe_seconds(time.monotonic() - started, len(batch))
        for ticket, text in zip(batch, texts, strict=True):
            ticket.settle(text=text)
