"""
The one place that names concrete adapters.

Everything slow to import is imported inside the functions, so that a command
that only reads the agent's picture stays fast.
"""

from __future__ import annotations

from collections.abc import Callable

from console.clock import SystemClock
from console.engine import Engine
from console.errors import NotSupported
from console.ports import Clock, Runtime
from console.settings import Settings


def build_engine(settings: Settings) -> Engine:
    """
    Build the engine of one stack.

    Args:
        settings: Where it is and how it is to be run.

    Raises:
        NotSupported: If the runtime asked for does not exist.
    """
    from console.collector import Collector
    from console.journal.history import HistoryStore
    from console.journal.picture import PictureFile
    from console.journal.store import JournalStore
    from console.operations.actor import current_actor
    from console.operations.launch import launch_runner
    from console.operations.table import OPERATIONS
    from console.sources import build_sources

    clock = SystemClock()
    runtime = build_runtime(settings, clock)
    journal = JournalStore(settings.state, clock)
    return Engine(
        settings=settings,
        runtime=runtime,
        collector=Collector(build_sources(runtime, journal, settings), settings, runtime, clock),
        pictures=PictureFile(settings.state),
        journal=journal,
        history=HistoryStore(settings.state, clock),
        planners=OPERATIONS,
        launch_runner=launch_runner(settings),
        actor=current_actor(),
        clock=clock,
    )


def build_runtime(settings: Settings, clock: Clock) -> Runtime:
    """
    Build the runtime that is asked for, by default the embedded one.

    Raises:
        NotSupported: If there is no such runtime.
    """
    name = settings.runtime or "embedded"
    makers: dict[str, Callable[[Settings, Clock], Runtime]] = {"embedded": _embedded}
    if name not in makers:
        raise NotSupported(
            f"there is no runtime {name!r} here",
            unchanged="nothing was started",
            remedy=f"use one of: {', '.join(sorted(makers))}",
        )
    return makers[name](settings, clock)


def _embedded(settings: Settings, clock: Clock) -> Runtime:
    from console.runtimes.embedded import EmbeddedRuntime

    return EmbeddedRuntime(settings, clock)
