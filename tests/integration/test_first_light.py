"""One command starts the real product; what a first user does then works."""

from __future__ import annotations

import json
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.stack import Stack, wait_for

pytestmark = pytest.mark.stack

SERVICES = {"app": 2, "worker-llm": 1, "worker-rl": 1, "postgres": 1, "redis": 1}


def test_everything_is_healthy_and_follows_the_contract(stack: Stack) -> None:
    status = stack.status()

    assert status["schema_version"] == 1
    assert status["overall"] == "healthy"
    assert status["runtime"] == "embedded"
    assert status["agent"] == "running"
    assert {s["name"]: s["ready"] for s in status["services"]} == SERVICES
    assert {s["name"]: s["desired"] for s in status["services"]} == SERVICES
    assert [s for s in status["sources"] if s["state"] != "fresh"] == []
    assert {q["name"] for q in status["queues"]} == {"llm", "rl"}
    assert all(q["workers"] == 1 for q in status["queues"])
    for service in status["services"]:
        assert service["memory_bytes"] > 1_000_000, service["name"]
        for replica in service["replicas"]:
            assert replica["health"] == "healthy", replica
    assert status["operation"] is None
    assert status["incident"] is None


def test_a_second_start_changes_nothing(stack: Stack) -> None:
    def pids() -> set[int]:
        return {r["pid"] for s in stack.status()["services"] for r in s["replicas"]}

    before = pids()
    done = stack.fragrance("start", "--detach", timeout=120)

    assert done.returncode == 0, done.stderr
    assert pids() == before


def test_a_brief_becomes_a_legal_formula_with_neighbours(stack: Stack) -> None:
    job = stack.wait_job(stack.post_brief("a fresh citrus cologne with a woody base"))

    assert job["state"] == "succeeded", job
    formula_id = job["result"]["formula_id"]
    formula = stack.api.get(f"/v1/formulas/{formula_id}").raise_for_status().json()
    parts = [line for note in ("top", "heart", "base") for line in formula[note]]
    assert len(parts) >= 3
    assert sum(part["percent"] for part in parts) == pytest.approx(100, abs=0.1)
    near = stack.api.get("/v1/formulas/similar", params={"id": formula_id, "limit": 3})
    assert near.raise_for_status().json()["items"] is not None
    [(dimensions,)] = stack.query(
        f"select vector_dims(embedding) from formulas where id = '{formula_id}'"
    )
    assert dimensions >= 16


def test_an_optimisation_trains_and_leaves_a_checkpoint(stack: Stack) -> None:
    formula = stack.wait_job(stack.post_brief("a warm amber with vanilla"))["result"]["formula_id"]
    answer = stack.api.post(
        "/v1/optimizations", json={"formula_id": formula, "method": "ppo", "steps": 4096}
    )
    assert answer.status_code == 202, answer.text

    job = stack.wait_job(answer.json()["job_id"], 180)

    assert job["state"] == "succeeded", job
    states = list((stack.state / "embedded" / "checkpoints").rglob("state.safetensors"))
    assert states
    assert all((s.parent / "manifest.json").is_file() for s in states)


def test_both_replicas_answer_behind_one_address(stack: Stack) -> None:
    url = stack.status()["endpoints"]["api"]

    def served_by(_: int) -> str:
        answer = httpx.get(f"{url}/version", timeout=10).raise_for_status()
        return str(answer.json()["replica"])

    with ThreadPoolExecutor(8) as pool:
        names = set(pool.map(served_by, range(200)))

    assert names == {"app-1", "app-2"}


def test_request_metrics_appear_in_the_status(stack: Stack) -> None:
    for _ in range(20):
        stack.api.get("/v1/ingredients").raise_for_status()

    metrics = wait_for(
        lambda: (lambda m: m if m["request_rate"] else None)(stack.status()["metrics"]),
        15,
        "no request rate",
    )
    assert metrics["error_ratio"] == pytest.approx(0, abs=0.5)
    assert metrics["p95_seconds"] is not None
    assert metrics["database_connections"] >= 1
    assert metrics["database_connections_max"] >= 20


@pytest.mark.parametrize(
    ("service", "killed"), [("redis", "redis-1"), ("postgres", "postgres-1"), ("app", "app-2")]
)
def test_a_killed_service_is_seen_and_comes_back(stack: Stack, service: str, killed: str) -> None:
    replica = next(r for r in stack.service(service)["replicas"] if r["name"] == killed)
    os.kill(replica["pid"], signal.SIGKILL)

    seen = wait_for(
        lambda: next(
            (
                r
                for s in stack.status()["services"]
                for r in s["replicas"]
                if r["name"] == killed and r["restarts"] > replica["restarts"]
            ),
            None,
        ),
        5,
        f"the death of {killed} does not show",
    )

    assert seen["restarts"] == replica["restarts"] + 1
    wait_for(lambda: stack.status()["overall"] == "healthy", 60, "the stack is not healthy again")
    stack.wait_job(stack.post_brief("rose and musk"))


def test_logs_are_read_merged_and_filtered(stack: Stack) -> None:
    [worker] = stack.replicas("worker-llm")
    everything = stack.fragrance("logs", "--tail", "20")
    assert everything.returncode == 0
    words = {word for line in everything.stdout.splitlines() for word in line.split()}
    assert {"app-1", worker} <= words

    only = stack.fragrance("logs", "worker-llm", "--tail", "5", "--json")
    assert only.returncode == 0
    assert {json.loads(line)["service"] for line in only.stdout.splitlines()} == {"worker-llm"}


def test_a_key_is_made_listed_revoked_and_recorded(stack: Stack) -> None:
    key = stack.json("keys", "create", "short-lived")["key"]
    headers = {"X-API-Key": key}
    assert stack.api.get("/v1/ingredients", headers=headers).status_code == 200

    revoked = stack.fragrance("keys", "revoke", "short-lived")

    assert revoked.returncode == 0, revoked.stderr
    answer = stack.api.get("/v1/ingredients", headers=headers)
    assert answer.status_code == 401
    assert answer.headers["content-type"].startswith("application/problem+json")
    names = {k["name"]: k["revoked_at"] for k in stack.json("keys", "list")["keys"]}
    assert names["short-lived"] is not None
    assert "keys revoke short-lived" in {c["what"] for c in stack.status()["changes"]}


def test_secrets_are_in_no_argument_list_and_no_log(stack: Stack) -> None:
    secrets = {
        path.read_text().strip()
        for path in (stack.state / "embedded" / "secrets").iterdir()
        if path.is_file()
    } | {stack.key}
    assert len(secrets) >= 4

    for service in stack.status()["services"]:
        for replica in service["replicas"]:
            line = Path(f"/proc/{replica['pid']}/cmdline").read_bytes().decode(errors="replace")
            assert not [s for s in secrets if s in line], replica["name"]
    for log in [*(stack.state / "embedded" / "logs").iterdir(), *stack.state.glob("*.log")]:
        text = log.read_text(errors="replace")
        assert not [s for s in secrets if s in text], log.name


def test_the_state_is_for_its_owner_alone(stack: Stack) -> None:
    assert stack.state.stat().st_mode & 0o777 == 0o700
    open_to_others = [
        str(path)
        for path in stack.state.rglob("*")
        if not path.is_symlink() and path.stat().st_mode & 0o002
    ]
    assert open_to_others == []
