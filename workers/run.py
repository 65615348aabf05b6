"""
One worker process, from the first sign of life to the last.

Order matters: the heartbeat starts before the model is loaded, so that the worker is
seen starting; the consumer starts after it, so that no task waits in a worker that
cannot serve it yet.
"""

from __future__ import annotations

import importlib
import signal
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, cast

import structlog

from backend.contracts.log_file import keep_log
from backend.contracts.settings import Settings, load_settings
from backend.contracts.tasks import Queue, broker_url, shared_url
from workers.base import TASK_MODULES, create_app
from workers.connections import redis_client
from workers.control import node_name
from workers.heartbeat import Heartbeat, Identity, Phase, heartbeat_step
from workers.lease import LeaseKeeper
from workers.log import configure_logging
from workers.metrics import prepare_metrics, serve_metrics

if TYPE_CHECKING:
    from celery import Celery

log = structlog.get_logger(__name__)

BEAT_TIMEOUT_SECONDS = 1.0
"""A beat runs in the consumer loop, so Redis gets this long and no longer."""


@dataclass(frozen=True, slots=True)
class Pool:
    """
    How a kind of worker runs its tasks.

    Args:
        name: Celery's pool: ``threads`` or ``prefork``.
        concurrency: Tasks at the same time.
        begin_shutdown: Called from the signal handler of a warm shutdown: no blocking.
        close: Called when the last task has ended.
        tells: What the heartbeat says besides, given the ids of the tasks that run.
    """

    name: str
    concurrency: int
    begin_shutdown: Callable[[], None]
    close: Callable[[], None]
    tells: Callable[[Collection[str]], dict[str, Any]] = lambda _: {}


class WorkerKind(Protocol):
    """What the module ``workers.<queue>.service`` offers."""

    def prepare(self, settings: Settings) -> Pool:
        """Load what the tasks need."""
        ...


def serve(queue: Queue) -> int:
    """
    Run one worker in the foreground until it is told to stop.

    Args:
        queue: What it consumes.

    Returns:
        Exit code: 0 after a warm shutdown.
    """
    began = time.monotonic()
    settings = load_settings()
    service = f"worker-{queue.value}"
    configure_logging(
        level=settings.log_level,
        style=settings.log_format,
        service=service,
        replica=settings.replica_name,
    )
    keep_log(settings.log_dir, f"{service}-{settings.replica_name}")
    prepare_metrics(has_children=queue is Queue.RL)
    heartbeat = Heartbeat(
        Identity(settings.replica_name, service, queue, settings.release),
        redis_client(shared_url(settings.redis_dsn), BEAT_TIMEOUT_SECONDS),
        LeaseKeeper(redis_client(broker_url(settings.redis_dsn, queue), BEAT_TIMEOUT_SECONDS)),
    )
    signal.signal(signal.SIGTERM, _leave)
    heartbeat.start()
    try:
        app = create_app(queue, settings.redis_dsn)
        kind = cast(WorkerKind, importlib.import_module(f"workers.{queue.value}.service"))
        pool = kind.prepare(settings)
        importlib.import_module(TASK_MODULES[queue])
        serve_metrics()
        log.info("worker_prepared", seconds=round(time.monotonic() - began, 2), pool=pool.name)
        try:
            return _consume(app, queue, settings, pool, heartbeat)
        finally:
            pool.close()
    finally:
        heartbeat.end()


def _consume(app: Celery, queue: Queue, settings: Settings, pool: Pool, beat: Heartbeat) -> int:
    from celery import signals

    def on_stop(**_: Any) -> None:
        beat.phase = Phase.STOPPING
        pool.begin_shutdown()

    def on_ready(**_: Any) -> None:
        # Celery would start itself anew on a hangup; whoever started us does that.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        log.info("worker_ready", queue=queue.value, concurrency=pool.concurrency)

    beat.slots, beat.tells = pool.concurrency, pool.tells
    signals.worker_shutting_down.connect(on_stop, weak=False)
    signals.worker_ready.connect(on_ready, weak=False)
    signals.setup_logging.connect(lambda **_: True, weak=False)  # ours is in place
    app.steps["consumer"].add(heartbeat_step(beat))
    worker = app.Worker(
        hostname=node_name(settings.replica_name),
        queues=[queue.value],
        pool=pool.name,
        concurrency=pool.concurrency,
        loglevel=settings.log_level,
        quiet=True,
        without_mingle=True,
        without_gossip=True,
        without_heartbeat=True,
    )
    worker.start()
    log.info("worker_stopped", exit_code=worker.exitcode or 0)
    return int(worker.exitcode or 0)


def _leave(_signal: int, _frame: object) -> None:
    """Stop before there is a consumer: nothing is in hand."""
    raise SystemExit(0)
