"""
The frame around every task: claim the job, work, store the outcome, count.

A task may be delivered twice; the job table decides what a second delivery does.  Work
raises one of three things: :class:`JobFailed` with a sentence for whoever asked,
:class:`JobAbandoned` when nobody waits any more, :class:`HandBack` when somebody else
should go on later.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from backend.contracts.settings import Settings
from backend.contracts.tasks import (
    COUNTER_COMPLETED,
    COUNTER_FAILED,
    Queue,
    counters_key,
    shared_url,
)
from backend.database import (
    ClaimedJob,
    Database,
    DatabaseUnavailable,
    FormulaDraft,
    claim_job,
    fail_job,
    finish_job,
    save_checkpoint,
    update_progress,
)
from workers.connections import redis_client

log = structlog.get_logger(__name__)

REPORT_INTERVAL_SECONDS = 1.0
"""Progress is written, and a cancellation noticed, at most this often."""

COUNTER_TIMEOUT_SECONDS = 2.0


class JobFailed(Exception):
    """The job cannot be done; the message is shown to whoever asked."""


class JobAbandoned(Exception):
    """The job was cancelled, or another delivery has taken it over."""


class HandBack(Exception):
    """The message goes back to the queue: this worker cannot go on with it now."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a job leaves behind: the result shown with it, and a formula to store."""

    result: Mapping[str, Any]
    draft: FormulaDraft | None


class Reporter:
    """
    Tell how far a job is and learn whether anybody still wants it.

    Args:
        database: Where jobs are.
        job: The claim.
    """

    def __init__(self, database: Database, job: ClaimedJob) -> None:
        self._database = database
        self._job = job
        self._reported_at = -REPORT_INTERVAL_SECONDS

    def report(self, progress: float, stage: str | None = None) -> None:
        """
        Write progress if the last time is a second ago.

        Args:
            progress: 0 to 1.
            stage: What is being done.

        Raises:
            JobAbandoned: If the job was cancelled or taken over.
        """
        if self._is_due():
            job = self._job
            wanted = self._database.run(
                lambda session: update_progress(session, job.id, job.fence, progress, stage)
            )
            if not wanted:
                raise JobAbandoned(job.id)

    def keep(self, checkpoint: Mapping[str, Any], progress: float, *, always: bool) -> None:
        """
        Note with the job where it goes on after a crash; forgives earlier deliveries.

        Args:
            checkpoint: JSON values: path, step and figures; the files are on disk already.
            progress: 0 to 1.
            always: Write even if the last time is less than a second ago.

        Raises:
            JobAbandoned: If the job was cancelled or taken over.
        """
        if self._is_due() or always:
            job = self._job
            wanted = self._database.run(
                lambda session: save_checkpoint(session, job.id, job.fence, checkpoint, progress)
            )
            if not wanted:
                raise JobAbandoned(job.id)

    def _is_due(self) -> bool:
        now = time.monotonic()
        if now - self._reported_at < REPORT_INTERVAL_SECONDS:
            return False
        self._reported_at = now
        return True


class JobRunner:
    """
    Runs jobs of one queue for one process.

    Args:
        settings: Database and Redis, and the replica's name.
        queue: Whose counters are kept.
    """

    def __init__(self, settings: Settings, queue: Queue) -> None:
        self.database = Database(settings)
        self._replica = settings.replica_name
        self._queue = queue
        self._counters = redis_client(shared_url(settings.redis_dsn), COUNTER_TIMEOUT_SECONDS)

    def run(self, job_id: str, work: Callable[[ClaimedJob, Reporter], Outcome]) -> str:
        """
        Carry one delivery through to the end.

        Args:
            job_id: From the message.
            work: Does the work of a claimed job.

        Returns:
            ``succeeded``, ``failed``, ``abandoned`` or ``skipped`` (had ended before).

        Raises:
            HandBack: The message must go back to the queue.
        """
        try:
            job = self.database.run(lambda session: claim_job(session, job_id, self._replica))
        except DatabaseUnavailable as error:
            raise HandBack("the database cannot be reached") from error
        if job is None:
            log.info("job_skipped", job_id=job_id)
            return "skipped"
        with structlog.contextvars.bound_contextvars(task_id=job.id, request_id=job.request_id):
            return self._carry_out(job, work)

    def give_up(self, job_id: str, reason: str) -> None:
        """Fail a job whose process died under it too often."""
        if self.database.run(lambda session: fail_job(session, job_id, reason)):
            log.error("job_failed", job_id=job_id, reason=reason)
            self._count(COUNTER_FAILED)

    def close(self) -> None:
        """Close connections."""
        self.database.close()
        self._counters.close()

    def _carry_out(self, job: ClaimedJob, work: Callable[[ClaimedJob, Reporter], Outcome]) -> str:
        began = time.monotonic()
        log.info("job_started", kind=job.kind, attempt=job.attempts)
        try:
            outcome = work(job, Reporter(self.database, job))
            self.database.run(
                lambda session: finish_job(session, job.id, outcome.result, outcome.draft)
            )
        except JobAbandoned:
            log.info("job_abandoned")
            return "abandoned"
        except HandBack as error:
            log.info("job_handed_back", reason=str(error))
            raise
        except DatabaseUnavailable as error:
            log.warning("job_handed_back", reason="the database cannot be reached")
            raise HandBack("the database cannot be reached") from error
        except JobFailed as error:
            self.give_up(job.id, str(error))
            return "failed"
        except Exception as error:  # the job is to blame, and the worker goes on
            log.exception("job_crashed")
            self.give_up(job.id, f"internal error ({type(error).__name__})")
            return "failed"
        log.info("job_succeeded", seconds=round(time.monotonic() - began, 3))
        self._count(COUNTER_COMPLETED)
        return "succeeded"

    def _count(self, field: str) -> None:
        import redis

        try:
            self._counters.hincrby(counters_key(self._queue), field, 1)
        except redis.RedisError as error:
            log.warning("counter_lost", field=field, error=type(error).__name__)
