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
from console.settings import PROJECT, Settings


def build_engine(settings: Settings) -> Engine:
    """
    Build the engine of one stack.

    Args:
        settings: Where it is and how it is to be run.

    Raises:
        NotSupported: If the runtime asked for does not exist.
    """
    from console.collector import Collector
    from console.journal.film import FilmStore
    from console.journal.history import HistoryStore
    from console.journal.picture import PictureFile
    from console.journal.store import JournalStore
    from console.operations.actor import current_actor
    from console.operations.alertmanager import Alertmanager
    from console.operations.launch import launch_runner
    from console.operations.table import OPERATIONS
    from console.sources import build_sources
    from console.sources.prometheus import PrometheusClient

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
        monitoring=PrometheusClient(),
        alerting=Alertmanager(),
        film=FilmStore(settings.state, clock, settings.policy.rewind),
    )


def build_runtime(settings: Settings, clock: Clock) -> Runtime:
    """
    Build the runtime that is asked for or recorded, else the best one there is.

    Raises:
        NotSupported: If there is no such runtime.
    """
    name = settings.runtime or default_runtime(settings)
    makers: dict[str, Callable[[Settings, Clock], Runtime]] = {
        "embedded": _embedded,
        "compose": _compose,
    }
    if name not in makers:
        raise NotSupported(
            f"there is no runtime {name!r} here",
            unchanged="nothing was started",
            remedy=f"use one of: {', '.join(sorted(makers))}",
        )
    return makers[name](settings, clock)


def default_runtime(settings: Settings) -> str:
    """
    Return the runtime of a stack that records none.

    Another project's compose file means compose; what was started before runtimes
    were recorded was embedded; else compose where the product's images are.
    """
    if settings.file is not None:
        return "compose"
    if (settings.state / "embedded").is_dir():
        return "embedded"
    from console.runtimes.compose.wire import has_image

    version = (PROJECT / "VERSION").read_text(encoding="utf-8").strip()
    return "compose" if has_image(f"fragrance-ai-app:v{version}") else "embedded"


def _embedded(settings: Settings, clock: Clock) -> Runtime:
    from console.runtimes.embedded import EmbeddedRuntime

    return EmbeddedRuntime(settings, clock)


def _compose(settings: Settings, clock: Clock) -> Runtime:
    from console.runtimes.compose import ComposeRuntime

    return ComposeRuntime(settings, clock)
