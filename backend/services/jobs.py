"""Jobs as the application sees them: accept, show, cancel."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from backend.contracts.tasks import JobKind
from backend.database import Job, JobState
from backend.database.models import OPEN_STATES


class IdempotencyConflict(ValueError):
    """The idempotency key was used before, for another request."""


async def accept_job(
    session: AsyncSession,
    job_id: str,
    kind: JobKind,
    payload: dict[str, Any],
    api_key_id: str,
    idempotency_key: str | None = None,
    request_id: str | None = None,
) -> Job:
    """
    Store a job, or return the one that the same request made before.

    Args:
        session: In a transaction.
        job_id: Id for the new job; the same one again is the same job, so a lost commit
            may be repeated.
        kind: What it is for.
        payload: JSON form of one of :mod:`backend.contracts.payloads`.
        api_key_id: Who asks; idempotency keys are theirs alone.
        idempotency_key: Chosen by the caller, None for none.
        request_id: Carried to the worker's log.
    Returns:
        The stored job; its id differs from *job_id* for a repeated request.
    Raises:
        IdempotencyConflict: If the key was used for another kind or payload.
    """
    await session.execute(
        insert(Job)
        .values(
            id=job_id,
            kind=kind.value,
            state=JobState.QUEUED.value,
            payload=payload,
            api_key_id=api_key_id,
            idempotency_key=idempotency_key,
            request_id=request_id,
        )
        .on_conflict_do_nothing()
    )
    condition = Job.id == job_id
    if idempotency_key is not None:
        condition = (Job.api_key_id == api_key_id) & (Job.idempotency_key == idempotency_key)
    job = (await session.execute(select(Job).where(condition))).scalar_one()
    if job.kind != kind.value or job.payload != payload:
        raise IdempotencyConflict("this Idempotency-Key was used for another request")
    return job


async def find_job(session: AsyncSession, job_id: str) -> Job | None:
    """Return a job, or None."""
    return await session.get(Job, job_id)


async def cancel_job(session: AsyncSession, job_id: str) -> Job | None:
    """
    Cancel a job that has not ended; its worker notices at its next report.

    Returns:
        The job as it is now, in its final state if it had ended before; None if unknown.
    """
    await session.execute(
        update(Job)
        .where(Job.id == job_id, Job.state.in_(OPEN_STATES))
        .values(state=JobState.CANCELLED.value, finished_at=func.now())
    )
    return await session.get(Job, job_id)
