"""One connection of its own to tell whether the database answers, whatever the pool does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import psycopg

from backend.contracts.settings import Settings

CONNECT_TIMEOUT_SECONDS = 2
_VERSIONS = Path(__file__).parents[1] / "migrations" / "versions"


@dataclass(frozen=True, slots=True)
class SchemaState:
    """
    Whether this release can work on the database's schema.

    Args:
        revision: What the database is at, None for an empty one.
        problem: Why this release cannot use it; None when it can.
    """

    revision: str | None
    problem: str | None


class DatabaseProbe:
    """
    Ask the database for its schema revision over a connection that is kept.

    A newer revision than the packaged ones is accepted: that is what the release before
    meets in a rolling deploy, after an expand migration.
    """

    def __init__(self, settings: Settings) -> None:
        self._url = settings.database_dsn.replace("postgresql+psycopg://", "postgresql://")
        self._name = f"{settings.replica_name} probe"
        self._connection: psycopg.AsyncConnection | None = None
        self._known = packaged_revisions()

    async def ask(self) -> SchemaState:
        """
        Return the schema's state.

        Raises:
            psycopg.Error: If the database cannot be reached; the next call connects anew.
        """
        try:
            if self._connection is None or self._connection.closed:
                self._connection = await psycopg.AsyncConnection.connect(
                    self._url,
                    connect_timeout=CONNECT_TIMEOUT_SECONDS,
                    application_name=self._name,
                    autocommit=True,
                    keepalives_idle=10,
                    tcp_user_timeout=10000,
                )
            return self._judge(await self._revision(self._connection))
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            connection, self._connection = self._connection, None
            await connection.close()

    async def _revision(self, connection: psycopg.AsyncConnection) -> str | None:
        try:
            cursor = await connection.execute("SELECT version_num FROM alembic_version")
        except psycopg.errors.UndefinedTable:
            return None
        row = await cursor.fetchone()
        return None if row is None else str(row[0])

    def _judge(self, revision: str | None) -> SchemaState:
        needed = self._known[-1]
        if revision is None:
            return SchemaState(None, "database is empty: run migrate upgrade")
        if revision in self._known[:-1]:
            problem = f"database is at revision {revision}, this release needs {needed}"
            return SchemaState(revision, problem)
        return SchemaState(revision, None)


def packaged_revisions() -> tuple[str, ...]:
    """Return the revisions this release knows, oldest first, by their files' numbers."""
    return tuple(sorted(path.name.split("_")[0] for path in _VERSIONS.glob("[0-9]*_*.py")))
