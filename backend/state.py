"""Everything an application instance holds, made once and closed once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

from backend.database import AsyncDatabase, DatabaseUnavailable
from backend.database.probe import DatabaseProbe
from backend.dispatch import Dispatcher
from backend.services.broker import BrokerView
from backend.services.health import HealthMonitor
from backend.services.limits import RateLimiter
from backend.services.resilience import Guard
from backend.settings import Settings

T = TypeVar("T")


class Services:
    """
    What endpoints work with; nothing here connects before it is used.

    Args:
        settings: Of this replica.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.started_at = time.time()
        self.draining = False
        """Set when the replica has been told to stop: no longer ready, still answering."""
        self.database = AsyncDatabase(settings)
        self.broker = BrokerView(settings)
        self.limiter = RateLimiter(settings)
        self.dispatcher = Dispatcher(settings, self.database, self.broker)
        self.health = HealthMonitor(DatabaseProbe(settings), self.broker, self.database)
        self._database_guard = Guard("database", (DatabaseUnavailable,))
        self._sweeping: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Look at the dependencies once, up or not, and begin the background work."""
        await self.health.start()
        self._sweeping = asyncio.create_task(self.dispatcher.run())

    async def in_database(self, work: Callable[[AsyncSession], Awaitable[T]]) -> T:
        """
        Run *work* in one transaction, guarded by the circuit breaker.

        Raises:
            DependencyUnavailable: If the database does not answer.
        """
        return await self._database_guard.call(lambda: self.database.run(work))

    async def close(self) -> None:
        """Stop the background work and close every connection; takes some seconds at most."""
        if self._sweeping is not None:
            self._sweeping.cancel()
            await asyncio.wait({self._sweeping}, timeout=1.0)
        await self.health.stop()
        self.dispatcher.close()
        await self.broker.close()
        await self.database.close()
