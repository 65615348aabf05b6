"""What operates the application asks: health, readiness, version, metrics."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from backend.api.problems import Problem, problem_response
from backend.api.security import Injected
from backend.contracts.tasks import Queue
from backend.services.health import Finding

router = APIRouter(tags=["operations"])


@router.get("/health")
async def get_health(services: Injected) -> JSONResponse:
    """
    Tell how the application and what it depends on are, from what was last seen.

    Never waits.  503 only when nothing can be served; without broker or workers the
    status is ``degraded`` and the answer 200.  Workers are null when they cannot be
    counted.
    """
    picture = services.health.picture()
    workers = picture.workers
    body = {
        "status": picture.status,
        "version": services.settings.release,
        "timestamp": _now(),
        "replica": services.settings.replica_name,
        "services": {
            "database": picture.database.health,
            "redis": picture.redis.health,
            "workers": {q.value: workers[q] if workers is not None else None for q in Queue},
        },
        "checks": {"database": _check(picture.database), "redis": _check(picture.redis)},
        "reason": picture.not_ready_reason,
    }
    return JSONResponse(body, 503 if picture.status == "unhealthy" else 200)


@router.get("/ready")
async def get_ready(services: Injected) -> JSONResponse:
    """Tell whether this replica should get traffic; 503 with the reason when not."""
    picture = services.health.picture()
    reason = "draining" if services.draining else picture.not_ready_reason
    if reason is not None:
        return problem_response(Problem(503, "not-ready", reason, {"Retry-After": "1"}))
    return JSONResponse({"status": "ready", "timestamp": _now()})


@router.get("/version")
async def get_version(services: Injected) -> dict[str, Any]:
    """Tell which release this is."""
    settings = services.settings
    schema = services.health.picture().database.value
    return {
        "version": settings.release,
        "commit": settings.vcs_ref,
        "build_date": settings.build_date,
        "environment": settings.app_env,
        "replica": settings.replica_name,
        "started_at": datetime.fromtimestamp(services.started_at, UTC).isoformat(),
        "schema_revision": schema.revision if schema is not None else None,
    }


@router.get("/metrics", include_in_schema=False)
async def get_metrics(services: Injected) -> Response:
    """Give this replica's metrics in Prometheus' text form."""
    if not services.settings.api.metrics_enabled:
        raise Problem(404, "metrics-off", "PROMETHEUS_ENABLED is false.")
    services.health.update_gauges()
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


def _check(finding: Finding[Any]) -> dict[str, Any]:
    return {
        "age_seconds": _rounded(finding.age_seconds),
        "latency_seconds": _rounded(finding.latency_seconds),
        "error": finding.error or None,
    }


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 4)


def _now() -> str:
    return datetime.now(UTC).isoformat()
