"""The Celery exporter as a process, on a real Redis with a real Celery worker."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from backend.contracts.tasks import JobKind, TaskName
from backend.dispatch import Message, Publisher
from tests.servers import Server, free_port, start_redis, wait_until

PROJECT = Path(__file__).parents[2]
TASK = f'{{name="{TaskName.COMPOSE_FORMULA.value}",queue_name="llm"}}'


class Exporter:
    """The exporter and the broker it looks at."""

    def __init__(self, redis: Server, directory: Path) -> None:
        self.redis, self.directory = redis, directory
        self.url = f"http://127.0.0.1:{free_port()}/metrics"

    @contextlib.contextmanager
    def process(self, *command: str) -> Iterator[subprocess.Popen[bytes]]:
        with (self.directory / f"{command[1]}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", *command],
                cwd=PROJECT,
                env={"PATH": "/usr/bin:/bin", "REDIS_URL": self.redis.url, "LOG_FORMAT": "json"},
                stdout=log,
                stderr=log,
            )
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    @contextlib.contextmanager
    def worker(self, replica: str) -> Iterator[subprocess.Popen[bytes]]:
        with self.process("tests.tiny_worker", replica) as process:
            self.wait(f'celery_worker_up{{hostname="{replica}",queue_name="llm"}}', 1)
            yield process

    def figures(self) -> dict[str, float]:
        """Scrape, in under a second whatever the broker does."""
        text = httpx.get(self.url, timeout=1).raise_for_status().text
        return {
            sample.name
            + ("{" + ",".join(f'{k}="{v}"' for k, v in sorted(sample.labels.items())) + "}"
               if sample.labels else ""): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }  # fmt: skip

    def answers(self) -> bool:
        try:
            self.figures()
        except httpx.HTTPError:
            return False
        return True

    def wait(self, series: str, value: float | None, seconds: float = 15) -> None:
        wait_until(
            lambda: self.figures().get(series) == value, seconds, f"{series} becomes {value}"
        )

    def listens(self, seconds: float = 20) -> None:
        self.wait("celery_broker_up", 1, seconds)
        for queue in ("llm", "rl"):
            self.wait(f'celery_events_up{{queue_name="{queue}"}}', 1, seconds)

    def publish(self, *job_ids: str) -> None:
        """Publish as the application does; an id ends a task, so each is sent by name."""
        publisher = Publisher(self.redis.url)
        for job_id in job_ids:
            publisher.publish(Message(job_id, JobKind.COMPOSE, None))


@pytest.fixture
def exporter(tmp_path: Path) -> Iterator[Exporter]:
    with start_redis(tmp_path) as redis:
        made = Exporter(redis, tmp_path)
        port = made.url.split(":")[2].split("/")[0]
        with made.process("backend", "exporter", "--port", port):
            wait_until(made.answers, 30, "the exporter answers")
            made.listens()
            yield made


def test_a_queue_is_the_sum_of_its_lists_and_grows_older(exporter: Exporter) -> None:
    exporter.publish(*(uuid.uuid4().hex for _ in range(7)))

    exporter.wait('celery_queue_length{queue_name="llm"}', 7)
    exporter.wait('celery_queue_length{queue_name="rl"}', 0)
    figures = exporter.figures()
    assert figures['celery_queue_in_flight{queue_name="llm"}'] == 0
    assert figures['celery_queue_oldest_age_seconds{queue_name="rl"}'] == 0
    wait_until(
        lambda: exporter.figures()['celery_queue_oldest_age_seconds{queue_name="llm"}'] > 1,
        what="the oldest is older than a second",
    )
    assert exporter.figures()[f"celery_task_sent_total{TASK}"] == 7


def test_a_task_is_counted_at_each_stage_of_its_life(exporter: Exporter) -> None:
    with exporter.worker("worker-llm-1"):
        exporter.publish("good", "fail", "reject", "sleep-1.5")

        exporter.wait('celery_queue_in_flight{queue_name="llm"}', 1)
        exporter.wait('celery_worker_tasks_active{hostname="worker-llm-1",queue_name="llm"}', 1)
        exporter.wait(f"celery_task_succeeded_total{TASK}", 2)
        figures = exporter.figures()
    # A task that rejects its message for good has failed, too.
    counts = {"sent": 4, "received": 4, "started": 4, "failed": 2, "rejected": 1}
    assert {kind: figures[f"celery_task_{kind}_total{TASK}"] for kind in counts} == counts
    assert figures[f"celery_task_runtime_count{TASK}"] == 2
    assert 1.5 <= figures[f"celery_task_runtime_sum{TASK}"] < 5
    assert figures[f"celery_task_queue_wait_time_count{TASK}"] == 4


def test_a_worker_that_is_stopped_leaves_and_one_that_is_killed_is_down(exporter: Exporter) -> None:
    with exporter.worker("worker-llm-1"):
        pass
    exporter.wait('celery_worker_up{hostname="worker-llm-1",queue_name="llm"}', None)

    with exporter.worker("worker-llm-2") as worker:
        worker.kill()
        exporter.wait('celery_worker_up{hostname="worker-llm-2",queue_name="llm"}', 0, 20)
    assert (
        'celery_worker_tasks_active{hostname="worker-llm-2",queue_name="llm"}'
        not in exporter.figures()
    )


def test_redis_restarts_and_the_exporter_goes_on_by_itself(exporter: Exporter) -> None:
    with exporter.worker("worker-llm-1"):
        exporter.publish("before")
        exporter.wait(f"celery_task_succeeded_total{TASK}", 1)

        exporter.redis.kill()
        exporter.wait("celery_broker_up", 0)
        exporter.wait('celery_events_up{queue_name="llm"}', 0)
        figures = exporter.figures()
        assert not [name for name in figures if name.startswith(("celery_queue_", "celery_worker"))]
        assert figures[f"celery_task_succeeded_total{TASK}"] == 1  # it happened

        exporter.redis.start()
        exporter.listens()
        exporter.publish("after")
        exporter.wait(f"celery_task_succeeded_total{TASK}", 2)


def test_a_redis_that_hangs_is_noticed_and_followed_again_when_it_goes_on(
    exporter: Exporter,
) -> None:
    exporter.redis.pause()
    exporter.wait("celery_broker_up", 0)
    exporter.wait('celery_events_up{queue_name="llm"}', 0)

    exporter.redis.resume()
    exporter.listens(30)
    with exporter.worker("worker-llm-1"):
        exporter.publish("after")
        exporter.wait(f"celery_task_succeeded_total{TASK}", 1)


def test_it_stops_at_once_when_told_to(exporter: Exporter) -> None:
    port = str(free_port())
    with exporter.process("backend", "exporter", "--port", port) as process:
        wait_until(lambda: _accepts(port), what="it listens")
        process.terminate()
        assert process.wait(timeout=10) == 0


def _accepts(port: str) -> bool:
    try:
        httpx.get(f"http://127.0.0.1:{port}", timeout=1)
    except httpx.HTTPError:
        return False
    return True
