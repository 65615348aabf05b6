"""
Feeds: threads that ask the engine and tell the screens.

They alone call the engine once the console is up; they post messages and touch
nothing else.  Each belongs to a group in which a new one replaces the old, and
each ends within one interval of being told to (a thread cannot be cancelled).
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeAlias

from textual.message import Message
from textual.worker import get_current_worker

from console.domain.operations import Operation, StepEvent
from console.domain.settling import SETTLING, Settling
from console.domain.snapshot import AgentState, Snapshot
from console.errors import ConsoleError
from console.ports import LogLine, LogRequest
from screens.effect import BEFORE, Figure, Series, effect_of, settled
from screens.log_ring import LogRing
from screens.messages import (
    EffectSeen,
    LogLinesArrived,
    LogsCaughtUp,
    LogsEnded,
    OperationAdvanced,
    PictureRecalled,
    RangeMeasured,
    RequestFailed,
    SnapshotFailed,
    SnapshotFetched,
)

if TYPE_CHECKING:
    from textual.app import App
    from textual.screen import Screen

    from console.engine import Access, Engine

    #: What runs a thread and receives its messages.
    Owner: TypeAlias = App[Any] | Screen[Any]

#: How often pictures are looked for, seconds; more seldom on a slow line.
SNAPSHOT_INTERVAL_SECONDS = 0.25
OPERATION_INTERVAL_SECONDS = 0.25
LIST_INTERVAL_SECONDS = 1.0
#: The agent keeps figures every five seconds.
EFFECT_INTERVAL_SECONDS = 2.5
#: Logs that broke off are tried again after this long, then after twice that.
LOG_RETRY_SECONDS = 0.5
LOG_RETRY_MOST_SECONDS = 10.0
#: A screen that has not drawn after so many looks, 0.05 s apart, is not waited for.
LOG_ROOM_TRIES = 40
#: Replicas whose lines come later than others' are given this long.
LOG_OVERLAP = timedelta(seconds=5)
LOG_AGAIN_LINES = 20_000
#: Who moves in time moves on: what costs something is read where it rests, seconds.
MOVING_SECONDS = 0.15
#: The closest steps of a chart are 15 s.
METRICS_INTERVAL_SECONDS = 5.0


def as_console_error(error: Exception) -> ConsoleError:
    """Return *error* as one of ours; a bug must not end the watching."""
    if isinstance(error, ConsoleError):
        return error
    return ConsoleError(
        f"unexpected: {type(error).__name__}: {error}",
        remedy="fragrance doctor; the other screens still work",
    )


class Feed(ABC):
    """
    One repeated question, asked in a thread until :meth:`stop`.

    Args:
        owner: App or screen that runs the thread and receives the messages.
        group: Name under which a new thread replaces the old one.
    """

    def __init__(self, owner: Owner, group: str) -> None:
        self._owner = owner
        self._group = group
        self._stopped = threading.Event()

    def start(self) -> None:
        """Begin asking; anything started before is told to end."""
        self._stopped.set()
        stopped = self._stopped = threading.Event()
        self._owner.run_worker(
            lambda: self._run(stopped),
            group=self._group,
            exclusive=True,
            exit_on_error=False,
            thread=True,
        )

    def stop(self) -> None:
        """Tell the thread to end; it does so within one interval."""
        self._stopped.set()

    def _post(self, message: Message) -> None:
        self._owner.post_message(message)

    @abstractmethod
    def _run(self, stopped: threading.Event) -> None:
        """Ask and post until *stopped* is set."""


def ended(stopped: threading.Event) -> bool:
    """Whether to end: told so, or the owner is gone."""
    return stopped.is_set() or get_current_worker().is_cancelled


class SnapshotFeed(Feed):
    """Pictures: the last one at once, then each new one; tells only what changed."""

    def __init__(self, owner: Owner, engine: Engine, interval_seconds: float) -> None:
        super().__init__(owner, "snapshot")
        self._engine = engine
        self._interval = interval_seconds

    def _run(self, stopped: threading.Event) -> None:
        try:
            picture = self._engine.last_picture()
        except Exception:
            picture = None  # what is wrong is told by the first real reading
        if picture is not None:
            self._post(PictureRecalled(picture))
        told: object = None
        while not ended(stopped):
            told = self._look(told)
            stopped.wait(self._interval)

    def _look(self, told: object) -> object:
        try:
            snapshot = self._engine.snapshot()
            if snapshot.agent is AgentState.ABSENT:
                self._engine.watch()
            access = self._access()
        except Exception as error:
            lines = tuple(as_console_error(error).lines())
            if told != lines:
                self._post(SnapshotFailed(lines))
            return lines
        seen = (snapshot.taken_at, access)
        if told != seen:
            self._post(SnapshotFetched(snapshot, access))
        return seen

    def _access(self) -> Access | None:
        try:
            return self._engine.access()
        except ConsoleError:
            return None  # the journal does not answer: unknown, so nothing is allowed


class LogFeed(Feed):
    """
    Log lines into a ring; the screen takes them out when it draws.

    What breaks off is taken up again where it was, with no line twice.
    """

    def __init__(self, owner: Owner, engine: Engine, ring: LogRing, request: LogRequest) -> None:
        super().__init__(owner, "logs")
        self._engine = engine
        self._ring = ring
        self._request = request
        self._last: dict[str, datetime] = {}

    def _run(self, stopped: threading.Event) -> None:
        told: tuple[str, ...] | None = None
        pause = LOG_RETRY_SECONDS
        while not ended(stopped):
            reason: tuple[str, ...] = ()
            before = len(self._last), max(self._last.values(), default=None)
            try:
                if not self._read(stopped, self._again() if told else self._request):
                    return
            except Exception as error:
                reason = tuple(as_console_error(error).lines())
            if ended(stopped):
                return
            if before != (len(self._last), max(self._last.values(), default=None)):
                told, pause = None, LOG_RETRY_SECONDS
            if told != reason:
                self._post(LogsEnded(reason))
            told = reason
            if not reason:
                return
            stopped.wait(pause)
            pause = min(LOG_RETRY_MOST_SECONDS, pause * 2)

    def _read(self, stopped: threading.Event, request: LogRequest) -> bool:
        """Read to the end, which following has not; False when told to stop."""
        waiting, caught_up = 0, False
        again = request is not self._request
        for line in self._engine.logs(request):
            if ended(stopped):
                return False
            if line is not None and not (again and self._had(line)):
                if not self._ring.offer(line):
                    caught_up = False
                    if not self._wait_for_room(stopped):
                        return False
                    self._ring.add(line)
                if line.at is not None:
                    self._last[line.replica] = line.at
                waiting += 1
            if waiting and (line is None or waiting >= 200):
                self._post(LogLinesArrived())
                waiting = 0
            if line is None and not caught_up:
                caught_up = True
                self._post(LogsCaughtUp())
        self._post(LogLinesArrived())
        if not caught_up:
            self._post(LogsCaughtUp())
        return True

    def _wait_for_room(self, stopped: threading.Event) -> bool:
        """Wait until the screen has taken what waits, or is not going to; False to end."""
        tries = 0
        while self._ring.full and (self._ring.patient or tries < LOG_ROOM_TRIES):
            self._post(LogLinesArrived())
            if stopped.wait(0.05) or ended(stopped):
                return False
            tries += 1
        return True

    def _again(self) -> LogRequest:
        """Return the request that goes on where the last one broke off."""
        if not self._last:
            return self._request
        since = max(self._last.values()) - LOG_OVERLAP
        return replace(self._request, since=since, tail=LOG_AGAIN_LINES)

    def _had(self, line: LogLine) -> bool:
        last = self._last.get(line.replica)
        return line.at is not None and last is not None and line.at <= last


class OperationFeed(Feed):
    """One operation with its events, told at every step."""

    def __init__(self, owner: Owner, engine: Engine, operation_id: str) -> None:
        super().__init__(owner, "operation")
        self._engine = engine
        self._operation_id = operation_id

    def _run(self, stopped: threading.Event) -> None:
        told: Operation | None = None
        failed: list[str] = []
        seen = 0
        while not ended(stopped):
            try:
                events: list[StepEvent] = self._engine.events(self._operation_id, seen)
                operation = self._engine.operation(self._operation_id)
                if events or operation != told:
                    self._post(OperationAdvanced(operation, tuple(events)))
                seen = events[-1].event_id if events else seen
                told, failed = operation, []
            except Exception as error:
                problem = as_console_error(error)
                if failed != problem.lines():
                    failed = problem.lines()
                    self._post(RequestFailed(problem))
            stopped.wait(OPERATION_INTERVAL_SECONDS)


class MetricsFeed(Feed):
    """All figures over :attr:`seconds`, told when they changed; up to *then* only once."""

    def __init__(
        self, owner: Owner, engine: Engine, seconds: float, then: Snapshot | None = None
    ) -> None:
        super().__init__(owner, "metrics")
        self._engine = engine
        self._then = then
        self.seconds = seconds

    def _run(self, stopped: threading.Event) -> None:
        told: object = None
        seconds, then = self.seconds, self._then  # another range is another run
        if then is not None and stopped.wait(MOVING_SECONDS):
            return
        while not ended(stopped):
            try:
                measured = self._engine.measured(seconds, then)
                if measured != told:
                    told = measured
                    self._post(
                        RangeMeasured(seconds, measured, None if then is None else then.taken_at)
                    )
                if then is not None:
                    return
            except Exception as error:
                failed = as_console_error(error)
                if told != failed.lines():
                    told = failed.lines()
                    self._post(RequestFailed(failed))
            stopped.wait(METRICS_INTERVAL_SECONDS)


class EffectFeed(Feed):
    """Before → after of the followed operation, from the history, told when it changed."""

    def __init__(self, owner: Owner, engine: Engine) -> None:
        super().__init__(owner, "effect")
        self._engine = engine
        self.operation: Operation | None = None
        self.figures: list[Figure] = []

    def _run(self, stopped: threading.Event) -> None:
        told: object = ()
        while not ended(stopped):
            operation = self.operation
            if operation is not None:
                effects = tuple(effect_of(operation, f, self._series(operation, f))
                                for f in self.figures)  # fmt: skip
                settling = self._settling(operation)
                if (effects, settling) != told:
                    told = (effects, settling)
                    self._post(EffectSeen(effects, settling))
                going_on = settling is not None and settling.state == SETTLING
                if settled(operation, self._engine.clock.now()) and not going_on:
                    return
            stopped.wait(EFFECT_INTERVAL_SECONDS)

    def _settling(self, operation: Operation) -> Settling | None:
        try:
            return self._engine.settling(operation)
        except ConsoleError:
            return None

    def _series(self, operation: Operation, figure: Figure) -> Series:
        begun = operation.started_at or operation.submitted_at
        back = self._engine.clock.now() - begun + BEFORE
        try:
            return self._engine.series(figure.name, back.total_seconds())
        except ConsoleError:
            return ()  # without the history the operation itself is shown all the same


def request(owner: Owner, group: str, work: Callable[[], Message]) -> None:
    """
    Ask the engine once, in a thread, and post the answer to *owner*.

    Args:
        owner: The screen that asks; its answer is lost when it is gone.
        group: A second question of the same group replaces the first.
        work: Calls the engine and returns the message that carries the answer.
    """

    def ask() -> None:
        try:
            answer = work()
        except Exception as error:
            answer = RequestFailed(as_console_error(error))
        owner.post_message(answer)

    owner.run_worker(ask, group=group, exclusive=True, exit_on_error=False, thread=True)
