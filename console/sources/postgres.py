"""The database: does it answer, how many connections, which migration."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from console.domain.readings import DatabaseReading
from console.domain.services import Role, Topology
from console.domain.text import plain_text
from console.errors import Unreachable
from console.ports import Runtime
from console.sources.addresses import resolve, running_url

if TYPE_CHECKING:
    import psycopg

TIMEOUT_SECONDS = 2.0
#: A kept connection is served by a process of its own, also when the server accepts
#: nobody else any more; so now and then a new one must succeed.
CONNECTION_SECONDS = 10.0
CONNECTIONS = (
    b"SELECT (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'),"
    b" current_setting('max_connections'), to_regclass('alembic_version') IS NOT NULL"
)
REVISION = b"SELECT version_num FROM alembic_version LIMIT 1"


class PostgresSource:
    """
    Ask the first database service over one kept connection.

    Args:
        runtime: Gives the connection URL.
    """

    name = "database"
    interval_seconds = 2.0

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._connection: psycopg.Connection | None = None
        self._url = ""
        self._connected_at = 0.0

    def read(self, topology: Topology | None) -> DatabaseReading:
        """
        Return connections and migration revision.

        Raises:
            NotSupported: If there is no database whose address is known.
            Unreachable: If it does not answer within two seconds.
        """
        import psycopg

        try:
            url = running_url(self._runtime, topology, Role.DATABASE)
        except Unreachable:
            self.close()
            raise
        url = url.replace("postgresql+psycopg://", "postgresql://", 1)
        deadline = time.monotonic() + TIMEOUT_SECONDS
        try:
            age = time.monotonic() - self._connected_at
            fresh = self._connection is None or self._url != url or age > CONNECTION_SECONDS
            if fresh:
                self._connect(url, deadline)
            try:
                return self._ask(deadline)
            except psycopg.OperationalError:
                if fresh or time.monotonic() >= deadline:
                    raise
                # The kept connection broke; that alone says nothing of the server.
                self._connect(url, deadline)
                return self._ask(deadline)
        except psycopg.Error as error:
            self.close()
            raise Unreachable(_words(error)) from error
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the kept connection; the next read opens a new one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _connect(self, url: str, deadline: float) -> None:
        import psycopg
        from psycopg.conninfo import make_conninfo

        self.close()
        host = urlsplit(url).hostname
        left = max(0.1, deadline - time.monotonic())
        conninfo = make_conninfo(
            url,
            hostaddr=resolve(host, left) if host and not host.startswith("/") else None,
            connect_timeout=2,  # the least that libpq accepts
            application_name="fragrance-console",
        )
        self._connection = psycopg.connect(conninfo, autocommit=True)
        self._url, self._connected_at = url, time.monotonic()

    def _ask(self, deadline: float) -> DatabaseReading:
        connections, allowed, migrated = self._query(CONNECTIONS, deadline)
        revision = self._query(REVISION, deadline)[0] if migrated == b"t" else None
        return DatabaseReading(
            connections=int(connections or 0),
            connections_max=int(allowed or 0),
            revision=revision.decode() if revision else None,
        )

    def _query(self, statement: bytes, deadline: float) -> tuple[bytes | None, ...]:
        """
        Run one statement and return its first row, all None when there is none.

        Through libpq and a bounded wait: ``execute`` would wait for ever on a
        server that was stopped, and a statement timeout is the server's own.
        """
        import psycopg
        from psycopg import generators, pq

        if self._connection is None:
            raise psycopg.OperationalError("not connected")
        server = self._connection.pgconn
        server.send_query(statement)
        left = max(0.05, deadline - time.monotonic())
        # Without an interval of its own the wait would not look at the time.
        result = self._connection.wait(generators.execute(server), interval=left, timeout=left)[0]
        if result.status != pq.ExecStatus.TUPLES_OK:
            raise psycopg.OperationalError(result.error_message.decode("utf-8", "replace").strip())
        row: tuple[bytes | None, ...] = tuple(
            result.get_value(0, column) if result.ntuples else None
            for column in range(result.nfields)
        )
        return row


def _words(error: psycopg.Error) -> str:
    """Return what a database error means, without addresses and hints."""
    import psycopg

    text = str(error)
    told = {
        "Connection refused": "connection refused",
        "password authentication failed": "refuses the password",
        "starting up": "is starting up",
        "shutting down": "is shutting down",
        "too many clients": "has no connection left",
        "remaining connection slots": "has no connection left",
        "recovery mode": "is recovering from a crash",
        "terminating connection": "closed the connection",
        "closed the connection": "closed the connection",
    }
    for part, words in told.items():
        if part in text:
            return f"database: {words}"
    if isinstance(error, psycopg.errors.ConnectionTimeout | psycopg.errors._WaitTimeout):
        return f"database does not answer within {TIMEOUT_SECONDS:g} s"
    return f"database: {plain_text(text, 160) or type(error).__name__}"
