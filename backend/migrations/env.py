"""What Alembic runs: on the connection that the runner hands over, or to SQL text."""

from __future__ import annotations

from alembic import context

from backend.database.models import Base

connection = context.config.attributes.get("connection")
if connection is None:
    context.configure(
        dialect_name="postgresql",
        target_metadata=Base.metadata,
        literal_binds=True,
        transaction_per_migration=True,
    )
else:
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        transaction_per_migration=True,
        compare_type=True,
    )
with context.begin_transaction():
    context.run_migrations()
