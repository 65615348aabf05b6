"""Where a running search is seen: the job, the checkpoints, the curves, the counters."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from workers.jobs import HandBack, Reporter
from workers.rl.checkpoint import Checkpoint, CheckpointStore


class JobObserver:
    """
    Observe one job's search.

    Args:
        reporter: The job.
        store: Its checkpoints.
        steps: Steps asked for, for the progress.
        curves: Directory of the TensorBoard curves.
        count_episodes: Adds to the counter of episodes.
        is_stopping: Whether the worker is being stopped.
        show: Given the figures of each update, for the worker's heartbeat.
        checkpointed: Called when a checkpoint is on disk.
        keep_every_seconds: Pause between two checkpoints on disk; 0 keeps every update.
        segment_seconds: After this long the job is handed back at its next checkpoint,
            so that one long job does not hold a worker for ever.
    """

    def __init__(
        self,
        reporter: Reporter,
        store: CheckpointStore,
        *,
        steps: int,
        curves: Path,
        count_episodes: Callable[[int], None],
        is_stopping: Callable[[], bool],
        show: Callable[[Mapping[str, float]], None],
        checkpointed: Callable[[], None],
        keep_every_seconds: float,
        segment_seconds: float,
    ) -> None:
        self._reporter = reporter
        self._store = store
        self._steps = max(1, steps)
        self._curves = curves
        self._writer: Any = None
        self._count_episodes = count_episodes
        self._is_stopping = is_stopping
        self._show = show
        self._checkpointed = checkpointed
        self._keep_every_seconds = keep_every_seconds
        self._segment_ends = time.monotonic() + segment_seconds
        self._kept_at = -math.inf

    def progress(self, step: int, figures: Mapping[str, float]) -> None:
        """Report to the job; raises JobAbandoned when nobody wants it any more."""
        self._show(figures)
        self._reporter.report(self._ratio(step), describe(figures))

    def keep(self, checkpoint: Checkpoint, figures: Mapping[str, float], *, last: bool) -> None:
        """Save a checkpoint; raises HandBack when this worker should not go on."""
        handing_back = not last and (self._is_stopping() or time.monotonic() > self._segment_ends)
        now = time.monotonic()
        if not (last or handing_back or now - self._kept_at >= self._keep_every_seconds):
            return
        self._kept_at = now
        path = self._store.save(checkpoint)
        self._checkpointed()
        place = {"path": str(path), **{name: round(value, 6) for name, value in figures.items()}}
        self._reporter.keep(place, self._ratio(checkpoint.step), always=last or handing_back)
        if handing_back:
            stopping = self._is_stopping()
            raise HandBack("the worker is stopping" if stopping else "another segment follows")

    def scalars(self, step: int, figures: Mapping[str, float]) -> None:
        """Draw figures as TensorBoard curves; a full disk does not end the search."""
        if self._writer is None:
            from tensorboard.summary.writer.event_file_writer import EventFileWriter  # type: ignore[import-untyped]  # ships no types

            self._curves.mkdir(parents=True, exist_ok=True)
            self._writer = EventFileWriter(str(self._curves), flush_secs=10)
        self._writer.add_event(_event(step, figures))

    def episodes(self, count: int) -> None:
        """Count finished episodes."""
        self._count_episodes(count)

    def close(self) -> None:
        """Write what is left of the curves."""
        if self._writer is not None:
            self._writer.close()

    def _ratio(self, step: int) -> float:
        return min(0.99, step / self._steps)


def describe(figures: Mapping[str, float]) -> str:
    """Return the stage shown with a job: step, reward and, where there is one, entropy."""
    parts = [f"step {int(figures['step'])}", f"reward {figures['reward']:.3f}"]
    if "entropy" in figures:
        parts.append(f"entropy {figures['entropy']:.4f}")
    return ", ".join(parts)


def _event(step: int, figures: Mapping[str, float]) -> Any:
    from tensorboard.compat.proto.event_pb2 import Event  # type: ignore[import-untyped]  # ships no types
    from tensorboard.compat.proto.summary_pb2 import Summary  # type: ignore[import-untyped]  # ships no types

    values = [Summary.Value(tag=name, simple_value=value) for name, value in figures.items()]
    return Event(step=step, wall_time=time.time(), summary=Summary(value=values))
