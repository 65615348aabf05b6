"""The services of the production stack as they run: who they are, what they may, what they keep."""

from __future__ import annotations

import json
import subprocess
import time
from typing import Any

import httpx
import pytest

from tests.compose_stack import ComposeStack, docker
from tests.servers import wait_until

pytestmark = [pytest.mark.docker, pytest.mark.timeout(600)]

CORE = ["app", "nginx", "postgres", "redis", "worker-llm", "worker-rl"]


def secrets_of(stack: ComposeStack) -> dict[str, str]:
    found = {p.name: p.read_text().strip() for p in (stack.directory / "secrets").iterdir()}
    return {name: value for name, value in found.items() if value}


@pytest.mark.parametrize("service", CORE)
def test_a_service_runs_without_root_rights_or_anything_to_write(
    compose_stack: ComposeStack, service: str
) -> None:
    for container in compose_stack.containers(service):
        assert container["State"]["Health"]["Status"] == "healthy"
        assert container["HostConfig"]["ReadonlyRootfs"] is True
        assert container["HostConfig"]["CapDrop"] == ["ALL"]
        assert not container["HostConfig"]["CapAdd"]
        assert "no-new-privileges:true" in container["HostConfig"]["SecurityOpt"]
        assert container["HostConfig"]["Memory"] > 0
        assert container["HostConfig"]["NanoCpus"] > 0
        assert container["HostConfig"]["LogConfig"]["Config"]["max-size"]
        # The init of the engine is process 1; what counts is the server below it.
        status = docker("exec", container["Id"], "sh", "-c", "cat /proc/[0-9]*/status")
        for line in status.splitlines():
            if line.startswith("Uid:"):
                assert "0" not in line.split()[1:], "something runs as root"
            if line.startswith(("CapEff:", "CapBnd:")):
                assert int(line.split()[1], 16) == 0
    written = compose_stack.compose("exec", "-T", service, "touch", "/here", check=False)
    assert written.returncode != 0


@pytest.mark.parametrize("service", CORE)
def test_no_secret_is_seen_in_what_the_engine_tells_or_the_service_says(
    compose_stack: ComposeStack, service: str
) -> None:
    secrets = secrets_of(compose_stack)
    passwords = [value for name, value in secrets.items() if not name.endswith(("_url", "words"))]
    for container in compose_stack.containers(service):
        shown = json.dumps(container) + docker("top", container["Id"], "-ww", "-eo", "pid,args")
        assert not [value for value in passwords if value in shown]
    logs = compose_stack.logs(service)
    assert logs
    assert not [value for value in passwords if value in logs]


def test_only_those_who_need_a_secret_have_it(compose_stack: ComposeStack) -> None:
    have = {
        service: set(compose_stack.execute(service, "ls", "/run/secrets").split())
        for service in CORE
        if service != "nginx"
    }
    product = {"database_url", "redis_url", "secret_key", "sentry_dsn"}
    assert have["postgres"] == {"postgres_password"}
    assert have["redis"] == {"redis_password"}
    assert have["app"] == have["worker-llm"] == have["worker-rl"] == product


def test_the_database_keeps_checksums_and_asks_for_the_password(
    compose_stack: ComposeStack,
) -> None:
    def ask(sql: str) -> str:
        return compose_stack.execute("postgres", "psql", "-At", "-c", sql).strip()

    assert ask("SHOW data_checksums") == "on"
    assert ask("SELECT current_user") == "fragrance"
    assert ask("SELECT rolsuper FROM pg_roles WHERE rolname = current_user") == "f"
    assert ask("SELECT extversion FROM pg_extension WHERE extname = 'vector'")
    stored = compose_stack.execute(
        "postgres", "psql", "-At", "-U", "postgres", "-c",
        "SELECT rolname, left(rolpassword, 13) FROM pg_authid WHERE rolpassword IS NOT NULL",
    )  # fmt: skip
    assert stored.split() == ["fragrance|SCRAM-SHA-256"]
    for user, password in (("fragrance", "wrong"), ("postgres", "wrong")):
        refused = compose_stack.compose(
            "exec", "-T", "--env", f"PGPASSWORD={password}", "postgres",
            "psql", "-h", "127.0.0.1", "-U", user, "-c", "SELECT 1", check=False,
        )  # fmt: skip
        assert refused.returncode != 0
        assert "FATAL" in refused.stderr


def test_a_database_made_later_can_hold_embeddings_too(compose_stack: ComposeStack) -> None:
    compose_stack.execute("postgres", "createdb", "scratch")
    try:
        found = compose_stack.execute(
            "postgres", "psql", "-At", "scratch", "-c", "SELECT '[1,2]'::vector <-> '[1,4]'"
        )
    finally:
        compose_stack.execute("postgres", "dropdb", "scratch")
    assert found.strip() == "2"


def test_the_broker_loses_and_evicts_nothing(compose_stack: ComposeStack) -> None:
    password = secrets_of(compose_stack)["redis_password"]

    def ask(*words: str, auth: str = password) -> str:
        done = compose_stack.compose(
            "exec", "-T", "--env", "REDISCLI_AUTH", "redis", "redis-cli", *words,
            check=False, environment={"REDISCLI_AUTH": auth},
        )  # fmt: skip
        return done.stdout + done.stderr

    assert ask("CONFIG", "GET", "maxmemory-policy").split() == ["maxmemory-policy", "noeviction"]
    assert ask("CONFIG", "GET", "appendonly").split() == ["appendonly", "yes"]
    limit = compose_stack.containers("redis")[0]["HostConfig"]["Memory"]
    assert 0 < int(ask("CONFIG", "GET", "maxmemory").split()[1]) < 0.7 * limit
    assert "NOAUTH" in ask("GET", "x", auth="") or "WRONGPASS" in ask("GET", "x", auth="no")


def test_workers_are_known_by_the_id_of_their_container(compose_stack: ComposeStack) -> None:
    for service in ("worker-llm", "worker-rl"):
        (container,) = compose_stack.containers(service)
        said = compose_stack.execute(
            service, "python", "-m", "workers", "undrain", container["Config"]["Hostname"]
        )
        assert container["Config"]["Hostname"] in said
        address = compose_stack.address(service)
        metrics = httpx.get(f"http://{address}:9100/metrics", timeout=10).text
        assert "process_cpu_seconds_total" in metrics


def test_a_check_says_why_a_replica_is_not_well(compose_stack: ComposeStack) -> None:
    """A worker whose sign of life is gone, an application without its database."""
    (worker,) = compose_stack.containers("worker-rl")
    probe = ["python", "-IS", "/app/healthcheck.py"]
    other = subprocess.run(
        ["docker", "exec", "--env", "REPLICA_NAME=nobody", worker["Id"], *probe, "heartbeat"],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert (other.returncode, other.stdout) == (1, "no heartbeat of nobody\n")
    closed = compose_stack.compose("exec", "-T", "app", *probe, "http", "1", "/ready", check=False)
    assert closed.returncode == 1
    assert "ConnectionRefusedError" in closed.stdout
    missing = compose_stack.compose(
        "exec", "-T", "app", *probe, "http", "8000", "/nowhere", check=False
    )
    assert "/nowhere answered 404" in missing.stdout


def test_a_log_outlives_its_container(compose_stack: ComposeStack) -> None:
    names = {each["Config"]["Hostname"] for each in compose_stack.containers("app")}
    (worker,) = compose_stack.containers("worker-llm")
    listed = compose_stack.execute("worker-rl", "ls", "/app/logs").split()
    expected = {f"app-{name}.log" for name in names}
    expected |= {f"worker-llm-{worker['Config']['Hostname']}.log"}
    assert expected <= set(listed)
    kept = compose_stack.execute("worker-rl", "cat", f"/app/logs/{sorted(expected)[0]}")
    assert json.loads(kept.splitlines()[0])["event"] == "listening"


def test_training_curves_are_shown_on_loopback(compose_stack: ComposeStack) -> None:
    compose_stack.compose("up", "--detach", "--wait", "--no-deps", "tensorboard", timeout=180)
    try:
        port = compose_stack.env["TENSORBOARD_PORT"]
        shown = httpx.get(f"http://127.0.0.1:{port}/data/environment", timeout=10)
        assert shown.status_code == 200
        assert shown.json()["data_location"] == "/app/tensorboard"
    finally:
        compose_stack.compose("rm", "--stop", "--force", "tensorboard")


def test_everything_survives_a_restart_of_the_stores(compose_stack: ComposeStack) -> None:
    key = compose_stack.make_key("restart")
    compose_stack.compose("restart", "postgres", "redis", timeout=180)

    def works() -> bool:
        with compose_stack.client(key, timeout=5) as client:
            try:
                return client.get("/v1/formulas").status_code == 200
            except httpx.HTTPError:
                return False

    wait_until(works, 60, "the key is known and the database answers")
    assert "database system was shut down" in compose_stack.logs("postgres")
    with compose_stack.client(key) as client:
        accepted = client.post("/v1/briefs", json={"text": "a quiet rose after the restart"})
        assert accepted.status_code == 202
        job: Any = compose_stack.finished_job(client, accepted.json()["job_id"])
    assert job["state"] == "succeeded"


def test_a_replica_stops_in_order_and_in_time(compose_stack: ComposeStack) -> None:
    """Exit code 0 within the grace period: no service has to be killed."""
    for service in ("app", "worker-llm", "worker-rl", "nginx"):
        container = compose_stack.containers(service)[0]["Id"]
        began = time.monotonic()
        docker("stop", container, timeout=130)
        took = time.monotonic() - began
        state = json.loads(docker("inspect", container))[0]["State"]
        docker("start", container)
        assert state["ExitCode"] == 0, f"{service}: {state}, {took:.1f} s"
    compose_stack.compose("up", "--detach", "--wait", "--no-recreate", timeout=180, profiles="")
