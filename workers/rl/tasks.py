"""The task of queue ``rl``; thin, the work is in :mod:`workers.rl.optimizer`."""

from __future__ import annotations

from celery import Task, shared_task
from celery.exceptions import Reject

from backend.contracts.tasks import TaskName
from workers.base import MAX_DELIVERIES_AFTER_LOSS, REDELIVERY_DELAY_SECONDS
from workers.jobs import HandBack
from workers.rl import service


@shared_task(
    name=TaskName.OPTIMIZE_FORMULA.value,
    bind=True,
    max_retries=MAX_DELIVERIES_AFTER_LOSS,
    default_retry_delay=REDELIVERY_DELAY_SECONDS,
    soft_time_limit=service.SOFT_LIMIT_SECONDS,
    time_limit=service.HARD_LIMIT_SECONDS,
)  # type: ignore[untyped-decorator]  # celery is untyped
def optimize_formula(task: Task, job_id: str) -> str:
    """Optimise the formula of a job; returns how the job ended."""
    del task
    worker = service.current()
    try:
        return worker.runner.run(job_id, worker.optimise)
    except HandBack as error:
        raise Reject(str(error), requeue=True) from error
