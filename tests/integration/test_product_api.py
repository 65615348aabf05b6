"""The product's API as its users and its balancer see it, on real servers."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import httpx
import pytest
import redis
from sqlalchemy.orm import Session

from backend.contracts import tasks
from backend.contracts.formula import Formula
from backend.contracts.settings import Settings
from backend.contracts.tasks import Queue
from backend.database import Database, FormulaDraft, claim_job, finish_job, update_progress
from tests.product import Application, Product
from tests.servers import start_postgres, start_redis, wait_until


class Brokers(NamedTuple):
    """Redis as the product divides it."""

    llm: redis.Redis
    rl: redis.Redis
    shared: redis.Redis


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    directory = tmp_path_factory.mktemp("product")
    with start_postgres(directory) as postgres, start_redis(directory) as broker:
        made = Product(postgres, broker, directory, {"RATE_LIMIT_ENABLED": "false"})
        upgraded = made.run("migrate", "upgrade")
        assert upgraded.returncode == 0, upgraded.stderr
        yield made


@pytest.fixture(scope="module")
def key(product: Product) -> str:
    return product.make_key("tests")


@pytest.fixture(scope="module")
def application(product: Product) -> Iterator[Application]:
    with product.serve() as running:
        yield running


@pytest.fixture
def api(application: Application, key: str) -> Iterator[httpx.Client]:
    with application.client(key) as client:
        yield client


@pytest.fixture
def brokers(product: Product) -> Iterator[Brokers]:
    clients = Brokers(
        llm=redis.Redis.from_url(tasks.broker_url(product.redis.url, Queue.LLM)),
        rl=redis.Redis.from_url(tasks.broker_url(product.redis.url, Queue.RL)),
        shared=redis.Redis.from_url(tasks.shared_url(product.redis.url)),
    )
    yield clients
    for client in clients:
        client.close()


@pytest.fixture
def database(product: Product) -> Iterator[Database]:
    opened = Database(Settings(database_url=product.postgres.url, replica_name="worker-test"))
    yield opened
    opened.close()


def messages(client: redis.Redis, queue: Queue) -> list[Any]:
    """Return the decoded messages of a queue over all its priority lists."""
    texts = [text for name in tasks.queue_lists(queue) for text in client.lrange(name, 0, -1)]
    return [json.loads(text) for text in texts]


def message_of(client: redis.Redis, queue: Queue, job_id: str) -> Any:
    found = [m for m in messages(client, queue) if m["headers"]["id"] == job_id]
    return found[0] if found else None


def work(database: Database, job_id: str, composition: dict[str, float], name: str = "Made") -> str:
    """Do as a worker does: claim the job and finish it with a formula."""
    formula = Formula.from_composition(name, composition)
    claimed = database.run(lambda s: claim_job(s, job_id, "worker-test"))
    assert claimed is not None
    draft = FormulaDraft(formula, {"model": "test"})
    formula_id = database.run(lambda s: finish_job(s, job_id, {"by": "test"}, draft))
    assert formula_id is not None
    return formula_id


def make_formula(
    api: httpx.Client, database: Database, composition: dict[str, float], name: str = "Made"
) -> tuple[str, str]:
    job_id = api.post("/v1/briefs", json={"text": name}).json()["job_id"]
    return job_id, work(database, job_id, composition, name)


def is_problem(response: httpx.Response, status: int) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert body["status"] == status
    assert body["type"]
    assert body["title"]
    assert body["request_id"] == response.headers["x-request-id"]
    return body


# Briefs and dispatch


def test_a_brief_is_accepted_and_lies_on_the_broker_with_its_headers(
    api: httpx.Client, brokers: Brokers
) -> None:
    arrived = int(brokers.shared.hget(tasks.counters_key(Queue.LLM), "arrived") or 0)
    request_id = "0" * 31 + "1"
    before = time.time()
    answer = api.post(
        "/v1/briefs",
        json={"text": "Fresh citrus", "max_price": 90, "exclude": ["Citral"]},
        headers={"X-Request-ID": request_id},
    )
    assert answer.status_code == 202
    job_id = answer.json()["job_id"]
    message = message_of(brokers.llm, Queue.LLM, job_id)
    assert message["headers"]["task"] == "llm.compose_formula"
    assert before <= message["headers"]["enqueued_at"] <= time.time()
    assert message["headers"][tasks.REQUEST_ID_HEADER] == request_id
    assert job_id in message["headers"]["kwargsrepr"]
    assert int(brokers.shared.hget(tasks.counters_key(Queue.LLM), "arrived") or 0) == arrived + 1
    job = api.get(answer.headers["location"]).json()
    assert (job["job_id"], job["kind"], job["state"]) == (job_id, "compose", "queued")
    assert (job["progress"], job["result"], job["error"]) == (0, None, None)


def test_the_same_idempotency_key_gives_the_same_job_and_one_message(
    api: httpx.Client, brokers: Brokers
) -> None:
    headers = {"Idempotency-Key": "same-again"}
    first = api.post("/v1/briefs", json={"text": "Rose"}, headers=headers).json()["job_id"]
    again = api.post("/v1/briefs", json={"text": "Rose"}, headers=headers).json()["job_id"]
    assert again == first
    found = [m for m in messages(brokers.llm, Queue.LLM) if m["headers"]["id"] == first]
    assert len(found) == 1
    other = api.post("/v1/briefs", json={"text": "Not a rose"}, headers=headers)
    assert "idempotency" in is_problem(other, 422)["type"]


def test_the_same_idempotency_key_at_the_same_moment_gives_one_job(
    application: Application, key: str
) -> None:
    found = []

    def post() -> None:
        with application.client(key) as client:
            body, headers = {"text": "At once"}, {"Idempotency-Key": "at-once"}
            found.append(client.post("/v1/briefs", json=body, headers=headers).json()["job_id"])

    threads = [threading.Thread(target=post) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1


def test_another_caller_may_use_the_same_idempotency_key(
    application: Application, api: httpx.Client, product: Product
) -> None:
    headers = {"Idempotency-Key": "shared-word"}
    mine = api.post("/v1/briefs", json={"text": "Iris"}, headers=headers).json()["job_id"]
    with application.client(product.make_key("somebody-else")) as other:
        theirs = other.post("/v1/briefs", json={"text": "Iris"}, headers=headers).json()["job_id"]
    assert theirs != mine


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"text": ""},
        {"text": "   "},
        {"text": "x", "max_price": -1},
        {"text": "x", "exclude": ["unobtainium"]},
        {"text": "x", "surprise": 1},
        {"text": "a\x00b"},
        {"text": "x" * 4001},
    ],
)
def test_a_malformed_brief_is_a_problem_that_names_the_field(api: httpx.Client, body: Any) -> None:
    assert is_problem(api.post("/v1/briefs", json=body), 422)["errors"]


def test_a_body_that_is_no_json_is_a_problem(api: httpx.Client) -> None:
    headers = {"Content-Type": "application/json"}
    is_problem(api.post("/v1/briefs", content=b"{", headers=headers), 422)


def test_a_body_over_the_limit_is_refused_announced_or_not(api: httpx.Client) -> None:
    is_problem(api.post("/v1/briefs", json={"text": "x" * 70_000}), 413)
    is_problem(api.post("/v1/briefs", content=iter([b"x" * 40_000] * 3)), 413)


# Jobs


def test_a_job_is_followed_from_queue_to_formula(api: httpx.Client, database: Database) -> None:
    job_id = api.post("/v1/briefs", json={"text": "Follow me"}).json()["job_id"]
    draft = FormulaDraft(Formula.from_composition("F", {"hedione": 100.0}))

    def report(session: Session, fence: int) -> bool:
        return update_progress(session, job_id, fence, 0.5, "blending")

    states = []
    with api.stream("GET", f"/v1/jobs/{job_id}/events") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        for line in stream.iter_lines():
            if not line.startswith("data:"):
                continue
            states.append(json.loads(line.removeprefix("data:")))
            if len(states) == 1:
                claimed = database.run(lambda s: claim_job(s, job_id, "worker-test"))
                assert claimed is not None
                database.run(partial(report, fence=claimed.fence))
            elif len(states) == 2:
                database.run(lambda s: finish_job(s, job_id, {}, draft))
    assert [(s["state"], s["progress"], s["stage"]) for s in states] == [
        ("queued", 0, None),
        ("running", 0.5, "blending"),
        ("succeeded", 1, "blending"),
    ]
    formula = api.get(f"/v1/formulas/{states[-1]['result']['formula_id']}").json()
    assert formula["job_id"] == job_id


def test_a_cancelled_job_is_not_worked_on_and_an_ended_one_is_not_cancelled(
    api: httpx.Client, database: Database
) -> None:
    job_id = api.post("/v1/briefs", json={"text": "Changed my mind"}).json()["job_id"]
    assert api.delete(f"/v1/jobs/{job_id}").json()["state"] == "cancelled"
    assert api.delete(f"/v1/jobs/{job_id}").json()["state"] == "cancelled"
    assert database.run(lambda s: claim_job(s, job_id, "worker-test")) is None
    ended, _ = make_formula(api, database, {"hedione": 100.0})
    assert is_problem(api.delete(f"/v1/jobs/{ended}"), 409)["state"] == "succeeded"


def test_what_does_not_exist_is_a_problem(api: httpx.Client) -> None:
    nobody = "00000000-0000-4000-8000-000000000000"
    for path in (f"/v1/jobs/{nobody}", f"/v1/jobs/{nobody}/events", f"/v1/formulas/{nobody}"):
        is_problem(api.get(path), 404)
    is_problem(api.delete(f"/v1/jobs/{nobody}"), 404)
    is_problem(api.get("/v1/jobs/not-an-id"), 422)
    is_problem(api.get("/nowhere"), 404)
    is_problem(api.put("/v1/briefs"), 405)


# Formulas, optimisation, palette


def test_a_formula_is_shown_by_pyramid_with_cost_and_verdict(
    api: httpx.Client, database: Database
) -> None:
    _, formula_id = make_formula(api, database, {"lemon-oil": 5.0, "hedione": 55.0, "vanillin": 40})
    shown = api.get(f"/v1/formulas/{formula_id}").json()
    assert [c["ingredient"] for c in shown["top"]] == ["lemon-oil"]
    assert shown["heart"][0]["name"].startswith("Hedione")
    assert shown["base"][0]["percent"] == 40
    assert shown["cost_per_kg"] == pytest.approx(0.05 * 45 + 0.55 * 25 + 0.4 * 22)
    assert shown["verdict"]["legal"]
    assert "limonene" in shown["verdict"]["labels"]
    assert "person must check" in shown["verdict"]["source"]


def test_formulas_are_listed_page_by_page_newest_first(
    api: httpx.Client, database: Database
) -> None:
    made = [make_formula(api, database, {"hedione": 100.0})[1] for _ in range(3)]
    first = api.get("/v1/formulas", params={"limit": 2}).json()
    rest = api.get("/v1/formulas", params={"limit": 2, "cursor": first["next_cursor"]}).json()
    listed = [f["id"] for f in first["items"] + rest["items"]]
    assert listed[:3] == made[::-1]
    assert len(set(listed)) == len(listed)
    is_problem(api.get("/v1/formulas", params={"cursor": "nonsense"}), 422)


def test_formulas_are_found_by_words_and_by_example(api: httpx.Client, database: Database) -> None:
    _, lemon = make_formula(api, database, {"lemon-oil": 80.0, "citral": 20.0}, "Lemon")
    _, lime = make_formula(api, database, {"lime-oil": 50.0, "lemon-oil": 50.0}, "Lime")
    _, wood = make_formula(api, database, {"vetiver-oil": 50.0, "cedarwood-oil": 50.0}, "Wood")
    found = api.get("/v1/formulas/similar", params={"text": "zesty lemon", "limit": 100}).json()
    order = [f["id"] for f in found["items"]]
    assert order.index(lemon) < order.index(wood)
    assert found["items"][0]["similarity"] >= found["items"][-1]["similarity"]
    near = api.get("/v1/formulas/similar", params={"id": lemon, "limit": 1}).json()["items"]
    assert [f["id"] for f in near] == [lime]
    is_problem(api.get("/v1/formulas/similar", params={"text": "qwerty"}), 422)
    is_problem(api.get("/v1/formulas/similar"), 422)


def test_an_optimisation_goes_to_the_other_queue(
    api: httpx.Client, database: Database, brokers: Brokers
) -> None:
    _, formula_id = make_formula(api, database, {"hedione": 100.0})
    wish = {"formula_id": formula_id, "method": "genetic", "steps": 5}
    job_id = api.post("/v1/optimizations", json=wish).json()["job_id"]
    message = message_of(brokers.rl, Queue.RL, job_id)
    assert message["headers"]["task"] == "rl.optimize_formula"
    assert message_of(brokers.llm, Queue.LLM, job_id) is None
    nobody = "00000000-0000-4000-8000-000000000000"
    is_problem(api.post("/v1/optimizations", json=wish | {"formula_id": nobody}), 404)
    is_problem(api.post("/v1/optimizations", json=wish | {"method": "prayer"}), 422)


def test_the_palette_says_what_rests_on_one_source(api: httpx.Client) -> None:
    palette = api.get("/v1/ingredients").json()
    by_id = {item["id"]: item for item in palette["items"]}
    assert by_id["citral"]["max_percent"] == 0.6
    assert by_id["citral"]["one_source"] is False
    assert by_id["cashmeran"]["one_source"] is True
    assert by_id["hedione"]["max_percent"] is None


# Access


def test_a_missing_wrong_or_revoked_key_is_refused(
    application: Application, product: Product
) -> None:
    with application.client() as client:
        problem = is_problem(client.get("/v1/ingredients"), 401)
        assert "missing" in problem["detail"]
        made = product.make_key("short-lived")
        ok = client.get("/v1/ingredients", headers={"X-API-Key": made})
        assert ok.status_code == 200
        forged = made[:-1] + ("A" if made[-1] != "A" else "B")
        nobodys = "fk_" + "0" * 12 + "_" + "x" * 43
        for wrong in (b"nonsense", forged.encode(), nobodys.encode(), "é".encode()):
            is_problem(client.get("/v1/ingredients", headers={b"X-API-Key": wrong}), 401)
        assert product.run("keys", "revoke", "short-lived").returncode == 0
        is_problem(client.get("/v1/ingredients", headers={"X-API-Key": made}), 401)


def test_a_key_is_listed_but_never_shown_again(product: Product, key: str) -> None:
    listed = product.run("keys", "list", "--json")
    assert any(row["name"] == "tests" for row in json.loads(listed.stdout)["keys"])
    assert key not in listed.stdout
    taken = product.run("keys", "create", "tests")
    assert taken.returncode == 1
    assert "revoke" in taken.stderr
    assert product.run("keys", "revoke", "nobody").returncode == 1


def test_a_key_over_its_rate_is_told_when_to_come_back(product: Product, key: str) -> None:
    with (
        product.serve("app-limited", RATE_LIMIT_ENABLED="true", RATE_LIMIT="3/minute") as limited,
        limited.client(key) as client,
        limited.client(product.make_key("patient")) as other,
    ):
        answers = [client.get("/v1/ingredients") for _ in range(4)]
        assert [a.status_code for a in answers] == [200, 200, 200, 429]
        is_problem(answers[-1], 429)
        assert 1 <= int(answers[-1].headers["retry-after"]) <= 60
        assert other.get("/v1/ingredients").status_code == 200
        assert "rate_limited_requests_total 1.0" in client.get("/metrics").text


def test_origins_are_answered_only_where_they_are_allowed(product: Product) -> None:
    with product.serve("app-cors", CORS_ORIGINS="https://shop.example") as served:
        for origin, expected in (("https://shop.example", True), ("https://evil.example", False)):
            answer = httpx.options(
                f"{served.url}/v1/briefs",
                headers={"Origin": origin, "Access-Control-Request-Method": "POST"},
            )
            assert (answer.headers.get("access-control-allow-origin") == origin) is expected


def test_answers_carry_security_headers(api: httpx.Client) -> None:
    headers = api.get("/v1/ingredients").headers
    assert headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in headers["content-security-policy"]


# Operations


def test_health_counts_the_workers_that_report_themselves(
    api: httpx.Client, brokers: Brokers
) -> None:
    heartbeats = {"worker-llm-1": "llm", "worker-llm-2": "llm", "worker-rl-1": "rl"}
    for replica, queue in heartbeats.items():
        text = json.dumps({"replica": replica, "queue": queue})
        brokers.shared.set(tasks.heartbeat_key(replica), text, ex=30)
    wait_until(lambda: api.get("/health").json()["services"]["workers"] == {"llm": 2, "rl": 1})
    health = api.get("/health").json()
    assert health["status"] == "healthy"
    assert set(health) >= {"status", "version", "timestamp", "services"}
    assert health["services"]["database"] == health["services"]["redis"] == "healthy"
    assert health["checks"]["database"]["age_seconds"] < 5
    for replica in heartbeats:
        brokers.shared.delete(tasks.heartbeat_key(replica))
    wait_until(lambda: api.get("/health").json()["status"] == "degraded")


def test_metrics_have_the_required_names_and_template_paths(
    api: httpx.Client, brokers: Brokers
) -> None:
    job_id = api.post("/v1/briefs", json={"text": "Count me"}).json()["job_id"]
    api.get(f"/v1/jobs/{job_id}")
    depth = sum(brokers.llm.llen(name) for name in tasks.queue_lists(Queue.LLM))
    wait_until(lambda: f'queue_size{{queue="llm"}} {float(depth)}' in api.get("/metrics").text)
    text = api.get("/metrics").text
    assert 'http_requests_total{method="POST",path="/v1/briefs",status="202"}' in text
    assert 'path="/v1/jobs/{job_id}"' in text
    assert job_id not in text
    assert 'http_request_duration_seconds_bucket{le="60.0"' in text
    assert "http_requests_in_flight " in text


def test_version_and_documentation_are_there(api: httpx.Client) -> None:
    version = api.get("/version").json()
    assert version["version"]
    assert version["schema_revision"] == "0001"
    assert "/v1/briefs" in api.get("/openapi.json").json()["paths"]
    assert "swagger" in api.get("/docs").text.lower()


# Stopping


def test_a_replica_told_to_stop_answers_what_it_has_and_exits_cleanly(
    product: Product, key: str
) -> None:
    """Clients with kept connections send on while it stops; none of them is cut off."""
    with product.serve("app-stopping") as stopping:
        failures, refused, answered = [], [], []

        def keep_asking() -> None:
            with stopping.client(key) as client:
                while True:
                    try:
                        status = client.get("/v1/formulas").status_code
                    except httpx.ConnectError:
                        refused.append(1)
                        return
                    except httpx.HTTPError as error:
                        failures.append(error)
                        return
                    answered.append(status)

        threads = [threading.Thread(target=keep_asking) for _ in range(4)]
        for thread in threads:
            thread.start()
        wait_until(lambda: len(answered) > 40)
        assert stopping.stop() == 0
        for thread in threads:
            thread.join(20)
        assert failures == []
        assert len(refused) == 4
        assert set(answered) == {200}


# On a busy machine a request is now and then reset or answered 500 while its replica leaves.
def test_replicas_of_a_shared_socket_are_replaced_without_losing_a_request(
    product: Product, key: str
) -> None:
    """Half of the requests are POST, connections are kept, one replica after another goes."""
    with socket.create_server(("127.0.0.1", 0), backlog=512) as shared:
        address = "http://{}:{}".format(*shared.getsockname())
        ending, statuses, failures = threading.Event(), [], []

        def keep_asking() -> None:
            headers = {"X-API-Key": key}
            with httpx.Client(base_url=address, headers=headers, timeout=60) as client:
                while not ending.is_set():
                    try:
                        statuses.append(client.get("/v1/ingredients").status_code)
                        brief = client.post("/v1/briefs", json={"text": "Under load"})
                        statuses.append(brief.status_code)
                    except httpx.HTTPError as error:
                        failures.append(error)

        with contextlib.ExitStack() as stack:
            replicas = [stack.enter_context(product.serve("app-s0", shared))]
            threads = [threading.Thread(target=keep_asking) for _ in range(4)]
            for thread in threads:
                thread.start()
            try:
                for number in (1, 2, 3):
                    replicas.append(stack.enter_context(product.serve(f"app-s{number}", shared)))
                    wait_until(replicas[-1].is_ready)
                    assert replicas[-2].stop() == 0
                    seen = len(statuses)
                    wait_until(partial(lambda seen: len(statuses) > seen + 20, seen), 60)
            finally:
                ending.set()
                for thread in threads:
                    thread.join(60)
    assert failures == []
    assert set(statuses) == {200, 202}


def test_event_streams_end_when_the_replica_stops(product: Product, key: str) -> None:
    with product.serve("app-streaming") as streaming, streaming.client(key) as client:
        job_id = client.post("/v1/briefs", json={"text": "Endless"}).json()["job_id"]
        with client.stream("GET", f"/v1/jobs/{job_id}/events") as stream:
            lines = stream.iter_lines()
            assert next(lines)
            began = time.monotonic()
            streaming.process.terminate()
            for _ in lines:
                pass
        assert streaming.process.wait(20) == 0
        assert time.monotonic() - began < 25, "not by the end of its grace of thirty"
