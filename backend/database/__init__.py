"""
The database: tables, connections, and what workers do to jobs.

Workers may import this package; it is the only one of the product that names psycopg's
engine.  ``models`` has the tables, ``engine`` the connections (blocking for workers,
asynchronous for the application), ``jobs`` the transitions that workers make, each one
atomic statement so that a task delivered twice has one effect.  A new table goes to
``models`` with a migration in :mod:`backend.migrations`.
"""

from __future__ import annotations

from backend.database.engine import AsyncDatabase, Database, DatabaseUnavailable
from backend.database.jobs import (
    ClaimedJob,
    FormulaDraft,
    claim_job,
    fail_job,
    finish_job,
    is_cancelled,
    load_formula,
    save_checkpoint,
    update_progress,
)
from backend.database.models import ApiKey, Base, FormulaRecord, Job, JobState

__all__ = [
    "ApiKey",
    "AsyncDatabase",
    "Base",
    "ClaimedJob",
    "Database",
    "DatabaseUnavailable",
    "FormulaDraft",
    "FormulaRecord",
    "Job",
    "JobState",
    "claim_job",
    "fail_job",
    "finish_job",
    "is_cancelled",
    "load_formula",
    "save_checkpoint",
    "update_progress",
]
