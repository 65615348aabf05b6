"""
Log lines: JSON in production, readable in development, task and request id in each.

Everything goes to standard error; whoever started the process keeps it.
"""

from __future__ import annotations

import logging
import sys
import warnings
from typing import Any

import structlog

# At DEBUG we want our own reasons, not every step of every library.
_QUIET = {
    "kombu": logging.WARNING,
    "urllib3": logging.WARNING,
    "transformers": logging.WARNING,
    "redis": logging.INFO,
    "celery": logging.INFO,
    "httpx": logging.WARNING,
    "filelock": logging.WARNING,
    "celery.app.trace": logging.WARNING,  # every task is logged by our own line
    "celery.worker.strategy": logging.WARNING,
}


def configure_logging(*, level: str, style: str, service: str, replica: str) -> None:
    """
    Route structlog and the standard library through one formatter.

    Args:
        level: Name of the lowest level shown.
        style: ``json`` or ``human``.
        service: Bound to every line.
        replica: Bound to every line.
    """

    def identify(_logger: Any, _method: str, event: structlog.types.EventDict) -> Any:
        event.setdefault("service", service)
        event.setdefault("replica", replica)
        return event

    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="timestamp"),
        identify,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.processors.StackInfoRenderer(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    last: list[structlog.types.Processor] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
        if style == "json"
        else [
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
            )
        ]
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # Celery warns whenever it runs as root: with JSON as the only accepted content a
    # message cannot run code, and in a container of its own that user is nobody else.
    warnings.filterwarnings("ignore", message="You're running the worker with superuser")
    for name, quiet_level in _QUIET.items():
        logging.getLogger(name).setLevel(max(quiet_level, logging.getLevelName(level)))
