"""The journal: operations, their steps, changes and elevation, durable and shared."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

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
    Operation,
    OperationState,
    StepEvent,
    StepPhase,
)
from console.domain.plans import Plan
from console.domain.questions import SETTLED, answer_words, check_answer
from console.domain.text import plain_text
from console.journal import records
from console.journal.liveness import runner_is_alive
from console.journal.logbook import Logbook

#: What set_state may write besides the state.
_FIELDS = frozenset(
    {"started_at", "ended_at", "verified", "exit_code", "outcome_message", "remedy"}
)
_UNFINISHED = tuple(sorted(UNFINISHED))


class JournalStore(Logbook):
    """
    The journal of one stack, in its state directory.

    Every call is one transaction on a connection of its own, so any number of
    threads and processes may use it.  Nothing is opened before the first call: a
    damaged journal must not keep ``status`` and ``logs`` from working.

    Args:
        state: The state directory; made at the first write.
        clock: Gives the times of record.
    """

    def submit(self, plan: Plan, actor: Actor, reason: str) -> Operation:
        """
        Record a new operation.

        Raises:
            Busy: When another one is unfinished; says by whom, since when, and
                what to type.
        """
        now = records.encode_time(self._clock.now())
        who, why = records.encode_actor(actor), plain_text(reason)
        with self._writing() as connection:
            self._settle_gone(connection)
            for other in self._load(connection, _where_unfinished(), _UNFINISHED):
                raise busy_with(other)
            number = connection.execute(
                "insert into operations (verb, state, actor, reason, acting, acting_reason, plan,"
                " submitted_at, waiting_since) values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    plan.verb,
                    OperationState.SUBMITTED,
                    who,
                    why,
                    who,
                    why,
                    records.encode_plan(plan),
                    now,
                    now,
                ),
            ).lastrowid
            return self._get(connection, records.operation_id(number or 0))

    def operation(self, operation_id: str) -> Operation:
        """Return one operation; raises UsageError for an unknown id."""
        number = records.operation_number(operation_id)
        return self._seen("where number = ?", (number,), operation_id)[0]

    def operations(self, limit: int = 50, before: str | None = None) -> list[Operation]:
        """Return operations, newest first; older than the one called *before* if given."""
        if before is None:
            return self._seen("order by number desc limit ?", (limit,))
        number = records.operation_number(before)
        return self._seen("where number < ? order by number desc limit ?", (number, limit))

    def unfinished(self) -> Operation | None:
        """Return the operation that forbids a new one, or None."""
        return next(iter(self._seen(_where_unfinished(), _UNFINISHED)), None)

    def claim(self, operation_id: str, mode: str) -> Operation:
        """
        Take an operation over as its runner, which must hold the lock.

        Raises:
            Refused: When it was settled meanwhile, or is to be run in another mode.
        """
        with self._writing() as connection:
            operation = self._get(connection, operation_id)
            number = records.operation_number(operation_id)
            row = connection.execute(
                "select mode from operations where number = ?", (number,)
            ).fetchone()
            check_claim(operation, row["mode"], mode)
            connection.execute(
                "update operations set state = ?, attempt = attempt + 1, ended_at = null,"
                " exit_code = null, outcome_message = '', remedy = '',"
                " started_at = coalesce(started_at, ?) where number = ?",
                (OperationState.RUNNING, records.encode_time(self._clock.now()), number),
            )
            return self._get(connection, operation_id)

    def set_state(self, operation_id: str, state: OperationState, **fields: object) -> None:
        """
        Move an operation on; states of rest add the audit entry in the same transaction.

        Args:
            operation_id: Which.
            state: Where it stands now.
            fields: ``started_at``, ``ended_at``, ``verified``, ``exit_code``,
                ``outcome_message`` or ``remedy``.
        """
        if unknown := fields.keys() - _FIELDS:
            raise ValueError(f"an operation has no {sorted(unknown)}")
        values = {key: _column(value) for key, value in fields.items()}
        number = records.operation_number(operation_id)
        assignments = "".join(f", {key} = ?" for key in values)
        with self._writing() as connection:
            self._get(connection, operation_id)
            connection.execute(
                f"update operations set state = ?{assignments} where number = ?",  # noqa: S608 -- keys are of _FIELDS
                (state, *values.values(), number),
            )
            if state not in UNFINISHED or state is OperationState.FROZEN:
                self._audit_outcome(connection, self._get(connection, operation_id))

    def step(self, operation_id: str, seq: int, name: str, phase: StepPhase, detail: str) -> None:
        """Record a step event."""
        with self._writing(audited=False) as connection:
            connection.execute(
                "insert into events (operation, seq, name, phase, at, detail)"
                " values (?, ?, ?, ?, ?, ?)",
                (
                    records.operation_number(operation_id),
                    seq,
                    name,
                    phase,
                    records.encode_time(self._clock.now()),
                    plain_text(detail),
                ),
            )

    def events(self, operation_id: str, after_event_id: int = 0) -> list[StepEvent]:
        """Return step events after one already seen, oldest first."""
        number = records.operation_number(operation_id)
        with self._database.reading() as connection:
            rows = connection.execute(
                "select * from events where operation = ? and id > ? order by id",
                (number, after_event_id),
            ).fetchall()
        return [records.decode_event(row) for row in rows]

    def request_cancel(self, operation_id: str) -> None:
        """Ask the runner to stop at its next step boundary."""
        with self._writing() as connection:
            self._settle_gone(connection)
            check_cancel(self._get(connection, operation_id))
            connection.execute(
                "update operations set cancel_requested = 1 where number = ?",
                (records.operation_number(operation_id),),
            )

    def reopen(self, operation_id: str, actor: Actor, mode: str, reason: str = "") -> Operation:
        """
        Make an operation ready to ``run`` again or to ``undo``.

        Raises:
            Busy: When it is at work, or another one is unfinished.
            Refused: When *mode* makes no sense in its state.
        """
        now = records.encode_time(self._clock.now())
        with self._writing() as connection:
            self._settle_gone(connection)
            operation = self._get(connection, operation_id)
            number = records.operation_number(operation_id)
            check_reopen(operation, mode, self._load(connection, "where number <> ?", (number,)))
            connection.execute(
                "update operations set state = ?, mode = ?, waiting_since = ?, acting = ?,"
                " acting_reason = ?, ended_at = null, exit_code = null, verified = 0,"
                " outcome_message = '', remedy = '', cancel_requested = 0 where number = ?",
                (
                    OperationState.SUBMITTED,
                    mode,
                    now,
                    records.encode_actor(actor),
                    plain_text(reason),
                    number,
                ),
            )
            return self._get(connection, operation_id)

    def answer(
        self,
        operation_id: str,
        word: str,
        actor: Actor | None,
        reason: str = "",
        step: str | None = None,
    ) -> None:
        """Answer what a running operation asks; audited, and refused once it is answered."""
        now = records.encode_time(self._clock.now())
        number = records.operation_number(operation_id)
        with self._writing() as connection:
            self._settle_gone(connection)
            operation = self._get(connection, operation_id)
            question = check_answer(operation, word, step)
            seq = [s.name for s in operation.plan.steps].index(question.step) + 1
            told = plain_text(answer_words(word, actor, reason))
            connection.execute(
                "insert into events (operation, seq, name, phase, at, detail)"
                " values (?, ?, ?, ?, ?, ?)",
                (number, seq, question.step, StepPhase.ANSWERED, now, told),
            )
            if word == SETTLED:
                return  # nobody decided anything
            self._add_answer(connection, operation, question, word, actor, reason)

    def accept(self, operation_id: str, actor: Actor, reason: str) -> None:
        """Settle an interrupted or frozen operation as it stands; audited."""
        now = self._clock.now()
        with self._writing() as connection:
            self._settle_gone(connection)
            operation = self._get(connection, operation_id)
            check_accept(operation)
            connection.execute(
                "update operations set state = ?, acting = ?, acting_reason = ?, ended_at = ?,"
                " exit_code = 0, outcome_message = ?, remedy = '' where number = ?",
                (
                    OperationState.ACCEPTED,
                    records.encode_actor(actor),
                    plain_text(reason),
                    records.encode_time(now),
                    f"accepted as it stood; before: {operation.outcome_message}",
                    records.operation_number(operation_id),
                ),
            )
            self._audit_outcome(connection, self._get(connection, operation_id))

    # -------------------------------------------------------------------------

    def _load(
        self, connection: sqlite3.Connection, clause: str, values: Iterable[object]
    ) -> list[Operation]:
        rows = connection.execute(f"select * from operations {clause}", tuple(values)).fetchall()  # noqa: S608 -- our own clauses
        return [
            records.decode_operation(
                row,
                connection.execute(
                    "select * from events where operation = ? order by id", (row["number"],)
                ),
            )
            for row in rows
        ]

    def _get(self, connection: sqlite3.Connection, operation_id: str) -> Operation:
        number = records.operation_number(operation_id)
        for operation in self._load(connection, "where number = ?", (number,)):
            return operation
        raise records.unknown_operation(operation_id)

    def _seen(
        self, clause: str, values: Iterable[object], operation_id: str | None = None
    ) -> list[Operation]:
        """
        Return operations as they are to be shown: one without a runner is interrupted.

        A runner writes its outcome before it lets go of the lock, so an operation
        is judged gone only if its row says the same before and after the look at
        the lock.
        """
        values = tuple(values)
        before, operations = self._read(clause, values)
        if operation_id is not None and not operations:
            raise records.unknown_operation(operation_id)
        if not self._gone(before) or runner_is_alive(self._state):
            return operations
        after, operations = self._read(clause, values)
        gone = self._gone(before) & self._gone(after)
        return [
            replace(
                operation,
                state=OperationState.INTERRUPTED,
                exit_code=4,
                outcome_message=_gone_message(operation),
                remedy=ways_on(operation.id),
                question=None,
            )
            if operation.id in {name for name, _ in gone}
            else operation
            for operation in operations
        ]

    def _read(
        self, clause: str, values: tuple[object, ...]
    ) -> tuple[list[sqlite3.Row], list[Operation]]:
        with self._database.reading() as connection:
            rows = connection.execute(
                f"select number, state, attempt, waiting_since from operations {clause}",  # noqa: S608 -- our own clauses
                values,
            ).fetchall()
            return rows, self._load(connection, clause, values)

    def _gone(self, rows: Iterable[sqlite3.Row]) -> set[tuple[str, int]]:
        """Return (id, attempt) of those that need a runner now and may lack one."""
        now = self._clock.now()
        gone = set()
        for row in rows:
            waited = (now - datetime.fromisoformat(row["waiting_since"])).total_seconds()
            if row["state"] == OperationState.RUNNING or (
                row["state"] == OperationState.SUBMITTED and not 0 <= waited <= SUBMIT_GRACE_SECONDS
            ):
                gone.add((records.operation_id(row["number"]), row["attempt"]))
        return gone

    def _settle_gone(self, connection: sqlite3.Connection) -> None:
        """Write down what :meth:`_seen` shows; nobody else writes meanwhile."""
        rows = connection.execute(
            f"select number, state, attempt, waiting_since from operations {_where_unfinished()}",  # noqa: S608 -- placeholders only
            _UNFINISHED,
        ).fetchall()
        gone = self._gone(rows)
        if not gone or runner_is_alive(self._state):
            return
        for operation_id, _ in gone:
            connection.execute(
                "update operations set state = ?, exit_code = 4, outcome_message = ?, remedy = ?"
                " where number = ?",
                (
                    OperationState.INTERRUPTED,
                    _gone_message(self._get(connection, operation_id)),
                    ways_on(operation_id),
                    records.operation_number(operation_id),
                ),
            )

    def _audit_outcome(self, connection: sqlite3.Connection, operation: Operation) -> None:
        row = connection.execute(
            "select acting, acting_reason from operations where number = ?",
            (records.operation_number(operation.id),),
        ).fetchone()
        self._audit.add(
            connection,
            {
                "at": records.encode_time(self._clock.now()),
                "kind": "operation",
                "actor": records.actor_fields(records.decode_actor(row["acting"])),
                "what": plain_text(f"{operation.verb} {operation.plan.summary}"),
                "outcome": operation.state.value,
                "reason": row["acting_reason"] or operation.reason,
                "operation_id": operation.id,
                "details": {
                    "submitted_by": str(operation.actor),
                    "message": operation.outcome_message,
                    "verified": "yes" if operation.verified else "no",
                    **{f"list {item.id}": item.state for item in operation.plan.checklist},
                },
            },
        )


def _where_unfinished() -> str:
    return f"where state in ({', '.join('?' * len(_UNFINISHED))})"


def _gone_message(operation: Operation) -> str:
    why = operation.outcome_message
    return f"{RUNNER_GONE} ({why})" if why else RUNNER_GONE


def _column(value: object) -> object:
    if isinstance(value, datetime):
        return records.encode_time(value)
    return plain_text(value, 2000) if isinstance(value, str) else value
