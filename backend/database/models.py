"""The tables; the migrations in :mod:`backend.migrations` make exactly these."""

from __future__ import annotations

import uuid
from datetime import datetime
from enum import StrEnum
from typing import Any

from pgvector.sqlalchemy import Vector
from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    DateTime,
    Float,
    ForeignKey,
    Index,
    Integer,
    String,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.schema import MetaData

EMBEDDING_DIMENSION = 64
"""Fixed by the migration; equals :data:`backend.contracts.embedding.DIMENSION` (tested)."""


class JobState(StrEnum):
    """Where a job is; the last three are final."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


OPEN_STATES = (JobState.QUEUED.value, JobState.RUNNING.value)
FINAL_STATES = (JobState.SUCCEEDED.value, JobState.FAILED.value, JobState.CANCELLED.value)


def new_id() -> str:
    """Return a fresh id as text."""
    return str(uuid.uuid4())


class Base(DeclarativeBase):
    """Base of the tables; constraint names are fixed so that migrations can name them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class ApiKey(Base):
    """A key that may call the API; only its SHA-256 is kept."""

    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(Uuid(as_uuid=False), primary_key=True, default=new_id)
    name: Mapped[str] = mapped_column(String(120))
    lookup: Mapped[str] = mapped_column(String(16), unique=True)
    """Public first part of the key, by which its row is found."""
    key_sha256: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    revoked_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))

    __table_args__ = (
        Index(
            "uq_api_keys_active_name",
            "name",
            unique=True,
            postgresql_where=text("revoked_at IS NULL"),
        ),
    )


class Job(Base):
    """
    One piece of work for a worker.

    ``dispatched_at`` is set once the message is on the broker: an accepted job without
    it is sent later.  ``attempts`` counts deliveries since the last progress that was
    kept, ``fence`` all of them, so that an attempt that was taken over notices.
    """

    __tablename__ = "jobs"

    id: Mapped[str] = mapped_column(Uuid(as_uuid=False), primary_key=True, default=new_id)
    kind: Mapped[str] = mapped_column(String(16))
    state: Mapped[str] = mapped_column(
        String(16), default=JobState.QUEUED.value, server_default=JobState.QUEUED.value
    )
    payload: Mapped[dict[str, Any]] = mapped_column(JSONB)
    progress: Mapped[float] = mapped_column(Float, default=0.0, server_default="0")
    """0 to 1."""
    stage: Mapped[str | None] = mapped_column(String(200))
    """What is being done, in words."""
    result: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    checkpoint: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    """Where a long job goes on: checkpoint path, step, figures so far."""
    error: Mapped[str | None] = mapped_column(Text)
    attempts: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    fence: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    worker: Mapped[str | None] = mapped_column(String(120))
    request_id: Mapped[str | None] = mapped_column(String(64))
    api_key_id: Mapped[str] = mapped_column(Uuid(as_uuid=False), ForeignKey("api_keys.id"))
    idempotency_key: Mapped[str | None] = mapped_column(String(200))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    dispatched_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    started_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    finished_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))

    __table_args__ = (
        CheckConstraint("kind IN ('compose', 'optimize')", name="kind"),
        CheckConstraint(
            "state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')", name="state"
        ),
        CheckConstraint("progress >= 0 AND progress <= 1", name="progress"),
        UniqueConstraint("api_key_id", "idempotency_key"),
        Index(
            "ix_jobs_undispatched",
            "created_at",
            postgresql_where=text("dispatched_at IS NULL AND state = 'queued'"),
        ),
        Index("ix_jobs_created_at_id", text("created_at DESC"), text("id DESC")),
    )


class FormulaRecord(Base):
    """A stored formula; at most one per job, whatever is delivered twice."""

    __tablename__ = "formulas"

    id: Mapped[str] = mapped_column(Uuid(as_uuid=False), primary_key=True, default=new_id)
    job_id: Mapped[str] = mapped_column(Uuid(as_uuid=False), ForeignKey("jobs.id"), unique=True)
    parent_id: Mapped[str | None] = mapped_column(Uuid(as_uuid=False), ForeignKey("formulas.id"))
    """The formula that an optimisation started from."""
    name: Mapped[str] = mapped_column(String(120))
    body: Mapped[dict[str, Any]] = mapped_column(JSONB)
    """JSON form of :class:`backend.contracts.formula.Formula`."""
    origin: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'::jsonb"))
    """How it came to be: model or method, brief, figures."""
    cost_per_kg: Mapped[float | None] = mapped_column(Float)
    """Euro per kilogram of concentrate."""
    embedding: Mapped[list[float] | None] = mapped_column(Vector(EMBEDDING_DIMENSION))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())

    __table_args__ = (
        Index("ix_formulas_created_at_id", text("created_at DESC"), text("id DESC")),
        Index(
            "ix_formulas_embedding",
            "embedding",
            postgresql_using="hnsw",
            postgresql_ops={"embedding": "vector_cosine_ops"},
        ),
    )
