"""
What an RL worker sets up: in the parent little, in the child that runs tasks the rest.

The parent must never run a torch operation: the forked child would hang in its first.
It therefore imports none of the training; the child does, before its first task.
"""

from __future__ import annotations

import multiprocessing
import os
import zlib
from pathlib import Path
from typing import Any

import structlog

from backend.contracts.payloads import Method, OptimizationPayload
from backend.contracts.settings import Settings
from backend.contracts.tasks import Queue
from backend.database import ClaimedJob, FormulaDraft, FormulaRecord
from workers.jobs import JobFailed, JobRunner, Outcome, Reporter
from workers.process import die_with_parent
from workers.results import composed_result
from workers.rl.board import Board, newest_checkpoint_at
from workers.run import Pool

log = structlog.get_logger(__name__)

SEGMENT_SECONDS = 600.0
GENETIC_KEEP_SECONDS = 1.0
"""A generation takes a millisecond, a checkpoint ten: not every one is kept."""

SOFT_LIMIT_SECONDS = 900
HARD_LIMIT_SECONDS = 960
"""Above a segment: what reaches them hangs."""


class Service:
    """Everything the tasks of one child process use."""

    def __init__(self, settings: Settings, stopping: Any, board: Board, place: int) -> None:
        from workers.metrics import episodes_counter

        self._board, self._place = board, place
        self.runner = JobRunner(settings, Queue.RL)
        self._settings = settings
        self._stopping = stopping
        self._episodes = episodes_counter()

    def optimise(self, job: ClaimedJob, reporter: Reporter) -> Outcome:
        """Carry out a claimed job; see :meth:`workers.jobs.JobRunner.run`."""
        from workers.rl.checkpoint import CheckpointStore
        from workers.rl.observer import JobObserver
        from workers.rl.optimizer import Unsolvable, optimise

        try:
            wish = OptimizationPayload.from_json(job.payload)
        except ValueError as error:
            raise JobFailed(str(error)) from error
        record = self.runner.database.run(
            lambda session: session.get(FormulaRecord, wish.formula_id)
        )
        if record is None:
            raise JobFailed(f"formula {wish.formula_id} does not exist")
        store = CheckpointStore(Path(self._settings.rl.checkpoint_directory) / job.id)
        store.sweep()
        resume = store.newest()
        board, place = self._board, self._place
        board.begin(place, job.id, wish.method.value, wish.steps)
        if resume is not None:
            log.info("resumed", step=resume.step, path=str(resume.path))
            if resume.path is not None:
                board.kept(place, resume.path.stat().st_mtime)
        counter = self._episodes.labels(wish.method.value)
        observer = JobObserver(
            reporter,
            store,
            steps=wish.steps,
            curves=Path(self._settings.rl.tensorboard_directory) / job.id,
            count_episodes=counter.inc,
            is_stopping=lambda: bool(self._stopping.value),
            show=lambda figures: board.note(place, figures),
            checkpointed=lambda: board.kept(place),
            keep_every_seconds=GENETIC_KEEP_SECONDS if wish.method is Method.GENETIC else 0.0,
            segment_seconds=SEGMENT_SECONDS,
        )
        try:
            from backend.contracts.formula import Formula

            improved = optimise(
                Formula.from_json(record.body),
                record.origin.get("brief"),
                method=wish.method,
                steps=wish.steps,
                batch=self._settings.rl.batch_size,
                seed=zlib.crc32(job.id.encode()),
                observer=observer,
                resume=resume,
            )
        except Unsolvable as error:
            raise JobFailed(str(error)) from error
        finally:
            observer.close()
        return Outcome(
            composed_result(improved.formula, improved.verdict, improved.origin),
            FormulaDraft(improved.formula, origin=improved.origin, parent_id=wish.formula_id),
        )


_service: Service | None = None


def current() -> Service:
    """Return the service of this process; tasks run only in prepared children."""
    if _service is None:
        raise RuntimeError("the worker has not been prepared")
    return _service


def prepare(settings: Settings) -> Pool:
    """Register what happens in children; see :class:`workers.run.WorkerKind`."""
    from celery import signals

    # One byte without a lock: it is set in a signal handler.
    stopping = multiprocessing.RawValue("b", 0)
    board = Board(
        settings.rl.concurrency, newest_checkpoint_at(Path(settings.rl.checkpoint_directory))
    )
    parent_pid = os.getpid()

    def in_child(**_: Any) -> None:
        from billiard import current_process

        global _service  # noqa: PLW0603 - Celery gives tasks no other way to their worker
        die_with_parent(parent_pid)
        _import_training()
        _service = Service(settings, stopping, board, int(getattr(current_process(), "index", 0)))

    def on_lost(task_id: str, exception: BaseException, **_: Any) -> None:
        """Run in the parent when a child died under a task too often, or hung."""
        from billiard.exceptions import TimeLimitExceeded, WorkerLostError

        if not isinstance(exception, WorkerLostError | TimeLimitExceeded):
            return  # raised in the child, which has seen to its job itself
        runner = JobRunner(settings, Queue.RL)
        try:
            runner.give_up(task_id, "the process working on it died or hung, repeatedly")
        finally:
            runner.close()

    signals.worker_process_init.connect(in_child, weak=False)
    signals.task_failure.connect(on_lost, weak=False)
    return Pool(
        name="prefork",
        concurrency=settings.rl.concurrency,
        begin_shutdown=lambda: setattr(stopping, "value", 1),
        close=lambda: None,
        tells=board.told,
    )


def _import_training() -> None:
    """Import what the first task would otherwise wait for; torch may run here, not before."""
    import torch

    import workers.rl.optimizer
    import workers.rl.training  # noqa: F401 - loaded, not used

    # The networks are small: a second thread costs more than it does.
    torch.set_num_threads(1)
