"""The application: routes, error handling, and the layers around every request."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from asgi_correlation_id import CorrelationIdMiddleware
from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from backend.api import formulas, jobs, operations
from backend.api.middleware import AnswerHeaders, BodyLimit, Measure
from backend.api.problems import install_handlers
from backend.logs import get_logger
from backend.settings import Settings
from backend.state import Services

log = get_logger(__name__)

DESCRIPTION = """
A fragrance brief in plain words becomes a structured formula within IFRA limits.
Send `X-API-Key` with every request below `/v1`.  A person must check every formula
before any compliance use.
"""


def create_app(settings: Settings, services: Services | None = None) -> ASGIApp:
    """
    Build the application.

    Args:
        settings: Of this replica.
        services: To share them with whoever serves; made here otherwise.
    Returns:
        The ASGI application; its dependencies are used from its lifespan on, and it
        starts whether or not they answer.
    """
    held = services if services is not None else Services(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        del app
        await held.start()
        reason = held.health.picture().not_ready_reason
        log.info("started", release=settings.release, environment=settings.app_env, reason=reason)
        try:
            yield
        finally:
            await held.close()

    app = FastAPI(
        title="Fragrance AI",
        description=DESCRIPTION,
        version=settings.release,
        lifespan=lifespan,
        debug=False,
    )
    app.state.services = held
    install_handlers(app)
    for module in (jobs, formulas, operations):
        app.include_router(module.router)
    _report_errors_to_sentry(settings)
    return _wrapped(app, held)


def _wrapped(app: FastAPI, services: Services) -> ASGIApp:
    """Put the layers around the whole application, its own error answers included."""
    settings = services.settings
    layered: ASGIApp = BodyLimit(app, settings.api.max_body_bytes)
    if settings.api.cors_origins:
        layered = CORSMiddleware(
            layered,
            allow_origins=settings.api.cors_origins,
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["X-API-Key", "Idempotency-Key", "Content-Type", "X-Request-ID"],
            expose_headers=["X-Request-ID", "Location", "Retry-After"],
            max_age=600,
        )
    layered = AnswerHeaders(layered, settings.app_env == "prod", lambda: services.draining)
    return CorrelationIdMiddleware(Measure(layered))


def _report_errors_to_sentry(settings: Settings) -> None:
    if settings.sentry_dsn is None:
        return
    import sentry_sdk

    sentry_sdk.init(
        dsn=settings.sentry_dsn.get_secret_value(),
        release=settings.release,
        environment=settings.app_env,
        server_name=settings.replica_name,
        send_default_pii=False,
    )
