"""What the application's image proves of itself; see :mod:`backend.contracts.selfcheck`."""

from __future__ import annotations

from backend.contracts.selfcheck import common_checks, expect, run_checks
from backend.settings import load_settings

MODULES = (
    "backend.app",
    "backend.server",
    "backend.dispatch",
    "backend.exporter.server",
    "celery.app.amqp",
    "httptools",
    "psycopg_binary",
    "uvloop",
)
PATHS = ("/health", "/ready", "/version", "/v1/briefs", "/v1/formulas/similar")
BRIEF = "a fresh citrus cologne with a warm woody base"


def selfcheck(*, as_json: bool) -> int:
    """Run the checks and print what came of it; 0 when all passed, else 1."""
    checks = common_checks(MODULES) | {
        "migrations": _check_migrations,
        "perfumery": _check_perfumery,
        "interface": _check_interface,
    }
    return run_checks(checks, as_json=as_json)


def _check_migrations() -> str:
    from backend.migrations import runner

    heads, revisions = runner.heads(), runner.revisions()
    expect(len(heads) == 1, f"there are {len(heads)} heads: {', '.join(heads)}")
    sql = runner.upgrade_sql("head")
    expect("CREATE TABLE jobs" in sql, "the migrations do not make the table of jobs")
    return f"{len(revisions)} up to {heads[0]}"


def _check_perfumery() -> str:
    from backend.contracts.embedding import DIMENSION, embed_text
    from backend.contracts.perfumery import LIMITS, MATERIALS

    vector = embed_text(BRIEF)
    expect(vector is not None and len(vector) == DIMENSION, "the brief has no embedding")
    return f"{len(MATERIALS)} materials, {len(LIMITS)} limits"


def _check_interface() -> str:
    """The application is made as for serving, without being started."""
    from fastapi import FastAPI
    from pydantic import SecretStr

    from backend.app import create_app
    from backend.state import Services

    settings = load_settings().model_copy(
        update={
            "database_url": SecretStr("postgresql+psycopg://nobody@127.0.0.1:1/nothing"),
            "redis_url": SecretStr("redis://127.0.0.1:1/0"),
        }
    )
    layer = create_app(settings, Services(settings))
    while not isinstance(layer, FastAPI):
        layer = layer.app  # type: ignore[attr-defined]  # each layer holds the next as `app`
    known = set(layer.openapi()["paths"])
    missing = [path for path in PATHS if path not in known]
    expect(not missing, f"without {', '.join(missing)}")
    return f"{len(known)} paths"
