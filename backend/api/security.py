"""Who calls, and whether they call too often: a dependency of every product endpoint."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader

from backend import metrics
from backend.api.problems import Problem
from backend.services.keys import KeyIdentity, identify
from backend.state import Services

_HEADER = APIKeyHeader(name="X-API-Key", auto_error=False)


def services_of(request: Request) -> Services:
    """Return the services of the application that handles *request*."""
    services: Services = request.app.state.services
    return services


Injected = Annotated[Services, Depends(services_of)]


async def require_key(
    services: Injected, key: Annotated[str | None, Security(_HEADER)] = None
) -> KeyIdentity:
    """Return who calls; raises Problem 401 for a missing, wrong or revoked key, or 429."""
    found = await services.in_database(lambda session: identify(session, key)) if key else None
    if found is None:
        metrics.KEYS_REFUSED.inc()
        detail = "The key in X-API-Key is wrong or revoked." if key else "X-API-Key is missing."
        raise Problem(401, "unauthorised", detail, {"WWW-Authenticate": "ApiKey"})
    wait = await services.limiter.wait_seconds(found.id)
    if wait is not None:
        detail = f"More than {services.limiter.limit} with this key."
        raise Problem(429, "rate-limited", detail, {"Retry-After": str(wait)})
    return found


Caller = Annotated[KeyIdentity, Depends(require_key)]
