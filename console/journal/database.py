"""
The journal's SQLite file: schema, transactions, and errors in the operator's words.

A connection is opened for each transaction: the file may be used by several
threads and processes, and one that died must leave nothing behind.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from console.errors import ConsoleError, Refused, Unreachable
from console.modes import make_directory, open_file

SCHEMA_VERSION = 1
BUSY_TIMEOUT_SECONDS = 5.0

#: What goes without any journal; ends the remedy of a broken one.
_IN_NEED = "in need, restart and scale go with --no-journal"

_SCHEMA = """
create table meta (key text primary key, value text not null) without rowid;
create table operations (
    number integer primary key autoincrement,
    verb text not null,
    state text not null,
    mode text not null default 'run',
    attempt integer not null default 0,
    actor text not null,
    reason text not null,
    acting text not null,
    acting_reason text not null,
    plan text not null,
    submitted_at text not null,
    waiting_since text not null,
    started_at text,
    ended_at text,
    verified integer not null default 0,
    exit_code integer,
    outcome_message text not null default '',
    remedy text not null default '',
    cancel_requested integer not null default 0
);
create index operations_state on operations (state);
create table events (
    id integer primary key autoincrement,
    operation integer not null references operations (number),
    seq integer not null,
    name text not null,
    phase text not null,
    at text not null,
    detail text not null
);
create index events_operation on events (operation, id);
create table audit (
    seq integer primary key,
    line text not null,
    written integer not null default 0
);
create index audit_unwritten on audit (seq) where written = 0;
"""


class JournalDatabase:
    """
    Transactions on ``STATE/journal.db``.

    Args:
        state: The state directory; made at the first write.
    """

    def __init__(self, state: Path) -> None:
        self.state = state
        self.path = state / "journal.db"

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """
        Give one consistent view; an empty one when there is no journal yet.

        Raises:
            Unreachable: When the journal is damaged or does not answer.
        """
        try:
            if self.path.exists():
                with closing(_connect(str(self.path))) as connection:
                    if self._version(connection):
                        connection.execute("begin")
                        yield connection
                        return
            with closing(_connect(":memory:")) as empty:
                empty.executescript(_SCHEMA)
                yield empty
        except (sqlite3.Error, OSError) as error:
            raise self._explain(error, writing=False) from error

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """
        Give a transaction that no other writer can enter; commits on the way out.

        Raises:
            Unreachable: When the journal is damaged or does not answer.
            Refused: When it cannot be written (disk full, read-only).
        """
        try:
            self._prepare()
            with closing(_connect(str(self.path))) as connection:
                if self._version(connection) == 0:
                    _turn_on_wal(connection)
                connection.execute("pragma synchronous = full")
                connection.execute("begin immediate")
                try:
                    if self._version(connection) == 0:
                        _create(connection)
                    yield connection
                except BaseException:
                    connection.rollback()
                    raise
                connection.commit()
        except (sqlite3.Error, OSError) as error:
            raise self._explain(error, writing=True) from error

    def _prepare(self) -> None:
        make_directory(self.state)
        if not self.path.exists():
            # SQLite gives its side files the mode of the database.
            os.close(open_file(self.path, os.O_RDWR))

    def _version(self, connection: sqlite3.Connection) -> int:
        """Return the schema version, 0 while there are no tables yet."""
        version = int(connection.execute("pragma user_version").fetchone()[0])
        if version not in {0, SCHEMA_VERSION}:
            raise Unreachable(
                f"the journal {self.path} has schema {version}, "
                f"this version knows {SCHEMA_VERSION}",
                unchanged="nothing was changed",
                remedy="use the version of the console that wrote it",
            )
        return version

    def _explain(self, error: sqlite3.Error | OSError, *, writing: bool) -> ConsoleError:
        code = getattr(error, "sqlite_errorcode", None)
        primary = None if code is None else code & 0xFF
        if primary in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB} or (
            isinstance(error, sqlite3.DatabaseError) and "no such table" in str(error)
        ):
            return Unreachable(
                f"the journal {self.path} is damaged: {error}",
                unchanged="no operation was started or changed; replicas run on, "
                "status and logs still work",
                remedy=f"mv {self.path} {self.path}.damaged  "
                f"(the next change begins a new one, which goes on with the audit); {_IN_NEED}",
            )
        if primary == sqlite3.SQLITE_BUSY:
            return Unreachable(
                f"the journal {self.path} is held by another process "
                f"for more than {BUSY_TIMEOUT_SECONDS:g} s",
                unchanged="nothing was changed",
                remedy="try again; fragrance operations list",
            )
        if writing:
            return Refused(
                f"the journal {self.path} cannot be written: {error}",
                unchanged="nothing was changed; status and logs still work",
                remedy=f"look at the disk (df -h {self.state}) and at its owner, "
                f"or choose another with --state DIR; {_IN_NEED}",
            )
        return Unreachable(
            f"the journal {self.path} cannot be read: {error}",
            unchanged="nothing was changed; status and logs still work",
            remedy=f"look at the disk (df -h {self.state}) and at its owner; {_IN_NEED}",
        )


def _connect(path: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_SECONDS, isolation_level=None)
    connection.row_factory = sqlite3.Row
    return connection


def _create(connection: sqlite3.Connection) -> None:
    for statement in filter(str.strip, _SCHEMA.split(";")):
        connection.execute(statement)
    connection.execute(f"pragma user_version = {SCHEMA_VERSION}")


def _turn_on_wal(connection: sqlite3.Connection) -> None:
    """Switch the journal mode; SQLite does not wait by itself for another who does."""
    deadline = time.monotonic() + BUSY_TIMEOUT_SECONDS
    while True:
        try:
            connection.execute("pragma journal_mode = wal")
            return
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
