"""
Run migrations so that two of them at once do no harm.

Alembic itself takes no lock.  Here one session-level advisory lock is held for the whole
run (a transaction-level one would end with the first ``CONCURRENTLY``), and each
statement waits only briefly for a table, so that a migration never queues the
application's requests behind itself: it gives way and tries again.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tenacity
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.pool import NullPool

ADVISORY_LOCK_KEY = 0x4652_4147  # "FRAG"
LOCK_WAIT_SECONDS = 120.0
"""How long to wait for another migration to end."""

TABLE_LOCK_TIMEOUT = "1s"
TABLE_LOCK_ATTEMPTS = 20
_LOCK_NOT_AVAILABLE = "55P03"


class MigrationError(RuntimeError):
    """The migration did not run; the database is at the revision that ``current`` shows."""


@dataclass(frozen=True, slots=True)
class Revision:
    """One revision as listed; ``migration_class`` is ``expand`` or ``contract``."""

    revision: str
    down_revision: str | None
    migration_class: str
    subject: str
    is_head: bool


def alembic_config(**attributes: object) -> Config:
    """Return Alembic's configuration for the packaged scripts; there is no ini file."""
    config = Config(stdout=io.StringIO())
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes.update(attributes)
    return config


class Migrator:
    """
    Bring one database from revision to revision.

    Args:
        url: SQLAlchemy URL.
        lock_wait_seconds: How long to wait for another migration to end.
    """

    def __init__(self, url: str, lock_wait_seconds: float = LOCK_WAIT_SECONDS) -> None:
        self._engine: Engine = create_engine(
            url,
            poolclass=NullPool,
            connect_args={"connect_timeout": 5, "application_name": "migrate"},
        )
        self._lock_wait_seconds = lock_wait_seconds

    def upgrade(self, revision: str = "head") -> None:
        """Go up to *revision*; raises MigrationError."""
        self._run(lambda config: command.upgrade(config, revision))

    def downgrade(self, revision: str = "-1") -> None:
        """Go down to *revision*, ``base`` or a number of steps; raises MigrationError."""
        self._run(lambda config: command.downgrade(config, revision))

    def create(self, message: str, migration_class: str) -> Path:
        """
        Write a revision from the difference between tables and database.

        Args:
            message: Its subject, also part of the file's name.
            migration_class: ``expand`` or ``contract``.
        Returns:
            The file; to be read, documented and corrected by a person.
        """
        number = f"{len(revisions()) + 1:04d}"
        with self._locked() as connection:
            config = alembic_config(connection=connection, migration_class=migration_class)
            with _own_errors():
                made = command.revision(config, message, autogenerate=True, rev_id=number)
        script = made[0] if isinstance(made, list) else made
        if script is None:
            raise MigrationError("nothing was written")
        return Path(script.path)

    def current(self) -> str | None:
        """Return the revision the database is at, None for an empty one."""
        with _own_errors(), self._engine.connect() as connection:
            return MigrationContext.configure(connection).get_current_revision()

    def _run(self, action: Callable[[Config], None]) -> None:
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(_is_table_lock),
            wait=tenacity.wait_random_exponential(multiplier=0.2, max=3.0),
            stop=tenacity.stop_after_attempt(TABLE_LOCK_ATTEMPTS),
            reraise=True,
        )
        with _own_errors(), self._locked() as connection:
            # Each migration is a transaction of its own: trying again skips what is done.
            retrying(self._attempt, action, connection)

    def _attempt(self, action: Callable[[Config], None], connection: Connection) -> None:
        try:
            action(alembic_config(connection=connection))
        finally:
            if connection.in_transaction():
                connection.rollback()

    @contextmanager
    def _locked(self) -> Iterator[Connection]:
        deadline = time.monotonic() + self._lock_wait_seconds
        with _own_errors(), self._engine.connect() as connection:
            while not _try_lock(connection):
                if time.monotonic() > deadline:
                    raise MigrationError(
                        f"another migration is running and did not end within "
                        f"{self._lock_wait_seconds:g} s"
                    )
                time.sleep(0.2)
            connection.execute(text(f"SET lock_timeout = '{TABLE_LOCK_TIMEOUT}'"))
            connection.commit()
            # The lock belongs to the session and ends with the connection (NullPool).
            yield connection


def _try_lock(connection: Connection) -> bool:
    got = connection.execute(
        text("SELECT pg_try_advisory_lock(:key)"), {"key": ADVISORY_LOCK_KEY}
    ).scalar_one()
    connection.commit()
    return bool(got)


def revisions() -> list[Revision]:
    """List the packaged revisions, newest first."""
    scripts = ScriptDirectory.from_config(alembic_config())
    found = []
    for script in scripts.walk_revisions():
        down: Any = script.down_revision
        found.append(
            Revision(
                script.revision,
                down if down is None or isinstance(down, str) else ",".join(down),
                getattr(script.module, "migration_class", "contract"),
                script.doc.strip().splitlines()[0].strip() if script.doc else "",
                script.is_head,
            )
        )
    return found


def heads() -> list[str]:
    """Return the newest revisions; more than one is a mistake to be merged."""
    return list(ScriptDirectory.from_config(alembic_config()).get_heads())


def upgrade_sql(span: str) -> str:
    """
    Return the SQL of an upgrade without running it.

    Args:
        span: ``FROM:TO``, or ``TO`` from the very beginning.
    """
    out = io.StringIO()
    config = alembic_config()
    config.output_buffer = out
    with _own_errors():
        command.upgrade(config, span, sql=True)
    return out.getvalue()


def _is_table_lock(error: BaseException) -> bool:
    return isinstance(error, DBAPIError) and (
        getattr(error.orig, "sqlstate", None) == _LOCK_NOT_AVAILABLE
    )


@contextmanager
def _own_errors() -> Iterator[None]:
    try:
        yield
    except CommandError as error:
        raise MigrationError(str(error)) from error
    except OperationalError as error:
        raise MigrationError(f"database: {' '.join(str(error.orig).split())[:300]}") from error
