"""Errors as RFC 9457 problem details, every one of them."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from asgi_correlation_id.context import correlation_id
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from backend.database import DatabaseUnavailable
from backend.logs import get_logger
from backend.services.resilience import DependencyUnavailable

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 2

log = get_logger(__name__)


class Problem(Exception):
    """
    An error to be answered.

    Args:
        status: HTTP status.
        slug: Stable name of the kind of error, the end of its ``type``.
        detail: What happened, for a person.
        headers: Further headers of the answer.
        extra: Further members of the problem, JSON values.
    """

    def __init__(
        self,
        status: int,
        slug: str,
        detail: str,
        headers: Mapping[str, str] | None = None,
        **extra: Any,
    ) -> None:
        super().__init__(detail)
        self.status, self.slug, self.detail = status, slug, detail
        self.headers, self.extra = dict(headers or {}), extra


def problem_body(status: int, slug: str, detail: str, **extra: Any) -> dict[str, Any]:
    """Return the members of a problem; the request id is there to be quoted."""
    return {
        "type": f"urn:fragrance:problem:{slug}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "request_id": correlation_id.get(),
        **extra,
    }


def problem_response(problem: Problem) -> JSONResponse:
    """Return a problem as an answer."""
    body = problem_body(problem.status, problem.slug, problem.detail, **problem.extra)
    return JSONResponse(body, problem.status, problem.headers, MEDIA_TYPE)


def install_handlers(app: FastAPI) -> None:
    """Have every error of *app* leave as a problem."""

    @app.exception_handler(Problem)
    async def on_problem(request: Request, error: Problem) -> JSONResponse:
        del request
        return problem_response(error)

    @app.exception_handler(HTTPException)
    async def on_http(request: Request, error: HTTPException) -> JSONResponse:
        del request
        slug = HTTPStatus(error.status_code).phrase.lower().replace(" ", "-")
        return problem_response(Problem(error.status_code, slug, str(error.detail), error.headers))

    @app.exception_handler(RequestValidationError)
    async def on_invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        del request
        errors = [
            {"field": ".".join(str(part) for part in item["loc"][1:]), "message": item["msg"]}
            for item in error.errors()
        ]
        detail = "; ".join(f"{e['field'] or 'body'}: {e['message']}" for e in errors)
        return problem_response(Problem(422, "invalid-request", detail, errors=errors))

    @app.exception_handler(DependencyUnavailable)
    async def on_unavailable(request: Request, error: DependencyUnavailable) -> JSONResponse:
        del request
        log.warning("dependency unavailable", dependency=error.dependency, reason=error.reason)
        return problem_response(_unavailable(error.dependency))

    @app.exception_handler(DatabaseUnavailable)
    async def on_database(request: Request, error: DatabaseUnavailable) -> JSONResponse:
        del request
        log.warning("dependency unavailable", dependency="database", reason=str(error))
        return problem_response(_unavailable("database"))

    @app.exception_handler(Exception)
    async def on_bug(request: Request, error: Exception) -> JSONResponse:
        log.error("request failed", path=request.url.path, exc_info=error)
        detail = "The request failed here; quote the request id when reporting it."
        return problem_response(Problem(500, "internal-error", detail))


def _unavailable(dependency: str) -> Problem:
    headers = {"Retry-After": str(RETRY_AFTER_SECONDS)}
    detail = f"The {dependency} does not answer at the moment; nothing was changed."
    return Problem(503, "dependency-unavailable", detail, headers, dependency=dependency)
