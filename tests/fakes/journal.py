"""A journal in memory: the same rules, nothing on disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

from console.domain.audit import GENESIS, AuditVerdict, seal, to_line, verify_chain
from console.domain.lifecycle import (
    RUNNER_GONE,
    SUBMIT_GRACE_SECONDS,
    busy_with,
    check_accept,
    check_cancel,
    check_claim,
    check_reopen,
    ways_on,
)
from console.domain.operations import (
    UNFINISHED,
    Actor,
    Change,
    Operation,
    OperationState,
    StepEvent,
    StepPhase,
    StepRecord,
)
from console.domain.plans import Json, Plan
from console.domain.questions import SETTLED, TALK, answer_words, check_answer, open_question
from console.domain.text import plain_text
from console.errors import ConsoleError, UsageError
from console.ports import Clock


class FakeJournal:
    """
    In-memory journal.

    Args:
        clock: Time.
    """

    def __init__(self, clock: Clock) -> None:
        self._notes: dict[str, str] = {}
        self._clock = clock
        self._operations: dict[str, Operation] = {}
        self._modes: dict[str, str] = {}
        self._waiting: dict[str, datetime] = {}
        self._acting: dict[str, tuple[Actor, str]] = {}
        self._events: list[StepEvent] = []
        self._entries: list[dict[str, Json]] = []
        self._grant: tuple[Actor, datetime, datetime] | None = None
        #: Whether some runner holds the lock.
        self.runner_alive = False
        #: Raised by every write while set: a full disk.
        self.refuses: ConsoleError | None = None

    def submit(self, plan: Plan, actor: Actor, reason: str) -> Operation:
        self._write()
        if (other := self.unfinished()) is not None:
            raise busy_with(other)
        name = f"op-{len(self._operations) + 1}"
        self._waiting[name] = self._clock.now()
        self._modes[name] = "run"
        self._acting[name] = (actor, plain_text(reason))
        self._operations[name] = Operation(
            id=name,
            verb=plan.verb,
            actor=actor,
            reason=plain_text(reason),
            state=OperationState.SUBMITTED,
            plan=plan,
            submitted_at=self._clock.now(),
        )
        return self.operation(name)

    def operation(self, operation_id: str) -> Operation:
        name = "op-" + operation_id.removeprefix("op-")
        if name not in self._operations:
            raise UsageError(f"there is no operation {operation_id!r}")
        return self._seen(self._operations[name])

    def operations(self, limit: int = 50, before: str | None = None) -> list[Operation]:
        number = float("inf") if before is None else int(before.removeprefix("op-"))
        older = [o for o in self._operations.values() if int(o.id.removeprefix("op-")) < number]
        return [self._seen(o) for o in reversed(older)][:limit]

    def unfinished(self) -> Operation | None:
        return next((o for o in self.operations() if not o.finished), None)

    def claim(self, operation_id: str, mode: str) -> Operation:
        self._write()
        operation = self.operation(operation_id)
        check_claim(operation, self._modes[operation.id], mode)
        self._put(
            operation,
            state=OperationState.RUNNING,
            started_at=operation.started_at or self._clock.now(),
            ended_at=None,
            exit_code=None,
            outcome_message="",
            remedy="",
        )
        return self._operations[operation.id]

    def set_state(self, operation_id: str, state: OperationState, **fields: object) -> None:
        self._write()
        changes: dict[str, Any] = fields
        operation = self.operation(operation_id)
        self._put(operation, state=state, **changes)
        if state not in UNFINISHED or state is OperationState.FROZEN:
            self._audit_outcome(self._operations[operation.id])

    def step(self, operation_id: str, seq: int, name: str, phase: StepPhase, detail: str) -> None:
        self._write()
        at = self._clock.now()
        number = len(self._events) + 1
        self._events.append(
            StepEvent(number, operation_id, seq, name, phase, at, plain_text(detail))
        )

    def events(self, operation_id: str, after_event_id: int = 0) -> list[StepEvent]:
        name = self.operation(operation_id).id
        return [e for e in self._events if e.operation_id == name and e.event_id > after_event_id]

    def request_cancel(self, operation_id: str) -> None:
        self._write()
        operation = self.operation(operation_id)
        check_cancel(operation)
        self._put(operation, cancel_requested=True)

    def reopen(self, operation_id: str, actor: Actor, mode: str, reason: str = "") -> Operation:
        self._write()
        operation = self.operation(operation_id)
        check_reopen(operation, mode, [o for o in self.operations() if o.id != operation.id])
        self._modes[operation.id] = mode
        self._waiting[operation.id] = self._clock.now()
        self._acting[operation.id] = (actor, plain_text(reason))
        self._put(
            operation,
            state=OperationState.SUBMITTED,
            ended_at=None,
            exit_code=None,
            verified=False,
            outcome_message="",
            remedy="",
            cancel_requested=False,
        )
        return self._operations[operation.id]

    def answer(
        self,
        operation_id: str,
        word: str,
        actor: Actor | None,
        reason: str = "",
        step: str | None = None,
    ) -> None:
        self._write()
        operation = self.operation(operation_id)
        question = check_answer(operation, word, step)
        seq = [s.name for s in operation.plan.steps].index(question.step) + 1
        told = answer_words(word, actor, reason)
        self.step(operation.id, seq, question.step, StepPhase.ANSWERED, told)
        if word != SETTLED:
            self._add(
                self._clock.now(),
                {"user": "nobody"} if actor is None else asdict(actor),
                f"answer to {operation.verb} {operation.plan.summary}: {question.text}",
                word,
                reason,
                operation.id,
                {"step": question.step, "seen": question.seen},
            )

    def accept(self, operation_id: str, actor: Actor, reason: str) -> None:
        self._write()
        operation = self.operation(operation_id)
        check_accept(operation)
        self._acting[operation.id] = (actor, plain_text(reason))
        self._put(
            operation,
            state=OperationState.ACCEPTED,
            ended_at=self._clock.now(),
            exit_code=0,
            outcome_message=f"accepted as it stood; before: {operation.outcome_message}",
            remedy="",
        )
        self._audit_outcome(self._operations[operation.id])

    def record(self, change: Change, note: tuple[str, str] | None = None) -> None:
        self._write()
        if note is not None:
            self._notes[note[0]] = note[1]
        self._add(
            change.at,
            {"user": change.actor},
            change.what,
            change.outcome,
            change.reason,
            change.operation_id,
            change.details,
        )

    def note(self, key: str) -> str | None:
        return self._notes.get(key)

    def changes(self, limit: int = 20, operation_id: str | None = None) -> list[Change]:
        return [
            Change(
                datetime.fromisoformat(e["at"]),
                str(Actor(e["actor"]["user"], 0, e["actor"].get("origin", "local"))),
                e["what"],
                e["outcome"],
                e["reason"],
                e["operation_id"],
                e["details"],
            )
            for e in self._entries[::-1]
            if operation_id in {None, e["operation_id"]}
        ][:limit]

    def audit(self, limit: int = 50, before: int | None = None) -> list[dict[str, Json]]:
        older = [e for e in self._entries if before is None or e["seq"] < before]
        return older[::-1][:limit]

    def verify_audit(self) -> AuditVerdict:
        head = self._entries[-1]["hash"] if self._entries else GENESIS
        return verify_chain([to_line(e) for e in self._entries], len(self._entries), head)

    def elevated_until(self) -> datetime | None:
        grant = self._grant
        return grant[2] if grant is not None and grant[2] > self._clock.now() else None

    def elevate(self, actor: Actor, until: datetime, reason: str) -> None:
        self._write()
        now = self._clock.now()
        self.settle_elevation()
        if until <= now:
            if self._grant is not None:
                self._end_access("ended", actor, reason)
            return
        self._grant = (actor, now if self._grant is None else self._grant[1], until)
        self._add(now, asdict(actor), "write access", "granted", reason, None, {})

    def settle_elevation(self) -> None:
        if self._grant is not None and self._grant[2] <= self._clock.now():
            self._end_access("expired", self._grant[0], "")

    def _end_access(self, outcome: str, actor: Actor, reason: str) -> None:
        assert self._grant is not None
        granted_to, since, _ = self._grant
        used = [name for name, at in self._waiting.items() if at >= since]
        details: dict[str, Json] = {
            "granted_to": str(granted_to),
            "used_by": ", ".join(used) or "nothing",
        }
        self._grant = None
        now = self._clock.now()
        self._add(now, asdict(actor), "write access", outcome, reason, None, details)

    # -------------------------------------------------------------------------

    def _write(self) -> None:
        if self.refuses is not None:
            raise self.refuses

    def _put(self, operation: Operation, **fields: Any) -> None:
        self._operations[operation.id] = replace(operation, **fields)

    def _seen(self, operation: Operation) -> Operation:
        story = [e for e in self._events if e.operation_id == operation.id]
        steps = {
            e.name: StepRecord(e.seq, e.name, e.phase, e.at, e.detail)
            for e in story
            if e.phase not in TALK
        }
        records = tuple(
            steps.get(step.name) or StepRecord(seq, step.name, StepPhase.PENDING, None, "")
            for seq, step in enumerate(operation.plan.steps, 1)
        )
        running = operation.state is OperationState.RUNNING
        question = open_question(operation.plan, story) if running else None
        operation = replace(operation, steps=records, question=question)
        waited = (self._clock.now() - self._waiting[operation.id]).total_seconds()
        late = not 0 <= waited <= SUBMIT_GRACE_SECONDS
        needs_runner = operation.state is OperationState.RUNNING or (
            operation.state is OperationState.SUBMITTED and late
        )
        if self.runner_alive or not needs_runner:
            return operation
        why = operation.outcome_message
        return replace(
            operation,
            state=OperationState.INTERRUPTED,
            exit_code=4,
            outcome_message=f"{RUNNER_GONE} ({why})" if why else RUNNER_GONE,
            remedy=ways_on(operation.id),
            question=None,
        )

    def _audit_outcome(self, operation: Operation) -> None:
        actor, reason = self._acting[operation.id]
        self._add(
            self._clock.now(),
            asdict(actor),
            f"{operation.verb} {operation.plan.summary}",
            operation.state.value,
            reason or operation.reason,
            operation.id,
            {"message": operation.outcome_message},
        )

    def _add(
        self,
        at: datetime,
        actor: dict[str, Json],
        what: str,
        outcome: str,
        reason: str,
        operation_id: str | None,
        details: Mapping[str, Json],
    ) -> None:
        previous = self._entries[-1]["hash"] if self._entries else GENESIS
        content: dict[str, Json] = {
            "at": at.isoformat(),
            "actor": {k: plain_text(v) if isinstance(v, str) else v for k, v in actor.items()},
            "what": plain_text(what),
            "outcome": outcome,
            "reason": plain_text(reason),
            "operation_id": operation_id,
            "details": dict(details),
        }
        self._entries.append(seal(content, len(self._entries) + 1, previous))
