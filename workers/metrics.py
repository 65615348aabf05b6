"""
Metrics of a worker, on a port of its own when ``METRICS_PORT`` is set.

It listens on loopback unless ``METRICS_HOST`` names another address, as in a container.

Prefork children count in processes of their own; their figures are collected through a
directory that lives as long as the worker.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from typing import Any

from backend.contracts.payloads import Method

METRICS_PORT_VARIABLE = "METRICS_PORT"
METRICS_HOST_VARIABLE = "METRICS_HOST"
_DIRECTORY_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"

INFERENCE_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


def prepare_metrics(*, has_children: bool) -> None:
    """
    Decide where figures are kept; must run before the first metric is made.

    Args:
        has_children: Whether tasks run in child processes.
    """
    if has_children and os.environ.get(METRICS_PORT_VARIABLE):
        directory = tempfile.mkdtemp(prefix="fragrance-metrics-")
        os.environ[_DIRECTORY_VARIABLE] = directory
        pid = os.getpid()

        def remove() -> None:
            if os.getpid() == pid:  # children inherit the handler
                shutil.rmtree(directory, ignore_errors=True)

        atexit.register(remove)


def serve_metrics() -> None:
    """Listen when a port is set; a no-op otherwise."""
    port = os.environ.get(METRICS_PORT_VARIABLE)
    if not port:
        return
    from prometheus_client import (
        REGISTRY,
        CollectorRegistry,
        ProcessCollector,
        disable_created_metrics,
        start_http_server,
    )
    from prometheus_client.multiprocess import MultiProcessCollector

    from backend.contracts.traffic import NetworkTraffic

    disable_created_metrics()  # type: ignore[no-untyped-call]  # untyped upstream
    registry = REGISTRY
    if os.environ.get(_DIRECTORY_VARIABLE):
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # untyped upstream
        ProcessCollector(registry=registry)  # of the parent; it is left out otherwise
    registry.register(NetworkTraffic())
    host = os.environ.get(METRICS_HOST_VARIABLE) or "127.0.0.1"
    start_http_server(int(port), addr=host, registry=registry)


def inference_histogram() -> Any:
    """Return ``llm_inference_duration_seconds``: one observation per prompt answered."""
    from prometheus_client import Histogram

    return Histogram(
        "llm_inference_duration_seconds",
        "Duration of a generate call, observed once for each prompt in it.",
        ["model"],
        buckets=INFERENCE_BUCKETS,
    )


def episodes_counter() -> Any:
    """Return ``rl_training_episodes_total``."""
    from prometheus_client import Counter

    counter = Counter("rl_training_episodes", "Episodes finished in training.", ["method"])
    for method in Method:  # shown before the first episode
        counter.labels(method.value)
    return counter
