"""The application while its database or its broker is away, and after they are back."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
import redis
from sqlalchemy import create_engine, text

from backend.contracts import tasks
from backend.contracts.tasks import Queue
from tests.product import Application, Product
from tests.servers import start_postgres, start_redis, wait_until


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    directory = tmp_path_factory.mktemp("outages")
    with start_postgres(directory) as postgres, start_redis(directory) as broker:
        made = Product(postgres, broker, directory, {"RATE_LIMIT_ENABLED": "true"})
        assert made.run("migrate", "upgrade").returncode == 0
        yield made


@pytest.fixture(scope="module")
def key(product: Product) -> str:
    return product.make_key("outages")


@pytest.fixture
def application(product: Product) -> Iterator[Application]:
    with product.serve() as running:
        wait_until(running.is_ready)
        yield running


@pytest.fixture
def api(application: Application, key: str) -> Iterator[httpx.Client]:
    with application.client(key) as client:
        yield client


def health_of(api: httpx.Client) -> tuple[int, Any]:
    """Ask for health and fail if that takes long, whatever is broken."""
    began = time.monotonic()
    answer = api.get("/health")
    assert time.monotonic() - began < 5
    return answer.status_code, answer.json()


def on_broker(product: Product, job_id: str) -> bool:
    client = redis.Redis.from_url(tasks.broker_url(product.redis.url, Queue.LLM))
    try:
        lists = [client.lrange(name, 0, -1) for name in tasks.queue_lists(Queue.LLM)]
    except redis.RedisError:
        return False
    finally:
        client.close()
    return any(job_id.encode() in text for texts in lists for text in texts)


@pytest.mark.parametrize("outage", ["killed", "hung"])
def test_without_database_it_says_so_at_once_and_recovers_by_itself(
    product: Product, api: httpx.Client, outage: str
) -> None:
    assert api.post("/v1/briefs", json={"text": "before"}).status_code == 202
    break_it, mend_it = {
        "killed": (product.postgres.kill, product.postgres.start),
        "hung": (product.postgres.pause, product.postgres.resume),
    }[outage]
    break_it()
    try:
        wait_until(lambda: health_of(api)[1]["status"] == "unhealthy", 20)
        code, health = health_of(api)
        assert code == 503
        assert health["services"]["database"] == "unhealthy"
        assert health["services"]["redis"] == "healthy"
        assert api.get("/ready").status_code == 503
        assert api.get("/version").status_code == 200
        refused = api.post("/v1/briefs", json={"text": "during"})
        assert refused.status_code == 503
        assert refused.headers["content-type"] == "application/problem+json"
        assert "database" in refused.json()["detail"]
    finally:
        mend_it()
    wait_until(lambda: api.get("/ready").status_code == 200, 20)
    wait_until(lambda: api.post("/v1/briefs", json={"text": "after"}).status_code == 202, 20)


@pytest.mark.parametrize("outage", ["killed", "hung"])
def test_a_brief_accepted_without_broker_is_sent_when_it_is_back(
    product: Product, api: httpx.Client, outage: str
) -> None:
    break_it, mend_it = {
        "killed": (product.redis.kill, product.redis.start),
        "hung": (product.redis.pause, product.redis.resume),
    }[outage]
    break_it()
    try:
        accepted = api.post("/v1/briefs", json={"text": "nobody listens"})
        assert accepted.status_code == 202
        wait_until(lambda: health_of(api)[1]["services"]["redis"] == "unhealthy", 20)
        code, health = health_of(api)
        assert (code, health["status"]) == (200, "degraded")
        assert health["services"]["workers"] == {"llm": None, "rl": None}
        assert api.get("/ready").status_code == 200
        assert "queue_size{" not in api.get("/metrics").text
        job_id = accepted.json()["job_id"]
        assert api.get(f"/v1/jobs/{job_id}").json()["state"] == "queued"
    finally:
        mend_it()
    wait_until(lambda: on_broker(product, job_id), 20, "the brief is sent")
    assert "rate_limit_failed_open_total 0.0" not in api.get("/metrics").text


def test_a_job_whose_message_the_broker_lost_is_sent_again_and_no_other(
    product: Product, api: httpx.Client
) -> None:
    lost, kept = (
        api.post("/v1/briefs", json={"text": text}).json()["job_id"]
        for text in ("forgotten by the broker", "waiting for its turn")
    )
    assert on_broker(product, lost)
    url = tasks.broker_url(product.redis.url, Queue.LLM)
    client = redis.Redis.from_url(url, decode_responses=True)
    for name in tasks.queue_lists(Queue.LLM):
        for message in map(str, client.lrange(name, 0, -1)):
            if lost in message:
                client.lrem(name, 1, message)
    client.close()
    assert not on_broker(product, lost)
    engine = create_engine(product.postgres.url)
    with engine.begin() as connection:  # a while ago
        connection.execute(
            text(
                "UPDATE jobs SET dispatched_at = dispatched_at - interval '5 minutes',"
                " created_at = created_at - interval '5 minutes' WHERE id IN (:lost, :kept)"
            ),
            {"lost": lost, "kept": kept},
        )
    wait_until(lambda: on_broker(product, lost), 90, "the job is sent again")
    with engine.connect() as connection:  # a job that is found lost has not been sent
        sent = connection.execute(
            text("SELECT now() - dispatched_at FROM jobs WHERE id = :id"), {"id": kept}
        ).scalar_one()
    engine.dispose()
    assert sent > timedelta(minutes=5)


def test_it_starts_without_database_and_broker_and_says_what_is_missing(
    product: Product, key: str
) -> None:
    product.postgres.stop()
    product.redis.stop()
    try:
        with product.serve("app-early") as early, early.client(key) as client:
            problem = client.get("/ready").json()
            assert problem["status"] == 503
            assert "database" in problem["detail"]
            assert client.get("/metrics").status_code == 200
            product.postgres.start()
            product.redis.start()
            wait_until(early.is_ready, 20)
            accepted = client.post("/v1/briefs", json={"text": "at last"})
            assert accepted.status_code == 202
            wait_until(lambda: on_broker(product, accepted.json()["job_id"]), 15)
    finally:
        for server in (product.postgres, product.redis):
            if server.process is None:
                server.start()


def test_without_its_schema_it_is_not_ready_and_says_what_to_do(
    product: Product, application: Application
) -> None:
    assert product.run("migrate", "downgrade", "base").returncode == 0
    try:
        wait_until(lambda: not application.is_ready(), 20)
        with application.client() as client:
            assert "migrate upgrade" in client.get("/ready").json()["detail"]
    finally:
        assert product.run("migrate", "upgrade").returncode == 0
    wait_until(application.is_ready, 20)
