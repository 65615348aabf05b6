"""Changes, the audit and write access: the part of the journal that is about people."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import msgspec

from console.decoding import decoder
from console.domain.audit import AuditVerdict
from console.domain.operations import Actor, Change, OpenQuestion, Operation
from console.domain.plans import Json
from console.domain.text import plain_text
from console.errors import ConsoleError
from console.journal import records
from console.journal.audit import AuditLog
from console.journal.database import JournalDatabase
from console.ports import Clock


@dataclass(frozen=True, slots=True)
class _Grant:
    """Write access: to whom, from when, until when."""

    actor: Actor
    since: datetime
    until: datetime


class Logbook:
    """
    Who changed what, and who may.

    Args:
        state: The state directory.
        clock: Gives the times of record.
    """

    def __init__(self, state: Path, clock: Clock) -> None:
        self._state = state
        self._clock = clock
        self._database = JournalDatabase(state)
        self._audit = AuditLog(state)

    def record(self, change: Change, note: tuple[str, str] | None = None) -> None:
        """
        Record a change that is no operation (start, stop, elevation), audited alike.

        Args:
            change: What happened.
            note: Key and text of what :meth:`note` is to tell from now on.
        """
        with self._writing() as connection:
            if note is not None:
                connection.execute(
                    "insert or replace into meta values (?, ?)", (f"note.{note[0]}", note[1])
                )
            self._audit.add(
                connection,
                {
                    "at": records.encode_time(change.at),
                    "kind": "change",
                    "actor": {"user": plain_text(change.actor, 130)},
                    "what": plain_text(change.what),
                    "outcome": plain_text(change.outcome, 100),
                    "reason": plain_text(change.reason),
                    "operation_id": change.operation_id,
                    "details": {k: plain_text(v) for k, v in change.details.items()},
                },
            )

    def note(self, key: str) -> str | None:
        """Return what was last noted under *key*, None when nothing was."""
        with self._database.reading() as connection:
            row = connection.execute(
                "select value from meta where key = ?", (f"note.{key}",)
            ).fetchone()
        return None if row is None else str(row["value"])

    def changes(self, limit: int = 20, operation_id: str | None = None) -> list[Change]:
        """Return the last changes by anybody, newest first; of one operation if given."""
        return [
            Change(
                at=datetime.fromisoformat(entry["at"]),
                actor=_actor_words(entry["actor"]),
                what=entry["what"],
                outcome=entry["outcome"],
                reason=entry["reason"],
                operation_id=entry["operation_id"],
                details=entry["details"],
            )
            for entry in self._entries(limit, operation_id)
        ]

    def audit(self, limit: int = 50, before: int | None = None) -> list[dict[str, Json]]:
        """Return the last audit entries (before number *before*), newest first, as written."""
        return self._entries(limit, before=before)

    def _entries(
        self, limit: int, operation_id: str | None = None, before: int | None = None
    ) -> list[dict[str, Json]]:
        terms = {
            "json_extract(line, '$.operation_id') = ?": operation_id,
            "seq < ?": before,
        }
        given = {term: value for term, value in terms.items() if value is not None}
        chosen = f"where {' and '.join(given)}" if given else ""
        values = (*given.values(), limit)
        with self._database.reading() as connection:
            rows = connection.execute(
                f"select line from audit {chosen} order by seq desc limit ?",  # noqa: S608 -- our own clause
                values,
            ).fetchall()
        return [json.loads(row["line"]) for row in rows]

    def verify_audit(self) -> AuditVerdict:
        """Recompute the audit's chain against the head kept in the journal."""
        with self._database.reading() as connection:
            return self._audit.verify(connection)

    def elevated_until(self) -> datetime | None:
        """Return when the present write access ends, None when there is none."""
        with self._database.reading() as connection:
            grant = _grant(connection)
        return grant.until if grant is not None and grant.until > self._clock.now() else None

    def elevate(self, actor: Actor, until: datetime, reason: str) -> None:
        """Grant write access until a moment (now or earlier: end it); audited."""
        now = self._clock.now()
        with self._writing() as connection:
            grant = _grant(connection)
            if grant is not None and grant.until <= now:
                self._end_access(connection, grant, "expired", grant.actor, "")
                grant = None
            if until <= now:
                if grant is not None:
                    self._end_access(connection, grant, "ended", actor, reason)
                return
            # Prolonged: what it is used for counts from its beginning.
            grant = _Grant(actor, now if grant is None else grant.since, until)
            connection.execute(
                "insert or replace into meta values ('elevated', ?)",
                (msgspec.json.encode(grant).decode(),),
            )
            what = f"write access until {until:%H:%M} UTC"
            self._add_access(connection, what, "granted", actor, reason, {})

    def settle_elevation(self) -> None:
        """Record the end of write access that ran out, and what used it; else do nothing."""
        now = self._clock.now()
        with self._database.reading() as connection:
            grant = _grant(connection)
        if grant is None or grant.until > now:
            return
        with self._writing() as connection:
            if _grant(connection) == grant:
                self._end_access(connection, grant, "expired", grant.actor, "")

    def _end_access(
        self,
        connection: sqlite3.Connection,
        grant: _Grant,
        outcome: str,
        actor: Actor,
        reason: str,
    ) -> None:
        used = connection.execute(
            "select number from operations where waiting_since >= ? order by number",
            (records.encode_time(grant.since),),
        ).fetchall()
        connection.execute("delete from meta where key = 'elevated'")
        details: dict[str, Json] = {
            "granted_to": str(grant.actor),
            "used_by": ", ".join(records.operation_id(row["number"]) for row in used) or "nothing",
        }
        what = f"write access since {grant.since:%H:%M} UTC"
        self._add_access(connection, what, outcome, actor, reason, details)

    def _add_access(
        self,
        connection: sqlite3.Connection,
        what: str,
        outcome: str,
        actor: Actor,
        reason: str,
        details: dict[str, Json],
    ) -> None:
        self._audit.add(
            connection,
            {
                "at": records.encode_time(self._clock.now()),
                "kind": "access",
                "actor": records.actor_fields(actor),
                "what": what,
                "outcome": outcome,
                "reason": plain_text(reason),
                "operation_id": None,
                "details": details,
            },
        )

    def _add_answer(
        self,
        connection: sqlite3.Connection,
        operation: Operation,
        question: OpenQuestion,
        word: str,
        actor: Actor | None,
        reason: str,
    ) -> None:
        what = f"answer to {operation.verb} {operation.plan.summary}: {question.text}"
        self._audit.add(
            connection,
            {
                "at": records.encode_time(self._clock.now()),
                "kind": "answer",
                "actor": {"user": "nobody"} if actor is None else records.actor_fields(actor),
                "what": plain_text(what),
                "outcome": word,
                "reason": plain_text(reason),
                "operation_id": operation.id,
                "details": {"step": question.step, "seen": question.seen},
            },
        )

    @contextmanager
    def _writing(self, *, audited: bool = True) -> Iterator[sqlite3.Connection]:
        with self._database.writing() as connection:
            yield connection
        if audited:
            # What cannot be appended now stays in the outbox for the next writer.
            with suppress(ConsoleError), self._database.writing() as connection:
                self._audit.flush(connection)


def _grant(connection: sqlite3.Connection) -> _Grant | None:
    """Return the last grant of write access whose end is not recorded."""
    row = connection.execute("select value from meta where key = 'elevated'").fetchone()
    try:
        return None if row is None else decoder(_Grant).decode(row["value"])
    except msgspec.MsgspecError:
        return None  # nobody who can be named: none


def _actor_words(actor: dict[str, Json]) -> str:
    origin = actor.get("origin", "local")
    return str(actor["user"]) if origin == "local" else f"{actor['user']} ({origin})"
