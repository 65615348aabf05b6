"""Jobs: asked for, shown, followed, cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any

from asgi_correlation_id.context import correlation_id
from fastapi import APIRouter, Header, Request, Response
from sse_starlette import EventSourceResponse, ServerSentEvent

from backend.api.problems import Problem
from backend.api.schemas import Accepted, Brief, Identifier, JobView, OptimizationRequest
from backend.api.security import Caller, Injected
from backend.contracts.payloads import BriefPayload, OptimizationPayload
from backend.contracts.tasks import JobKind
from backend.database import Job
from backend.database.models import FINAL_STATES, JobState, new_id
from backend.dispatch import Message
from backend.services.formulas import find_formula
from backend.services.jobs import IdempotencyConflict, accept_job, cancel_job, find_job
from backend.services.keys import KeyIdentity
from backend.services.resilience import DependencyUnavailable
from backend.state import Services

FOLLOW_INTERVAL_SECONDS = 0.5
SHUTDOWN_GRACE_SECONDS = 5.0
"""How long a stream may take to end by itself before it is cut."""

router = APIRouter(prefix="/v1", tags=["jobs"])

IdempotencyKey = Annotated[
    str | None,
    Header(min_length=1, max_length=200, description="same key, same job; yours alone"),
]


@router.post("/briefs", status_code=202)
async def post_brief(
    brief: Brief,
    response: Response,
    services: Injected,
    caller: Caller,
    idempotency_key: IdempotencyKey = None,
) -> Accepted:
    """Ask for a formula in plain words; the job's result names it."""
    payload = BriefPayload(brief.text, brief.max_price, tuple(brief.exclude)).to_json()
    return await _accept(services, caller, JobKind.COMPOSE, payload, idempotency_key, response)


@router.post("/optimizations", status_code=202)
async def post_optimization(
    wish: OptimizationRequest,
    response: Response,
    services: Injected,
    caller: Caller,
    idempotency_key: IdempotencyKey = None,
) -> Accepted:
    """Ask for a better version of a stored formula."""
    formula_id = str(wish.formula_id)
    if await services.in_database(lambda session: find_formula(session, formula_id)) is None:
        raise Problem(404, "unknown-formula", f"There is no formula {formula_id}.")
    payload = OptimizationPayload(formula_id, wish.method, wish.steps).to_json()
    return await _accept(services, caller, JobKind.OPTIMIZE, payload, idempotency_key, response)


@router.get("/jobs/{job_id}")
async def get_job(job_id: Identifier, services: Injected, caller: Caller) -> JobView:
    """Show a job."""
    del caller
    return JobView.of(await _known_job(services, str(job_id)))


@router.delete("/jobs/{job_id}")
async def delete_job(job_id: Identifier, services: Injected, caller: Caller) -> JobView:
    """Cancel a job; one that has ended is refused, a cancelled one is shown again."""
    del caller
    job = await services.in_database(lambda session: cancel_job(session, str(job_id)))
    if job is None:
        raise _unknown_job(str(job_id))
    if job.state != JobState.CANCELLED.value:
        raise Problem(409, "job-ended", f"The job has {job.state} already.", state=job.state)
    return JobView.of(job)


@router.get("/jobs/{job_id}/events", response_class=EventSourceResponse)
async def follow_job(
    job_id: Identifier, request: Request, services: Injected, caller: Caller
) -> EventSourceResponse:
    """
    Follow a job: an event ``job`` with the whole job at each change, the last when it ends.

    While the database is away nothing is sent but keep-alive comments.  A replica that
    stops ends the stream; the client asks again and goes on at another one.
    """
    del caller
    job = await _known_job(services, str(job_id))
    return EventSourceResponse(
        _changes(job, services, request), ping=10, shutdown_grace_period=SHUTDOWN_GRACE_SECONDS
    )


async def _changes(
    job: Job, services: Services, request: Request
) -> AsyncIterator[ServerSentEvent]:
    shown, number = "", 0
    while True:
        text = JobView.of(job).model_dump_json()
        if text != shown:
            shown, number = text, number + 1
            yield ServerSentEvent(text, event="job", id=str(number), retry=1000)
        ended = job.state in FINAL_STATES or services.draining
        if ended or await request.is_disconnected():
            return
        await asyncio.sleep(FOLLOW_INTERVAL_SECONDS)
        try:
            job = await _known_job(services, job.id)
        except DependencyUnavailable:
            continue


async def _accept(
    services: Services,
    caller: KeyIdentity,
    kind: JobKind,
    payload: dict[str, Any],
    idempotency_key: str | None,
    response: Response,
) -> Accepted:
    """Commit the job, then send it; a repeated request gets the job it made before."""
    job_id, request_id = new_id(), correlation_id.get()
    try:
        job = await services.in_database(
            lambda session: accept_job(
                session, job_id, kind, payload, caller.id, idempotency_key, request_id
            )
        )
    except IdempotencyConflict as error:
        raise Problem(422, "idempotency-conflict", str(error)) from error
    if job.id == job_id:
        await services.dispatcher.send(Message(job.id, kind, request_id))
    response.headers["Location"] = f"/v1/jobs/{job.id}"
    return Accepted(job_id=job.id)


async def _known_job(services: Services, job_id: str) -> Job:
    job = await services.in_database(lambda session: find_job(session, job_id))
    if job is None:
        raise _unknown_job(job_id)
    return job


def _unknown_job(job_id: str) -> Problem:
    return Problem(404, "unknown-job", f"There is no job {job_id}.")
