"""Database and broker on servers of somebody else, as an operator starts the product on them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.compose_stack import (
    PORTS,
    PRODUCTION,
    SMALL,
    ComposeStack,
    docker,
    free_ports,
)
from tests.stack import Stack, wait_for

pytestmark = [pytest.mark.docker, pytest.mark.timeout(900)]

REACHABLE = """
services:
  postgres: {{ports: ["{postgres}:5432"]}}
  redis: {{ports: ["{redis}:6379"]}}
"""


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """Give the addresses of a PostgreSQL and a Redis of another project on this host."""
    postgres, redis = free_ports(2)
    reachable = tmp_path / "reachable.yml"
    reachable.write_text(REACHABLE.format(postgres=postgres, redis=redis))
    others = ComposeStack(
        tmp_path / "others",
        f"fragrance-test-{os.getpid()}-others",
        files=(PRODUCTION, reachable),
    )
    try:
        others.prepare()
        others.compose("up", "--detach", "--wait", "postgres", "redis", timeout=180)
        network, gateway = f"{others.name}_data", "{{(index .IPAM.Config 0).Gateway}}"
        host = docker("network", "inspect", network, "--format", gateway)
        password, hush = (
            (others.directory / "secrets" / f"{name}_password").read_text()
            for name in ("postgres", "redis")
        )
        yield (
            f"postgresql://fragrance:{password}@{host}:{postgres}/fragrance",
            f"redis://:{hush}@{host}:{redis}/0",
        )
    finally:
        others.close()


@pytest.fixture
def containers(tmp_path: Path) -> Iterator[ComposeStack]:
    seen = ComposeStack(tmp_path / "state", f"fragrance-test-{os.getpid()}-guest")
    yield seen
    if seen.env:
        names = seen.env["COMPOSE_OVERRIDES"].split()
        files = (PRODUCTION.with_name(f"docker-compose.{name}.yml") for name in names)
        seen.files = (PRODUCTION, *files)
    seen.close()


def test_the_product_runs_is_seen_and_measured_on_servers_of_others(
    containers: ComposeStack, servers: tuple[str, str]
) -> None:
    database, broker = servers
    ports = dict(zip(PORTS, map(str, free_ports(len(PORTS))), strict=True))
    given = {
        **{**SMALL, **ports, "APP_REPLICAS": "1", "RL_WORKER_REPLICAS": "0"},
        "COMPOSE_PROJECT_NAME": containers.name,
        "COMPOSE_OVERRIDES": "external-postgres external-redis",
    }
    stack = Stack(containers.state, given, runtime="compose")
    refused = stack.fragrance("start", "--detach", timeout=120)
    assert refused.returncode == 3
    assert "the secret database_url has none" in refused.stderr
    try:
        started = stack.fragrance(
            "start", "--detach", timeout=600, DATABASE_URL=database, REDIS_URL=broker
        )
        assert started.returncode == 0, started.stderr
        assert not [
            word
            for word in (database, broker)
            if word in (containers.directory / "env").read_text()
        ]
        names = {service["name"] for service in stack.status()["services"]}
        assert {"app", "worker-llm", "nginx", "postgres-exporter", "redis-exporter"} <= names
        assert names.isdisjoint({"postgres", "redis"})

        with containers.client(stack.key) as client:
            accepted = client.post("/v1/briefs", json={"text": "a warm amber with roses"})
            job = containers.finished_job(client, accepted.json()["job_id"])
        assert job["state"] == "succeeded", job

        def measured() -> bool:
            status = stack.status()
            metrics, sources = status["metrics"], {s["name"]: s["state"] for s in status["sources"]}
            (queue,) = [q for q in status["queues"] if q["name"] == "llm"]
            return bool(
                metrics["database_connections"]
                and metrics["redis_memory_bytes"]
                and queue["workers"] == 1
                and (sources["database"], sources["broker"]) == ("fresh", "fresh")
                and status["overall"] == "healthy"
            )

        wait_for(measured, 60, "database and broker are not measured")

        for service, port, figure in (
            ("postgres-exporter", 9187, "pg_up 1"),
            ("redis-exporter", 9121, "redis_up 1"),
        ):
            address = containers.address(service, "monitoring")
            figures = httpx.get(f"http://{address}:{port}/metrics", timeout=30).text
            assert figure in figures.splitlines(), service
            shown = json.dumps(containers.containers(service))
            assert not [url for url in servers if url.split(":")[2].split("@")[0] in shown]
        checked = stack.fragrance("env", "check")
        assert checked.returncode == 0, checked.stdout
    finally:
        stopped = stack.fragrance("stop", timeout=180)
    assert stopped.returncode == 0, stopped.stderr
