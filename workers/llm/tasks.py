"""The task of queue ``llm``; thin, the work is in :mod:`workers.llm.composer`."""

from __future__ import annotations

from typing import Any

from celery import Task, shared_task
from celery.exceptions import Reject

from backend.contracts.tasks import TaskName
from backend.database import ClaimedJob, FormulaDraft
from workers.base import MAX_DELIVERIES_AFTER_LOSS, REDELIVERY_DELAY_SECONDS
from workers.jobs import HandBack, JobFailed, Outcome, Reporter
from workers.llm import service
from workers.llm.composer import NoFormula
from workers.llm.constraints import Constraints, Unacceptable
from workers.results import composed_result


@shared_task(
    name=TaskName.COMPOSE_FORMULA.value,
    bind=True,
    max_retries=MAX_DELIVERIES_AFTER_LOSS,
    default_retry_delay=REDELIVERY_DELAY_SECONDS,
)  # type: ignore[untyped-decorator]  # celery is untyped
def compose_formula(task: Task, job_id: str) -> str:
    """Compose the formula of a job; returns how the job ended."""
    del task
    try:
        return service.current().runner.run(job_id, _compose)
    except HandBack as error:
        raise Reject(str(error), requeue=True) from error


def _compose(job: ClaimedJob, reporter: Reporter) -> Outcome:
    payload: dict[str, Any] = job.payload
    try:
        constraints = Constraints.of(payload.get("max_price"), list(payload.get("exclude") or ()))
        answer = service.current().composer.compose(
            str(payload["text"]), constraints, reporter.report
        )
    except (NoFormula, Unacceptable) as error:
        raise JobFailed(f"no formula was composed: {error}") from error
    return Outcome(
        composed_result(answer.formula, answer.verdict, answer.origin),
        FormulaDraft(answer.formula, origin=answer.origin),
    )
