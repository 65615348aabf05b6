"""
What a worker does to a job: claim, report, keep a checkpoint, finish.

Tasks are delivered at least once.  Each transition here is one statement that names the
state it starts from, so a second delivery either goes on where the first stopped or
finds nothing to do.  All take a blocking session; use them through
:meth:`backend.database.engine.Database.run`, which tries again when the database is away::

    job = database.run(lambda session: claim_job(session, job_id, worker="worker-llm-1"))
    if job is None:
        return  # finished, cancelled or unknown: nothing to do
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from sqlalchemy import CursorResult, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from backend.contracts.embedding import embed_formula
from backend.contracts.formula import Formula
from backend.contracts.perfumery import cost_per_kg
from backend.database.models import OPEN_STATES, FormulaRecord, Job, JobState, new_id

MAX_ATTEMPTS = 4
"""Deliveries without kept progress before a job is given up as poison."""


@dataclass(frozen=True, slots=True)
class ClaimedJob:
    """
    A job that this delivery may work on.

    Args:
        id: The job's id, also the task's.
        kind: As in :class:`backend.contracts.tasks.JobKind`.
        payload: What was asked for.
        checkpoint: Where an earlier attempt or segment stopped, None at the beginning.
        attempts: Which delivery without kept progress this is, 1 the first.
        fence: Proof of this claim; a later claim makes it invalid.
        request_id: Id of the request that made the job, for the log.
    """

    id: str
    kind: str
    payload: dict[str, Any]
    checkpoint: dict[str, Any] | None
    attempts: int
    fence: int
    request_id: str | None


@dataclass(frozen=True, slots=True)
class FormulaDraft:
    """A formula to be stored with its job's result; see ``FormulaRecord`` for the parts."""

    formula: Formula
    origin: Mapping[str, Any] = field(default_factory=dict)
    parent_id: str | None = None


def claim_job(
    session: Session, job_id: str, worker: str, max_attempts: int = MAX_ATTEMPTS
) -> ClaimedJob | None:
    """
    Take a job for this delivery, atomically.

    A redelivered job is claimed again and the earlier claim's fence becomes invalid.

    Args:
        session: In a transaction.
        job_id: Id of an existing job.
        worker: Name of the replica, shown with the job.
        max_attempts: Deliveries without kept progress after which the job fails instead.
    Returns:
        The job, or None where it is finished, cancelled, unknown or given up.
    """
    claimed = session.execute(
        update(Job)
        .where(Job.id == job_id, Job.state.in_(OPEN_STATES), Job.attempts < max_attempts)
        .values(
            state=JobState.RUNNING.value,
            attempts=Job.attempts + 1,
            fence=Job.fence + 1,
            worker=worker,
            started_at=func.coalesce(Job.started_at, func.now()),
            dispatched_at=func.coalesce(Job.dispatched_at, func.now()),
        )
        .returning(Job.kind, Job.payload, Job.checkpoint, Job.attempts, Job.fence, Job.request_id)
    ).one_or_none()
    if claimed is not None:
        return ClaimedJob(job_id, *claimed)
    message = f"given up after {max_attempts} deliveries, each of which lost its worker"
    _close(session, job_id, JobState.FAILED, error=message)
    return None


def update_progress(
    session: Session, job_id: str, fence: int, progress: float, stage: str | None = None
) -> bool:
    """
    Report how far a running job is.

    Args:
        session: In a transaction.
        job_id: The job.
        fence: From the claim.
        progress: 0 to 1; brought into that range.
        stage: What is being done, in words; None leaves the last one.
    Returns:
        False where the worker should stop: cancelled, finished, or claimed by another.
    """
    values: dict[str, Any] = {"progress": min(1.0, max(0.0, progress))}
    if stage is not None:
        values["stage"] = stage[:200]
    return _update_running(session, job_id, fence, values)


def save_checkpoint(
    session: Session,
    job_id: str,
    fence: int,
    checkpoint: Mapping[str, Any],
    progress: float | None = None,
) -> bool:
    """
    Keep where a long job goes on, and forgive earlier deliveries.

    Called at the end of each segment, once the checkpoint itself lies on disk.

    Returns:
        As :func:`update_progress`.
    """
    values: dict[str, Any] = {"checkpoint": dict(checkpoint), "attempts": 0}
    if progress is not None:
        values["progress"] = min(1.0, max(0.0, progress))
    return _update_running(session, job_id, fence, values)


def is_cancelled(session: Session, job_id: str) -> bool:
    """Tell whether work on a job should stop because it was cancelled or is gone."""
    state = session.execute(select(Job.state).where(Job.id == job_id)).scalar_one_or_none()
    return state is None or state == JobState.CANCELLED.value


def finish_job(
    session: Session,
    job_id: str,
    result: Mapping[str, Any],
    draft: FormulaDraft | None = None,
) -> str | None:
    """
    Store a job's result, and its formula, once.

    Whoever is first wins: a second delivery's result is dropped, a cancelled job stays
    cancelled.  The result gets ``formula_id`` where a formula is stored.

    Args:
        session: In a transaction; result and formula appear together.
        job_id: A running job.
        result: JSON values.
        draft: The formula, None where the job makes none.
    Returns:
        The id of the job's formula, whichever delivery stored it, or None.
    """
    formula_id = new_id() if draft is not None else None
    stored = dict(result) | ({"formula_id": formula_id} if formula_id else {})
    if draft is not None and _close(session, job_id, JobState.SUCCEEDED, result=stored):
        composition = draft.formula.composition()
        embedding = embed_formula(draft.formula)
        session.execute(
            insert(FormulaRecord)
            .values(
                id=formula_id,
                job_id=job_id,
                parent_id=draft.parent_id,
                name=draft.formula.name,
                body=draft.formula.to_json(),
                origin=dict(draft.origin),
                cost_per_kg=cost_per_kg(composition),
                embedding=list(embedding) if embedding is not None else None,
            )
            .on_conflict_do_nothing(index_elements=[FormulaRecord.job_id])
        )
    elif draft is None:
        _close(session, job_id, JobState.SUCCEEDED, result=stored)
    return session.execute(
        select(FormulaRecord.id).where(FormulaRecord.job_id == job_id)
    ).scalar_one_or_none()


def fail_job(session: Session, job_id: str, error: str) -> bool:
    """
    End a job as failed.

    Args:
        session: In a transaction.
        job_id: The job.
        error: One sentence for whoever asked; no trace, no secret.
    Returns:
        False where it had ended before.
    """
    return _close(session, job_id, JobState.FAILED, error=error[:2000])


def load_formula(session: Session, formula_id: str) -> Formula | None:
    """Return a stored formula, or None."""
    body = session.execute(
        select(FormulaRecord.body).where(FormulaRecord.id == formula_id)
    ).scalar_one_or_none()
    return None if body is None else Formula.from_json(body)


def _close(session: Session, job_id: str, state: JobState, **values: Any) -> bool:
    if state is JobState.SUCCEEDED:
        values["progress"] = 1.0
    done = session.execute(
        update(Job)
        .where(Job.id == job_id, Job.state.in_(OPEN_STATES))
        .values(state=state.value, finished_at=func.now(), **values)
    )
    return cast("CursorResult[Any]", done).rowcount == 1


def _update_running(session: Session, job_id: str, fence: int, values: dict[str, Any]) -> bool:
    done = session.execute(
        update(Job)
        .where(Job.id == job_id, Job.state == JobState.RUNNING.value, Job.fence == fence)
        .values(**values)
    )
    return cast("CursorResult[Any]", done).rowcount == 1
