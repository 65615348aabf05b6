"""
Initial schema: API keys, jobs, formulas with their embedding.

Needs the extension ``vector`` (pgvector 0.5 or later, for HNSW); it is trusted, so the
owner of the database may create it.  A downgrade drops every table and leaves the
extension, which others may use.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from pgvector.sqlalchemy import Vector
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

migration_class = "expand"


def upgrade() -> None:
    """Make the tables."""
    op.execute("CREATE EXTENSION IF NOT EXISTS vector")
    timestamp = sa.DateTime(timezone=True)
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(120), nullable=False),
        sa.Column("lookup", sa.String(16), nullable=False),
        sa.Column("key_sha256", sa.String(64), nullable=False),
        sa.Column("created_at", timestamp, server_default=sa.func.now(), nullable=False),
        sa.Column("revoked_at", timestamp),
        sa.PrimaryKeyConstraint("id", name="pk_api_keys"),
        sa.UniqueConstraint("lookup", name="uq_api_keys_lookup"),
    )
    op.create_index(
        "uq_api_keys_active_name",
        "api_keys",
        ["name"],
        unique=True,
        postgresql_where=sa.text("revoked_at IS NULL"),
    )
    op.create_table(
        "jobs",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("state", sa.String(16), server_default="queued", nullable=False),
        sa.Column("payload", postgresql.JSONB(), nullable=False),
        sa.Column("progress", sa.Float(), server_default="0", nullable=False),
        sa.Column("stage", sa.String(200)),
        sa.Column("result", postgresql.JSONB()),
        sa.Column("checkpoint", postgresql.JSONB()),
        sa.Column("error", sa.Text()),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("fence", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("worker", sa.String(120)),
        sa.Column("request_id", sa.String(64)),
        sa.Column("api_key_id", sa.Uuid(), nullable=False),
        sa.Column("idempotency_key", sa.String(200)),
        sa.Column("created_at", timestamp, server_default=sa.func.now(), nullable=False),
        sa.Column("dispatched_at", timestamp),
        sa.Column("started_at", timestamp),
        sa.Column("finished_at", timestamp),
        sa.PrimaryKeyConstraint("id", name="pk_jobs"),
        sa.ForeignKeyConstraint(["api_key_id"], ["api_keys.id"], name="fk_jobs_api_key_id"),
        sa.UniqueConstraint(
            "api_key_id", "idempotency_key", name="uq_jobs_api_key_id_idempotency_key"
        ),
        sa.CheckConstraint("kind IN ('compose', 'optimize')", name="ck_jobs_kind"),
        sa.CheckConstraint(
            "state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')",
            name="ck_jobs_state",
        ),
        sa.CheckConstraint("progress >= 0 AND progress <= 1", name="ck_jobs_progress"),
    )
    op.create_index(
        "ix_jobs_undispatched",
        "jobs",
        ["created_at"],
        postgresql_where=sa.text("dispatched_at IS NULL AND state = 'queued'"),
    )
    op.create_index(
        "ix_jobs_created_at_id", "jobs", [sa.text("created_at DESC"), sa.text("id DESC")]
    )
    op.create_table(
        "formulas",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("parent_id", sa.Uuid()),
        sa.Column("name", sa.String(120), nullable=False),
        sa.Column("body", postgresql.JSONB(), nullable=False),
        sa.Column(
            "origin", postgresql.JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.Column("cost_per_kg", sa.Float()),
        sa.Column("embedding", Vector(64)),
        sa.Column("created_at", timestamp, server_default=sa.func.now(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_formulas"),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="fk_formulas_job_id"),
        sa.ForeignKeyConstraint(["parent_id"], ["formulas.id"], name="fk_formulas_parent_id"),
        sa.UniqueConstraint("job_id", name="uq_formulas_job_id"),
    )
    op.create_index(
        "ix_formulas_created_at_id",
        "formulas",
        [sa.text("created_at DESC"), sa.text("id DESC")],
    )
    op.create_index(
        "ix_formulas_embedding",
        "formulas",
        ["embedding"],
        postgresql_using="hnsw",
        postgresql_ops={"embedding": "vector_cosine_ops"},
    )


def downgrade() -> None:
    """Drop the tables; every row is lost."""
    op.drop_table("formulas")
    op.drop_table("jobs")
    op.drop_table("api_keys")
