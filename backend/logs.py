"""Logging: one line an event, JSON in production, readable in development."""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog
from asgi_correlation_id.context import correlation_id

from backend.contracts.log_file import keep_log
from backend.settings import Settings


def configure_logging(settings: Settings) -> None:
    """
    Send every logger of the process through one formatter to standard output.

    Each line carries the time in UTC, the replica and, within a request, its id.
    """
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        _add_request_id,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    renderer: list[structlog.typing.Processor] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
        if settings.log_format == "json"
        else [structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty())]
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelName(settings.log_level)
        ),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _add_replica(settings.replica_name),
                *renderer,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(settings.log_level)
    keep_log(settings.log_dir, f"app-{settings.replica_name}")
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [], True
    # Too chatty at DEBUG to be of use to an operator.
    for name in (
        "sse_starlette",
        "kombu",
        "celery",
        "amqp",
        "psycopg",
        "asyncio",
        "limits",
        "redis",
    ):
        logging.getLogger(name).setLevel(max(logging.INFO, root.level))


def get_logger(name: str) -> Any:
    """Return the logger of a module; typed loosely because structlog's is a proxy."""
    return structlog.get_logger(name)


def _add_request_id(
    logger: Any, method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    del logger, method
    if request_id := correlation_id.get():
        event.setdefault("request_id", request_id)
    return event


def _add_replica(replica: str) -> structlog.typing.Processor:
    def add(
        logger: Any, method: str, event: structlog.typing.EventDict
    ) -> structlog.typing.EventDict:
        del logger, method
        event["replica"] = replica
        return event

    return add
