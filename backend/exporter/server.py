"""Serve the figures until told to stop."""

from __future__ import annotations

import signal
import threading

from prometheus_client import (
    CollectorRegistry,
    Gauge,
    ProcessCollector,
    disable_created_metrics,
    start_http_server,
)

from backend.contracts.tasks import Queue
from backend.contracts.traffic import NetworkTraffic
from backend.exporter.broker import BrokerReader
from backend.exporter.events import EventFollower, TaskFigures
from backend.exporter.watch import BrokerWatch
from backend.logs import configure_logging, get_logger
from backend.settings import Settings

STOP_TIMEOUT_SECONDS = 5.0

log = get_logger(__name__)


def serve(settings: Settings, host: str, port: int) -> None:
    """
    Answer scrapes on every path until SIGTERM or SIGINT.

    Args:
        settings: Give Redis, which need not be there.
        host: Address to listen on.
        port: 0 for any free one; it is logged.

    Raises:
        OSError: If the address cannot be listened on.
    """
    configure_logging(settings)
    disable_created_metrics()  # type: ignore[no-untyped-call] # prometheus_client leaves it untyped
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    registry.register(NetworkTraffic())
    reader = BrokerReader(settings)
    watch = BrokerWatch(reader.read)
    registry.register(watch)
    figures = TaskFigures(registry)
    listening = Gauge(
        "celery_events_up", "1 while events are listened to.", ("queue_name",), registry=registry
    )
    followers = [
        EventFollower(settings, q, figures, listening.labels(q.value), lambda: watch.outages)
        for q in Queue
    ]
    server, _ = start_http_server(port, addr=host, registry=registry)
    log.info("exporter listens", host=host, port=server.server_port)

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    runs = [watch.run, *(follower.run for follower in followers)]
    threads = [threading.Thread(target=run, args=(stop,), daemon=True) for run in runs]
    for thread in threads:
        thread.start()
    stop.wait()
    for thread in threads:
        thread.join(STOP_TIMEOUT_SECONDS)
    server.shutdown()
    reader.close()
