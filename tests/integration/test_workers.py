"""Real worker processes on a real PostgreSQL and a real Redis, through crashes and restarts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis
from sqlalchemy import func, select, update

from backend.contracts.formula import Formula
from backend.contracts.payloads import BriefPayload, Method, OptimizationPayload
from backend.contracts.perfumery import FAMILIES, check_formula
from backend.contracts.settings import Settings
from backend.contracts.tasks import (
    JobKind,
    Queue,
    broker_url,
    counters_key,
    heartbeat_key,
    queue_lists,
    shared_url,
)
from backend.database import ApiKey, Database, FormulaRecord, Job, JobState
from backend.dispatch import (
    LOST_AFTER_SECONDS,
    LOST_CHECK_INTERVAL_SECONDS,
    Message,
    Publisher,
)
from backend.migrations.runner import Migrator
from tests.product import Product
from tests.servers import Server, free_port, start_postgres, start_redis, wait_until
from workers.base import LEASE_SECONDS, MAX_DELIVERIES_AFTER_LOSS

PROJECT = Path(__file__).resolve().parents[2]
START_SECONDS = 60.0
REDELIVERY_SECONDS = LEASE_SECONDS + 100.0
LOST_SECONDS = LOST_AFTER_SECONDS + 2 * LOST_CHECK_INTERVAL_SECONDS
START_FORMULA = {"lemon-oil": 20.0, "hedione": 30.0, "galaxolide": 30.0, "rose-absolute": 20.0}


@dataclass
class Worker:
    """One worker process of the test."""

    replica: str
    process: subprocess.Popen[bytes]
    log: Path
    children: list[psutil.Process] = field(default_factory=list)

    def kill(self) -> None:
        """Kill it as a crash does, and remember what it might leave behind."""
        self.children = psutil.Process(self.process.pid).children(recursive=True)
        self.process.kill()
        self.process.wait(timeout=10)

    def terminate(self, timeout_seconds: float = 60.0) -> int:
        """Ask for a warm shutdown and return the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=timeout_seconds)


class Site:
    """Servers, jobs and workers of one test."""

    def __init__(self, postgres: Server, broker: Server, directory: Path) -> None:
        self.broker = broker
        self.directory = directory
        self.settings = Settings.model_validate(
            {"database_url": postgres.url, "redis_url": broker.url, "replica_name": "test"}
        )
        self.database = Database(self.settings)
        self.shared = redis.Redis.from_url(shared_url(broker.url), decode_responses=True)
        self._publisher = Publisher(broker.url)
        self._environment = os.environ | {
            "DATABASE_URL": postgres.url,
            "REDIS_URL": broker.url,
            "LLM_WORKER_CONCURRENCY": "1",
            "CHECKPOINT_DIR": str(directory / "checkpoints"),
            "TENSORBOARD_DIR": str(directory / "tensorboard"),
            "LOG_LEVEL": "INFO",
        }
        with self.database.session() as session:
            key = session.scalar(select(ApiKey.id).limit(1))
            if key is None:
                fresh = ApiKey(name="test", lookup="test", key_sha256="0" * 64)
                session.add(fresh)
                session.flush()
                key = fresh.id
        self._key = key

    @contextmanager
    def worker(self, kind: str, replica: str, **environment: str) -> Iterator[Worker]:
        """Run a worker until the block ends, ready when it begins."""
        path = self.directory / f"{replica}.log"
        with path.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "workers", kind],
                cwd=PROJECT,
                env=self._environment | {"REPLICA_NAME": replica} | environment,
                stdout=log,
                stderr=log,
            )
        worker = Worker(replica, process, path)
        try:
            wait_until(
                lambda: process.poll() is not None or self.accepts(replica),
                START_SECONDS,
                f"{replica} is ready",
            )
            assert process.poll() is None, path.read_text()
            yield worker
        finally:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(timeout=60)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()

    def order(self, action: str, replica: str) -> int:
        """Run ``python -m workers drain|undrain``."""
        return subprocess.run(
            [sys.executable, "-m", "workers", action, replica],
            cwd=PROJECT,
            env=self._environment,
            timeout=30,
            check=False,
        ).returncode

    def heartbeat(self, replica: str) -> dict[str, Any] | None:
        raw: Any = self.shared.get(heartbeat_key(replica))
        content: dict[str, Any] | None = json.loads(raw) if raw else None
        return content

    def accepts(self, replica: str) -> bool:
        try:
            heartbeat = self.heartbeat(replica)
        except redis.RedisError:
            return False
        return heartbeat is not None and bool(heartbeat["accepting"])

    def brief(self, text: str, **demands: Any) -> str:
        """Accept a brief and put it on the queue."""
        return self.submit(JobKind.COMPOSE, BriefPayload(text, **demands).to_json())

    def optimisation(self, method: Method, steps: int) -> str:
        """Store a formula and ask for a better one."""
        parent = self._job(JobKind.COMPOSE, {"text": "a woody rose"}, JobState.SUCCEEDED)
        formula = Formula.from_composition("Start", START_FORMULA)
        with self.database.session() as session:
            record = FormulaRecord(
                job_id=parent,
                name=formula.name,
                body=formula.to_json(),
                origin={"brief": "a woody rose"},
            )
            session.add(record)
            session.flush()
            formula_id = record.id
        payload = OptimizationPayload(formula_id, method, steps)
        return self.submit(JobKind.OPTIMIZE, payload.to_json())

    def submit(self, kind: JobKind, payload: dict[str, Any]) -> str:
        job_id = self._job(kind, payload, JobState.QUEUED)
        self._publisher.publish(Message(job_id, kind, request_id=f"request-{job_id[:8]}"))
        return job_id

    def _job(self, kind: JobKind, payload: dict[str, Any], state: JobState) -> str:
        job_id = str(uuid.uuid4())
        with self.database.session() as session:
            session.add(
                Job(
                    id=job_id,
                    kind=kind.value,
                    payload=payload,
                    state=state.value,
                    api_key_id=self._key,
                    dispatched_at=func.now(),
                )
            )
        return job_id

    def job(self, job_id: str) -> Job:
        with self.database.session() as session:
            return session.get_one(Job, job_id)

    def jobs(self, ids: list[str]) -> list[Job]:
        with self.database.session() as session:
            return list(session.scalars(select(Job).where(Job.id.in_(ids))))

    def count(self, ids: list[str], state: JobState) -> int:
        return sum(job.state == state.value for job in self.jobs(ids))

    def formulas_of(self, ids: list[str]) -> list[FormulaRecord]:
        with self.database.session() as session:
            found = session.scalars(select(FormulaRecord).where(FormulaRecord.job_id.in_(ids)))
            return list(found)

    def cancel(self, job_id: str) -> None:
        with self.database.session() as session:
            values = {"state": JobState.CANCELLED.value, "finished_at": func.now()}
            session.execute(update(Job).where(Job.id == job_id).values(**values))

    def waiting(self, queue: Queue) -> int:
        client: Any = redis.Redis.from_url(broker_url(self.broker.url, queue))
        return sum(client.llen(name) for name in queue_lists(queue))

    def in_flight(self, queue: Queue) -> int:
        client: Any = redis.Redis.from_url(broker_url(self.broker.url, queue))
        return int(client.hlen("unacked"))

    def counters(self, queue: Queue) -> dict[str, str]:
        found: Any = self.shared.hgetall(counters_key(queue))
        return dict(found)

    def wait_for_all(self, ids: list[str], timeout_seconds: float) -> None:
        wait_until(
            lambda: self.count(ids, JobState.SUCCEEDED) == len(ids),
            timeout_seconds,
            f"{len(ids)} jobs succeed",
        )

    def all_settled(self, queue: Queue) -> bool:
        return self.waiting(queue) == 0 and self.in_flight(queue) == 0


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Server]]:
    directory = tmp_path_factory.mktemp("servers")
    with start_postgres(directory) as postgres, start_redis(directory) as broker:
        Migrator(postgres.url).upgrade()
        yield postgres, broker


@pytest.fixture
def site(servers: tuple[Server, Server], tmp_path: Path) -> Iterator[Site]:
    postgres, broker = servers
    client: Any = redis.Redis.from_url(broker.url)
    client.flushall()
    client.close()
    made = Site(postgres, broker, tmp_path)
    yield made
    made.shared.close()
    made.database.close()


@pytest.fixture
def product(servers: tuple[Server, Server], tmp_path: Path) -> Product:
    return Product(*servers, tmp_path)


def some_briefs(count: int) -> list[str]:
    pairs = [(first, second) for first in FAMILIES for second in FAMILIES if first != second]
    return [f"a {first} and {second} perfume" for first, second in pairs[:count]]


def is_gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def test_thirty_briefs_become_thirty_legal_formulas_in_one_attempt_each(site: Site) -> None:
    port = free_port()
    with site.worker("llm", "worker-llm-1", METRICS_PORT=str(port)):
        ids = [site.brief(text) for text in some_briefs(30)]
        site.wait_for_all(ids, 60)
        jobs = site.jobs(ids)
        assert [job.attempts for job in jobs] == [1] * 30
        assert {job.worker for job in jobs} == {"worker-llm-1"}
        formulas = site.formulas_of(ids)
        assert len(formulas) == 30
        for record in formulas:
            assert check_formula(Formula.from_json(record.body)).legal
            assert record.origin["model"] == "qwen"
            assert record.embedding is not None
        wait_until(lambda: site.all_settled(Queue.LLM), 10, "every message is acknowledged")
        assert site.counters(Queue.LLM)["completed"] == "30"
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as response:
            figures = response.read().decode()
        assert 'llm_inference_duration_seconds_count{model="qwen"} 30.0' in figures


def test_an_answer_is_kept_for_the_same_brief_in_other_spelling(site: Site) -> None:
    with site.worker("llm", "worker-llm-1"):
        first = site.brief("A green and woody perfume")
        site.wait_for_all([first], 30)
        second = site.brief("  a GREEN and   woody perfume ")
        site.wait_for_all([second], 30)
    (one,), (other,) = site.formulas_of([first]), site.formulas_of([second])
    assert not one.origin["cached"]
    assert other.origin["cached"]
    assert one.body == other.body


def test_demands_of_a_brief_are_kept_or_the_job_says_why_not(site: Site) -> None:
    with site.worker("llm", "worker-llm-1"):
        possible = site.brief("a citrus and woody perfume", exclude=("limonene",), max_price=60.0)
        impossible = site.brief("a rosy perfume", max_price=0.5)
        site.wait_for_all([possible], 30)
        wait_until(lambda: site.job(impossible).state == JobState.FAILED.value, 60)
    (formula,) = site.formulas_of([possible])
    assert "limonene" not in Formula.from_json(formula.body).composition()
    assert formula.cost_per_kg is not None
    assert formula.cost_per_kg <= 60.0
    assert "price" in (site.job(impossible).error or "")
    assert site.formulas_of([impossible]) == []
    assert site.counters(Queue.LLM)["failed"] == "1"


def test_every_job_is_done_once_after_a_worker_was_killed(site: Site, product: Product) -> None:
    ids = [site.brief(text) for text in some_briefs(40)]
    with site.worker("llm", "worker-llm-1", LLM_MAX_BATCH_SIZE="2") as victim:
        wait_until(lambda: site.count(ids, JobState.SUCCEEDED) >= 4, 30, "some are done")
        victim.kill()
    unfinished = [job for job in site.jobs(ids) if job.state == JobState.RUNNING.value]
    assert unfinished, "the kill came too late to interrupt anything"
    # Killed between taking a message and noting that, it leaves nothing to deliver again:
    # that one the application sends anew.
    with product.serve(), site.worker("llm", "worker-llm-2"):
        site.wait_for_all(ids, REDELIVERY_SECONDS + LOST_SECONDS)
        wait_until(lambda: site.all_settled(Queue.LLM), 30, "every message is acknowledged")
    assert len(site.formulas_of(ids)) == 40
    assert max(job.attempts for job in site.jobs(ids)) == 2


def test_a_warm_shutdown_finishes_what_is_in_hand_and_leaves_the_rest(site: Site) -> None:
    ids = [site.brief(text) for text in some_briefs(40)]
    with site.worker("llm", "worker-llm-1", LLM_MAX_BATCH_SIZE="2") as worker:
        wait_until(lambda: site.count(ids, JobState.SUCCEEDED) >= 4, 30, "some are done")
        assert worker.terminate() == 0
    assert site.count(ids, JobState.RUNNING) == 0
    done = site.count(ids, JobState.SUCCEEDED)
    assert done < 40, "the shutdown came too late to interrupt anything"
    assert site.heartbeat("worker-llm-1") is None
    assert site.waiting(Queue.LLM) == 40 - done
    assert site.in_flight(Queue.LLM) == 0
    with site.worker("llm", "worker-llm-2"):
        site.wait_for_all(ids, 60)
    assert [job.attempts for job in site.jobs(ids)] == [1] * 40


def test_a_drained_worker_leaves_the_backlog_until_it_is_undrained(site: Site) -> None:
    with site.worker("llm", "worker-llm-1"):
        assert site.order("drain", "worker-llm-1") == 0
        heartbeat = site.heartbeat("worker-llm-1")
        assert heartbeat is not None
        assert heartbeat["accepting"] is False
        ids = [site.brief(text) for text in some_briefs(5)]
        beat = heartbeat["at"]
        wait_until(lambda: (site.heartbeat("worker-llm-1") or {"at": 0})["at"] > beat + 2)
        assert site.waiting(Queue.LLM) == 5
        assert site.count(ids, JobState.QUEUED) == 5
        assert site.order("undrain", "worker-llm-1") == 0
        site.wait_for_all(ids, 30)
    assert [job.attempts for job in site.jobs(ids)] == [1] * 5


def test_an_order_to_nobody_fails_and_without_a_broker_says_so(site: Site) -> None:
    assert site.order("drain", "worker-llm-7") == 1
    site.broker.kill()
    try:
        assert site.order("drain", "worker-llm-7") == 5
    finally:
        site.broker.start()


def test_work_goes_on_after_redis_was_killed_and_restarted(site: Site) -> None:
    with site.worker("llm", "worker-llm-1", LLM_MAX_BATCH_SIZE="2"):
        ids = [site.brief(text) for text in some_briefs(40)]
        wait_until(lambda: site.count(ids, JobState.SUCCEEDED) >= 4, 30, "some are done")
        wait_until_synced(site)
        site.broker.kill()
        site.broker.start()
        site.wait_for_all(ids, REDELIVERY_SECONDS)
        wait_until(lambda: site.all_settled(Queue.LLM), REDELIVERY_SECONDS, "all acknowledged")
        wait_until(lambda: site.accepts("worker-llm-1"), 20, "the heartbeat is back")
    assert len(site.formulas_of(ids)) == 40


def wait_until_synced(site: Site) -> None:
    """Have Redis write its file anew: what it loses within a second is not our subject."""
    client: Any = redis.Redis.from_url(site.broker.url)
    client.bgrewriteaof()

    def is_written() -> bool:
        state = client.info("persistence")
        return not (state["aof_rewrite_in_progress"] or state["aof_rewrite_scheduled"])

    wait_until(is_written)


@pytest.mark.parametrize(("method", "steps"), [(Method.PPO, 8192), (Method.GENETIC, 60)])
def test_an_optimisation_ends_with_a_better_formula_and_a_checkpoint(
    site: Site, method: Method, steps: int
) -> None:
    port = free_port()
    with site.worker("rl", "worker-rl-1", METRICS_PORT=str(port)):
        job_id = site.optimisation(method, steps)
        site.wait_for_all([job_id], 90)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as response:
            figures = response.read().decode()
    (record,) = site.formulas_of([job_id])
    assert check_formula(Formula.from_json(record.body)).legal
    assert record.origin["score_after"] > record.origin["score_before"]
    assert record.parent_id is not None
    job = site.job(job_id)
    assert job.checkpoint is not None
    assert (Path(job.checkpoint["path"]) / "manifest.json").is_file()
    assert list((site.directory / "tensorboard" / job_id).iterdir())
    if method is Method.PPO:
        assert 'rl_training_episodes_total{method="ppo"} 512.0' in figures


def test_an_optimisation_resumes_from_its_checkpoint_after_a_kill(site: Site) -> None:
    # Long enough not to be over before the kill, were this process held up for seconds.
    steps = 2048 * 120
    job_id = site.optimisation(Method.PPO, steps)
    with site.worker("rl", "worker-rl-1") as victim:
        wait_until(lambda: _step(site, job_id) >= 2048 * 4, 60, "some checkpoints are kept")
        wait_until(lambda: _told_training(site, "worker-rl-1", job_id), 20, "it is told of")
        victim.kill()
    wait_until(lambda: all(is_gone(child) for child in victim.children), 10, "no orphan")
    assert victim.children
    reached = _step(site, job_id)
    assert reached < steps
    with site.worker("rl", "worker-rl-2") as second:
        site.wait_for_all([job_id], REDELIVERY_SECONDS + 120)
        assert "resumed" in second.log.read_text()
    assert _step(site, job_id) == steps
    assert len(site.formulas_of([job_id])) == 1


def test_a_stopped_rl_worker_hands_its_job_to_the_next(site: Site) -> None:
    job_id = site.optimisation(Method.PPO, 2048 * 90)
    with site.worker("rl", "worker-rl-1") as first:
        wait_until(lambda: _step(site, job_id) > 0, 60, "a checkpoint is kept")
        assert first.terminate() == 0
    assert site.waiting(Queue.RL) == 1
    assert site.job(job_id).state == JobState.RUNNING.value
    with site.worker("rl", "worker-rl-2"):
        site.wait_for_all([job_id], 180)
    assert len(site.formulas_of([job_id])) == 1


def test_a_cancelled_optimisation_stops_and_frees_its_worker(site: Site) -> None:
    with site.worker("rl", "worker-rl-1"):
        endless = site.optimisation(Method.PPO, 2048 * 5000)
        wait_until(lambda: site.job(endless).state == JobState.RUNNING.value, 30)
        site.cancel(endless)
        short = site.optimisation(Method.GENETIC, 5)
        site.wait_for_all([short], 30)
    assert site.job(endless).state == JobState.CANCELLED.value
    assert site.formulas_of([endless]) == []


def test_a_task_whose_process_always_dies_ends_as_failed(site: Site) -> None:
    job_id = site.optimisation(Method.PPO, 2048 * 5000)
    with site.worker("rl", "worker-rl-1") as worker:
        parent = psutil.Process(worker.process.pid)
        interrupted: set[int] = set()

        def is_given_up() -> bool:
            """Kill the child once for each time that it has taken the job."""
            job = site.job(job_id)
            if job.state == JobState.RUNNING.value and job.fence not in interrupted:
                interrupted.add(job.fence)
                for child in parent.children(recursive=True):
                    child.kill()
            return job.state == JobState.FAILED.value

        wait_until(is_given_up, 120, "the job is given up")
        assert len(interrupted) == MAX_DELIVERIES_AFTER_LOSS + 1
        assert "died" in (site.job(job_id).error or "")
        after = site.optimisation(Method.GENETIC, 5)
        site.wait_for_all([after], 60)


def _step(site: Site, job_id: str) -> int:
    checkpoint = site.job(job_id).checkpoint
    return int(checkpoint["step"]) if checkpoint else 0


def _told_training(site: Site, replica: str, job_id: str) -> bool:
    """Tell whether the heartbeat has the search with all its figures, and a checkpoint's time."""
    beat = site.heartbeat(replica) or {}
    return beat.get("newest_checkpoint_at") is not None and any(
        row["task_id"] == job_id and None not in row.values() and row["step"] >= 2048
        for row in beat["training"]
    )
