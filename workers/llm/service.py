"""
What an LLM worker loads before it takes its first task.

Tasks run in threads that mostly wait; models run in the engines' own threads.  Each
engine has a copy of its model, because a tokenizer is not safe to share.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from backend.contracts.settings import Settings
from backend.contracts.tasks import Queue, shared_url
from workers.connections import redis_client
from workers.jobs import JobRunner
from workers.llm.cache import AnswerCache
from workers.llm.composer import Composer, Voice
from workers.llm.engine import MicroBatchEngine
from workers.llm.ensemble import ModelEntry, load_ensemble
from workers.llm.packaged import PACKAGED_DIRECTORY, verify
from workers.llm.prompts import builtin_prompt, instruction
from workers.metrics import inference_histogram
from workers.run import Pool

if TYPE_CHECKING:
    from workers.llm.model import HuggingFaceModel

log = structlog.get_logger(__name__)

CACHE_TIMEOUT_SECONDS = 1.0
SMALL_MODEL_PARAMETERS = 50_000_000
BATCHES_IN_HAND = 2
"""Tasks taken per engine, in batches: the next batch waits while one is answered."""


class Service:
    """Everything the tasks of this process use."""

    def __init__(self, settings: Settings) -> None:
        from prometheus_client import Histogram

        ensemble = load_ensemble(settings)
        if settings.llm.model_home is not None:
            os.environ.setdefault("HF_HOME", str(settings.llm.model_home))
        self._engines: list[MicroBatchEngine] = []
        self._largest_parameters = 0
        self._histogram: Histogram = inference_histogram()
        self.runner = JobRunner(settings, Queue.LLM)
        self.composer = Composer(
            [
                self._voice(entry, settings, ensemble.generation.batch_window_milliseconds)
                for entry in ensemble.models
            ],
            ensemble.generation,
            _cache(settings),
        )
        _limit_torch_threads(settings.llm.concurrency, self._largest_parameters)

    def close(self) -> None:
        """Stop the engines and close connections."""
        for engine in self._engines:
            engine.close()
        self.runner.close()

    def _voice(self, entry: ModelEntry, settings: Settings, window_milliseconds: float) -> Voice:
        models = [_load(entry) for _ in range(settings.llm.concurrency)]
        self._largest_parameters = max(self._largest_parameters, models[0].parameters)
        histogram = self._histogram.labels(entry.name)

        def observe(seconds: float, prompts: int) -> None:
            for _ in range(prompts):
                histogram.observe(seconds)

        engines = [
            MicroBatchEngine(
                model,
                max_batch_size=settings.llm.max_batch_size,
                max_new_tokens=entry.max_new_tokens,
                window_seconds=window_milliseconds / 1000.0,
                observe_seconds=observe,
            )
            for model in models
        ]
        self._engines += engines
        if entry.builtin:
            return Voice(entry.name, engines, builtin_prompt)
        return Voice(entry.name, engines, lambda brief: models[0].chat(instruction(brief)))


_service: Service | None = None


def current() -> Service:
    """Return the service of this process; tasks run only after :func:`prepare`."""
    if _service is None:
        raise RuntimeError("the worker has not been prepared")
    return _service


def prepare(settings: Settings) -> Pool:
    """Load the ensemble; see :class:`workers.run.WorkerKind`."""
    global _service  # noqa: PLW0603 - Celery gives tasks no other way to their worker
    service = _service = Service(settings)
    return Pool(
        name="threads",
        concurrency=settings.llm.concurrency * settings.llm.max_batch_size * BATCHES_IN_HAND,
        begin_shutdown=lambda: None,  # tasks are short: they are finished
        close=service.close,
    )


def _load(entry: ModelEntry) -> HuggingFaceModel:
    from workers.llm.model import HuggingFaceModel

    source: Path | str = entry.source
    digest = None
    if entry.builtin:
        source = PACKAGED_DIRECTORY / entry.builtin
        digest = verify(source)
    model = HuggingFaceModel.load_directory(
        entry.name,
        source,
        digest=digest,
        device_map=entry.device_map,
        quantize_4bit=entry.load_in_4bit,
        local_files_only=not entry.download,
    )
    log.info("model_loaded", model=entry.name, source=entry.source, digest=model.digest[:12])
    return model


def _cache(settings: Settings) -> AnswerCache | None:
    if not settings.llm.use_cache or settings.llm.cache_ttl_seconds <= 0:
        return None
    client = redis_client(shared_url(settings.redis_dsn), CACHE_TIMEOUT_SECONDS)
    return AnswerCache(client, settings.llm.cache_ttl_seconds)


def _limit_torch_threads(engines: int, largest_parameters: int) -> None:
    """
    Share the cores among the engines: more threads than cores lose a third.

    A small model's operations are shorter than handing them to a second thread, and
    beside other busy processes the threads then wait for one another.
    """
    import torch

    cores = len(os.sched_getaffinity(0))
    share = cores // engines if largest_parameters > SMALL_MODEL_PARAMETERS else 1
    torch.set_num_threads(max(1, share))
