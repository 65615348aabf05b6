"""
Connections to the database that survive its restarts and never wait without end.

Every checked-out connection is tested first, so a restarted database costs one
reconnection and no failed request.  A database that accepts connections but no longer
answers is met by a deadline of our own: no server-side timeout works there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import tenacity
from sqlalchemy import create_engine
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session, sessionmaker

from backend.contracts.settings import Settings

T = TypeVar("T")

CONNECT_TIMEOUT_SECONDS = 3
STATEMENT_TIMEOUT_MS = 5000
LOCK_TIMEOUT_MS = 2000
DEADLINE_SECONDS = 6.0
"""Longest one unit of work of the application may take, connecting included."""


class DatabaseUnavailable(ConnectionError):
    """The database cannot be reached, does not answer in time, or has no free connection."""


def _is_transient(error: BaseException) -> bool:
    """Tell a lost or refused connection from a wrong statement."""
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    return isinstance(error, (OperationalError, InterfaceError, PoolTimeoutError))


def _connect_arguments(settings: Settings, statement_timeout_ms: int) -> dict[str, object]:
    return {
        "connect_timeout": CONNECT_TIMEOUT_SECONDS,
        "application_name": settings.replica_name,
        "options": f"-c statement_timeout={statement_timeout_ms} -c lock_timeout={LOCK_TIMEOUT_MS}"
        " -c idle_in_transaction_session_timeout=60000",
        "keepalives": 1,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 10000,
    }


def _pool_arguments(settings: Settings) -> dict[str, object]:
    return {
        "pool_size": settings.db_pool_size,
        "max_overflow": settings.db_pool_size,
        "pool_timeout": settings.db_pool_timeout,
        "pool_pre_ping": True,
        "pool_recycle": 1800,
        # What waits longest is dropped first, so an idle pool shrinks by itself.
        "pool_use_lifo": True,
    }


class Database:
    """
    Blocking access, for workers and commands.

    Args:
        settings: Gives the URL, the pool's size and the name shown in the database.
    """

    def __init__(self, settings: Settings) -> None:
        self.engine = create_engine(
            settings.database_dsn,
            connect_args=_connect_arguments(settings, STATEMENT_TIMEOUT_MS),
            **_pool_arguments(settings),
        )
        self._sessions = sessionmaker(self.engine, expire_on_commit=False)

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Give a session in one transaction: committed at the end, rolled back on an error."""
        with self._sessions.begin() as session:
            yield session

    def run(self, work: Callable[[Session], T], retry_seconds: float = 30.0) -> T:
        """
        Run *work* in one transaction, again while the database cannot be reached.

        Args:
            work: Must stand being run again, for a commit's answer may be lost.
            retry_seconds: How long to go on trying; 0 tries once.
        Returns:
            What *work* returned.
        Raises:
            DatabaseUnavailable: If it was still unreachable at the end.
        """
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(_is_transient),
            wait=tenacity.wait_random_exponential(multiplier=0.1, max=2.0),
            stop=tenacity.stop_after_delay(retry_seconds),
            reraise=True,
        )
        try:
            outcome: T = retrying(self._run_once, work)
            return outcome
        except (OperationalError, InterfaceError, PoolTimeoutError) as error:
            raise DatabaseUnavailable(_without_statement(error)) from error

    def _run_once(self, work: Callable[[Session], T]) -> T:
        with self.session() as session:
            return work(session)

    def close(self) -> None:
        """Close every idle connection."""
        self.engine.dispose()


class AsyncDatabase:
    """
    Asynchronous access, for the application.

    Args:
        settings: As for :class:`Database`.
    """

    def __init__(self, settings: Settings) -> None:
        self.engine = create_async_engine(
            settings.database_dsn,
            connect_args=_connect_arguments(settings, STATEMENT_TIMEOUT_MS),
            **_pool_arguments(settings),
        )
        self.pool_limit = 2 * settings.db_pool_size
        """Connections that may be checked out at once: the pool and its overflow."""
        self._sessions = async_sessionmaker(self.engine, expire_on_commit=False)
        self._abandoned: set[asyncio.Future[Any]] = set()

    async def run(self, work: Callable[[AsyncSession], Awaitable[T]]) -> T:
        """
        Run *work* in one transaction within :data:`DEADLINE_SECONDS`, twice if needed.

        The second try is for the connection that a restart has cut under the first.

        Args:
            work: Must stand being run again, for a commit's answer may be lost.
        Raises:
            DatabaseUnavailable: If it cannot be reached or does not answer in time.
        """
        task: asyncio.Task[T] = asyncio.ensure_future(self._try_twice(work))
        # Not asyncio.timeout: a cancelled statement waits for the server to confirm, and
        # a server that hangs never does.  Such a task is left to end by itself.
        try:
            await asyncio.wait({task}, timeout=DEADLINE_SECONDS)
        except asyncio.CancelledError:
            self._abandon(task)
            raise
        if not task.done():
            self._abandon(task)
            raise DatabaseUnavailable(f"no answer within {DEADLINE_SECONDS:g} s")
        try:
            return task.result()
        except (OperationalError, InterfaceError, PoolTimeoutError) as error:
            raise DatabaseUnavailable(_without_statement(error)) from error

    async def _try_twice(self, work: Callable[[AsyncSession], Awaitable[T]]) -> T:
        retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception(_is_transient),
            wait=tenacity.wait_random(0.02, 0.1),
            stop=tenacity.stop_after_attempt(2),
            reraise=True,
        )
        return await retrying(self._run_once, work)

    async def _run_once(self, work: Callable[[AsyncSession], Awaitable[T]]) -> T:
        async with self._sessions.begin() as session:
            return await work(session)

    def _abandon(self, task: asyncio.Task[T]) -> None:
        task.cancel()
        self._abandoned.add(task)
        task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Future[Any]) -> None:
        self._abandoned.discard(task)
        if not task.cancelled():
            task.exception()  # seen, so that the loop does not report it as forgotten

    def pool_in_use(self) -> int:
        """Return how many connections are checked out now."""
        pool = self.engine.pool
        return int(pool.checkedout()) if hasattr(pool, "checkedout") else 0

    async def close(self) -> None:
        """Close every idle connection, without waiting for a server that hangs."""
        await asyncio.wait({asyncio.ensure_future(self.engine.dispose())}, timeout=2.0)


def _without_statement(error: Exception) -> str:
    """Return the driver's sentence without statement and parameters."""
    origin = getattr(error, "orig", None) or error
    return " ".join(str(origin).split())[:300]
