"""Celery's consumer, back soon after the broker is."""

from __future__ import annotations

from functools import partial
from typing import Any

from celery.worker.consumer import Consumer


class PromptConsumer(Consumer):  # type: ignore[misc]  # celery is untyped
    """
    A consumer that looks for a lost broker at least every two seconds.

    Celery's own pause grows to thirty: after a longer outage the queue would go on
    growing for half a minute with everything in order.
    """

    def ensure_connected(self, conn: Any) -> Any:
        """Connect, trying for ever; see the class for the pauses."""
        conn.ensure_connection = partial(
            conn.ensure_connection, interval_start=0.2, interval_step=0.4, interval_max=2.0
        )
        return super().ensure_connected(conn)
