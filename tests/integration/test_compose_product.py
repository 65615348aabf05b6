"""The product on Docker as its operator runs it: by the commands of the console alone."""

from __future__ import annotations

import itertools
import json
import os
import tarfile
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from console.bootstrap import build_engine
from console.domain.plans import Json, Plan
from console.settings import load_settings
from tests.compose_stack import PORTS, SMALL, ComposeStack, docker, free_ports
from tests.faults.forked_runner import forking
from tests.faults.harness import FaultHarness
from tests.stack import Stack, wait_for

pytestmark = [pytest.mark.docker, pytest.mark.timeout(900)]

TINY = "fragrance-ai-tiny"


@pytest.fixture(scope="module")
def containers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComposeStack]:
    """Give the compose project as Docker sees it; it is removed at the end."""
    seen = ComposeStack(
        tmp_path_factory.mktemp("product") / "state", f"fragrance-test-{os.getpid()}-product"
    )
    yield seen
    seen.close()


@pytest.fixture(scope="module")
def stack(containers: ComposeStack) -> Iterator[Stack]:
    """Give the stack as the console started it, from nothing."""
    ports = dict(zip(PORTS, map(str, free_ports(len(PORTS))), strict=True))
    stack = Stack(
        containers.state,
        # The load below comes from one address and with one key.
        {**SMALL, **ports, "COMPOSE_PROJECT_NAME": containers.name, "RATE_LIMIT_ENABLED": "false"},
        runtime="compose",
    )
    try:
        started = stack.fragrance("start", "--detach", timeout=600)
        assert started.returncode == 0, started.stderr
        yield stack
    finally:
        stopped = stack.fragrance("stop", timeout=180)
    assert stopped.returncode == 0, stopped.stderr


def attempts(containers: ComposeStack, jobs: list[str]) -> list[int]:
    quoted = ",".join(f"'{job}'" for job in jobs)
    query = f"select attempts from jobs where id::text in ({quoted})"
    printed = containers.execute("postgres", "psql", "--tuples-only", "--no-align", "-c", query)
    return [int(line) for line in printed.split()]


def test_console_docker_and_prometheus_see_the_same(stack: Stack, containers: ComposeStack) -> None:
    status = stack.status()
    assert (status["overall"], status["runtime"]) == ("healthy", "compose")

    def listed() -> list[dict[str, Any]] | None:
        printed = containers.compose("ps", "--format", "json").stdout
        rows = [json.loads(line) for line in printed.splitlines()]
        return rows if {row["Health"] for row in rows} == {"healthy"} else None

    # Docker asks some of them every 15 s only.
    rows = wait_for(listed, 60, "Docker does not call every container healthy")
    assert rows is not None
    ours = {
        f"{containers.name}-{replica['name']}"
        for service in status["services"]
        for replica in service["replicas"]
    }
    assert ours == {row["Name"] for row in rows}
    assert {r["health"] for s in status["services"] for r in s["replicas"]} == {"healthy"}

    def up() -> dict[str, list[str]] | None:
        answer = httpx.get(
            f"http://127.0.0.1:{containers.env['PROMETHEUS_PORT']}/api/v1/query",
            params={"query": "up"},
            timeout=10,
        ).json()
        seen: dict[str, list[str]] = {}
        for row in answer["data"]["result"]:
            seen.setdefault(row["metric"]["job"], []).append(row["value"][1])
        # A target counts once it was scraped.
        return seen if all(v == "1" for vs in seen.values() for v in vs) and "app" in seen else None

    scraped = wait_for(up, 60, "Prometheus does not see every target up")
    ready = {service["name"]: service["ready"] for service in status["services"]}
    for name in ("app", "worker-llm", "worker-rl"):
        assert len(scraped[name]) == ready[name]


def test_a_brief_over_tls_becomes_a_stored_formula(stack: Stack, containers: ComposeStack) -> None:
    with containers.client(stack.key) as client:
        accepted = client.post("/v1/briefs", json={"text": "a cool fougère with wet stone"})
        assert accepted.status_code == 202, accepted.text
        job = containers.finished_job(client, accepted.json()["job_id"])
        assert job["state"] == "succeeded"
        formulas = client.get("/v1/formulas").json()
    assert len(formulas["items"]) >= 1


def test_workers_are_scaled_while_briefs_wait(stack: Stack, containers: ComposeStack) -> None:
    with containers.client(stack.key) as client:
        numbers = itertools.count()

        def post(count: int) -> list[str]:
            texts = [f"brief number {next(numbers)}: green tea and cedar" for _ in range(count)]
            answers = [client.post("/v1/briefs", json={"text": text}) for text in texts]
            assert {a.status_code for a in answers} == {202}
            return [a.json()["job_id"] for a in answers]

        jobs = post(100)
        up = stack.fragrance(
            "scale", "worker-llm=2", "--yes", "--reason", "backlog", "--json", timeout=180
        )
        assert up.returncode == 0, up.stderr
        end = json.loads(up.stdout.splitlines()[-1])
        assert (end["outcome"], end["verified"]) == ("done", True)
        stack.wait_ready("worker-llm", 2, 10)  # the agent's picture is up to a second old
        assert stack.replicas("worker-llm") == ["worker-llm-1", "worker-llm-2"]
        new = json.loads(docker("inspect", f"{containers.name}-worker-llm-2"))[0]
        assert new["Config"]["Labels"]["console.operation"] == end["operation_id"]

        jobs += post(40)
        down = stack.fragrance("scale", "worker-llm=1", "--yes", "--reason", "quiet", timeout=240)
        assert down.returncode == 0, down.stderr
        stack.wait_ready("worker-llm", 1, 10)
        assert len(stack.replicas("worker-llm")) == 1
        finished = [containers.finished_job(client, job) for job in jobs]
    assert {job["state"] for job in finished} == {"succeeded"}
    assert attempts(containers, jobs) == [1] * len(jobs)


def test_the_application_is_scaled_and_restarted_without_a_failed_request(
    stack: Stack, containers: ComposeStack
) -> None:
    ending, statuses, failures = threading.Event(), [], []

    def ask() -> None:
        with containers.client(stack.key) as client:
            while not ending.is_set():
                try:
                    statuses.append(client.get("/v1/ingredients").status_code)
                    posted: Any = client.post("/v1/briefs", json={"text": "the same brief"})
                    statuses.append(posted.status_code)
                except httpx.HTTPError as error:
                    failures.append(error)

    askers = [threading.Thread(target=ask) for _ in range(3)]
    for asker in askers:
        asker.start()
    try:
        for words in (("scale", "app=3"), ("restart", "app"), ("scale", "app=2")):
            done = stack.fragrance(*words, "--yes", "--reason", "test", timeout=300)
            assert done.returncode == 0, done.stderr
    finally:
        ending.set()
        for asker in askers:
            asker.join(30)
    assert failures == []
    assert set(statuses) == {200, 202}
    assert len(statuses) > 100


def test_maintenance_lets_requests_end_and_shows_everybody_else_a_page(
    stack: Stack, containers: ComposeStack
) -> None:
    ending, answers, failures = threading.Event(), [], []

    def ask() -> None:
        with containers.client(stack.key) as client:
            while not ending.is_set():
                try:
                    answers.append(client.get("/v1/ingredients"))
                    answers.append(client.post("/v1/briefs", json={"text": "the same brief"}))
                except httpx.HTTPError as error:
                    failures.append(error)

    askers = [threading.Thread(target=ask) for _ in range(3)]
    for asker in askers:
        asker.start()
    try:
        wait_for(lambda: len(answers) > 20, 30, "requests are answered")
        on = stack.fragrance("maintenance", "on", "--yes", "--reason", "test", "--json")
        assert on.returncode == 0, on.stdout + on.stderr
        shown = len(answers)
        told = [json.loads(line) for line in on.stdout.splitlines()]
        assert "no request is under way" in [line.get("detail") for line in told]
        assert json.loads(stack.fragrance("maintenance", "status", "--json").stdout)["maintenance"]
        wait_for(lambda: len(answers) > shown + 20, 30, "requests are answered by the page")
        late = answers[-10:]
        with containers.client(stack.key) as client:
            person = client.get("/", headers={"Accept": "text/html"})
            assert client.get("/health").status_code == 200
        off = stack.fragrance("maintenance", "off", "--yes", "--reason", "test", "--json")
        assert off.returncode == 0, off.stdout + off.stderr
        ended = json.loads(off.stdout.splitlines()[-1])["operation_id"]
        shown_after = stack.fragrance("operations", "show", ended, "--json")
        watch = json.loads(shown_after.stdout)["settling"]
        assert watch["words"].startswith("watched after maintenance"), watch
        back = len(answers)
        wait_for(lambda: len(answers) > back + 20, 30, "requests are answered again")
    finally:
        ending.set()
        for asker in askers:
            asker.join(30)
    assert failures == []
    assert {answer.status_code for answer in answers} == {200, 202, 503}
    assert {answer.status_code for answer in late} == {503}
    assert late[0].json()["type"] == "urn:fragrance:problem:maintenance"
    assert late[0].headers["retry-after"] == person.headers["retry-after"] == "120"
    assert "<h1>Maintenance</h1>" in person.text
    assert {answer.status_code for answer in answers[-10:]} <= {200, 202}
    kept = json.loads(stack.fragrance("audit", "show", "--json").stdout)
    assert json.dumps(kept).count("maintenance") >= 2


@pytest.mark.slow
def test_a_complete_restart_ends_with_everything_running_in_new_processes(
    stack: Stack, containers: ComposeStack
) -> None:
    def started() -> dict[str, str]:
        return {
            f"{s['name']} {r['name']}": r["started_at"]
            for s in stack.status()["services"]
            for r in s["replicas"]
        }

    before = started()
    with closing(build_engine(load_settings(state=str(stack.state)))) as engine:
        harness = FaultHarness(engine, seconds=300)
        done = harness.run(engine.plan("restart", {"complete": True, "hold_seconds": 0}))
    assert (done.exit_code, done.verified) == (0, True), done.outcome_message
    stack.wait_ready("app", 2, 30)
    after = started()
    kept = {name for name in before if after.get(name) == before[name]}
    core = {"nginx", "app", "worker-llm", "worker-rl", "postgres", "redis"}
    assert after.keys() == before.keys()
    assert not {name.split()[0] for name in kept} & core
    assert stack.status()["maintenance"] is False
    with containers.client(stack.key) as client:
        accepted = client.post("/v1/briefs", json={"text": "rain on warm stone"})
        assert accepted.status_code == 202, accepted.text
        assert containers.finished_job(client, accepted.json()["job_id"])["state"] == "succeeded"


def test_a_setting_of_the_broker_takes_effect_and_nothing_is_lost(
    stack: Stack, containers: ComposeStack
) -> None:
    def redis(*words: str) -> str:
        script = 'REDISCLI_AUTH="$(cat /run/secrets/redis_password)" redis-cli "$@"'
        return containers.execute("redis", "sh", "-c", script, "sh", *words).strip()

    before = redis("config", "get", "maxmemory").split()[-1]
    assert redis("set", "kept", "by a volume") == "OK"
    changed = stack.fragrance(
        *("settings", "set", "REDIS_MAXMEMORY=512mb", "--yes", "--reason", "test", "--json"),
        timeout=300,
    )
    assert changed.returncode == 0, changed.stdout + changed.stderr
    assert stack.replicas("redis") == ["redis-2"]
    assert redis("config", "get", "maxmemory").split()[-1] == str(512 * 1024**2)
    assert redis("get", "kept") == "by a volume"
    operation = json.loads(changed.stdout.splitlines()[-1])["operation_id"]
    undone = stack.fragrance("operations", "undo", operation, "--yes", timeout=300)
    assert undone.returncode == 0, undone.stdout + undone.stderr
    assert stack.replicas("redis") == ["redis-1"]
    assert redis("config", "get", "maxmemory").split()[-1] == before
    assert redis("get", "kept") == "by a volume"
    stack.wait_ready("worker-llm", 1, 60)
    stack.wait_ready("app", 2, 60)


def test_a_later_compose_up_recreates_nothing(stack: Stack, containers: ComposeStack) -> None:
    before = {name: containers.containers(name) for name in ("app", "worker-llm", "nginx")}
    containers.compose("up", "--detach", "--no-build", profiles="monitoring")
    for name, old in before.items():
        assert [c["Id"] for c in containers.containers(name)] == [c["Id"] for c in old]


class OnlyTheseImages(FaultHarness):
    """Plans the removal of the test's own images, and of nothing else on this machine."""

    def plan(self, verb: str, wish: dict[str, Json]) -> Plan:
        plan = super().plan(verb, wish)
        mine = [s for s in plan.steps if s.arguments.get("image", "").startswith(TINY)]
        return replace(plan, steps=tuple(mine))


@pytest.mark.slow
def test_a_crash_at_every_boundary_of_a_removal_of_images_is_survived(
    stack: Stack, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("small")
    with tarfile.open(tmp_path / "empty.tar", "w") as tar:
        tar.add(tmp_path / "file", "file")
    names = [f"{TINY}:v0.0.{number}" for number in range(1, 5)]

    def there() -> set[str]:
        return set(docker("images", "--format", "{{.Repository}}:{{.Tag}}", TINY).split())

    def bring_back() -> None:
        for name in set(names) - there():
            docker("import", str(tmp_path / "empty.tar"), name)

    with (
        closing(build_engine(load_settings(state=str(stack.state)))) as engine,
        forking(stack.state, "console.bootstrap:build_engine") as forks,
    ):
        engine._launch_runner = forks.launch
        try:
            harness = OnlyTheseImages(engine, seconds=240, prepare=bring_back)
            assert harness.crash_everywhere("cleanup", {}) == 8
            assert there() == set(names[2:]), "what could be gone back to stays"
        finally:
            for name in there():
                docker("rmi", "--force", name)


def test_stop_keeps_the_data_and_the_next_start_goes_on_with_it(
    stack: Stack, containers: ComposeStack
) -> None:
    with containers.client(stack.key) as client:
        kept = client.get("/v1/formulas").json()["items"][0]["id"]
    assert stack.fragrance("stop", timeout=180).returncode == 0
    assert docker("ps", "--quiet", "--filter", f"name={containers.name}-") == ""
    again = stack.fragrance("start", "--detach", timeout=300)
    assert again.returncode == 0, again.stderr
    with containers.client(stack.key) as client:
        assert client.get(f"/v1/formulas/{kept}").status_code == 200
    assert stack.status()["overall"] == "healthy"
