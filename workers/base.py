"""
The Celery application of one queue, with the settings that keep tasks from being lost.

Every value here was chosen for Redis as the broker.  A message is acknowledged when
its task has ended, so a killed worker's task is delivered again; how soon is decided
by :mod:`workers.lease`, and what a second delivery may do by the job table.
"""

from __future__ import annotations

from typing import Any

from celery import Celery

from backend.contracts.tasks import (
    RESULT_EXPIRES_SECONDS,
    Queue,
    broker_url,
    result_url,
    transport_options,
)

LEASE_SECONDS = 20.0
"""How long a message stays with a worker that has stopped renewing its lease."""

MAX_DELIVERIES_AFTER_LOSS = 3
"""A task whose process dies this many times again is poison and ends as a failure."""

REDELIVERY_DELAY_SECONDS = 1
"""Pause before a task whose process died is run again."""

SOFT_SHUTDOWN_SECONDS = 20.0
"""After SIGQUIT a task may go on this long before it is handed back."""

# The child of an RL worker imports torch before it reports itself alive.
CHILD_START_SECONDS = 120.0

TASK_MODULES = {Queue.LLM: "workers.llm.tasks", Queue.RL: "workers.rl.tasks"}


def worker_settings(queue: Queue) -> dict[str, Any]:
    """Return the Celery settings shared by every worker of *queue*."""
    return {
        "task_default_queue": queue.value,
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        "task_retry_on_worker_lost": True,
        # The job table keeps state and result.  Celery's own would make a task fail, and
        # its message be acknowledged, when Redis is away as the task starts.
        "task_ignore_result": True,
        "task_store_errors_even_if_ignored": True,
        "task_acks_on_failure": True,
        "task_acks_on_timeout": True,
        "task_serializer": "json",
        "result_serializer": "json",
        "accept_content": ["json"],
        "result_expires": RESULT_EXPIRES_SECONDS,
        "worker_prefetch_multiplier": 1,
        "worker_enable_prefetch_count_reduction": False,
        # On Redis it revokes a running task for ever, against its documentation.
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "worker_soft_shutdown_timeout": SOFT_SHUTDOWN_SECONDS,
        "worker_proc_alive_timeout": CHILD_START_SECONDS,
        "worker_consumer": "workers.consumer:PromptConsumer",
        "worker_hijack_root_logger": False,
        "worker_redirect_stdouts": False,
        "worker_send_task_events": True,
        "broker_transport_options": lease_transport_options(queue),
        "broker_connection_retry": True,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,  # for ever
        "broker_connection_timeout": 3.0,
        "result_backend_transport_options": {"socket_timeout": 5.0},
        "redis_socket_timeout": 5.0,
        "redis_socket_connect_timeout": 3.0,
        "redis_socket_keepalive": True,
        "result_backend_always_retry": True,
        "result_backend_max_retries": 5,
        "result_backend_max_sleep_between_retries_ms": 500,
        "enable_utc": True,
        "timezone": "UTC",
    }


def lease_transport_options(queue: Queue) -> dict[str, Any]:
    """
    Return the shared transport options with the visibility timeout turned into a lease.

    Only consumers sweep unacknowledged messages, and every consumer renews what it
    holds, so a task may run for hours and a dead worker's task still comes back within
    :data:`LEASE_SECONDS`.
    """
    return transport_options(queue) | {"visibility_timeout": LEASE_SECONDS}


def create_app(queue: Queue, redis_url: str) -> Celery:
    """
    Build the Celery application that consumes *queue*.

    Tasks are not imported: a worker does that when its model is loaded, and the control
    commands never need them.

    Args:
        queue: Which broker database and queue.
        redis_url: ``redis://`` URL; its database number is replaced.
    """
    app = Celery(
        f"fragrance-{queue.value}", broker=broker_url(redis_url, queue), set_as_current=True
    )
    app.conf.update(worker_settings(queue))
    app.conf.result_backend = result_url(redis_url)
    return app
