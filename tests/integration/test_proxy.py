"""nginx of the production stack: what the public meets, and what changes without a restart."""

from __future__ import annotations

import json
import re
import socketserver
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
import pytest

from console.runtimes.compose.edge import edge_configuration, limits_configuration, upstream_members
from console.runtimes.files import write_atomic
from tests.compose_stack import ComposeStack
from tests.servers import wait_until

pytestmark = [pytest.mark.docker, pytest.mark.timeout(600)]

BRIEF = {"text": "a fresh citrus cologne with a warm woody base"}
TLS_FILES = ("fullchain.pem", "privkey.pem")
SECURITY_HEADERS = {
    "strict-transport-security": "max-age=31536000; includeSubDomains",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
}


class Edge:
    """The means to change what nginx of a stack reads."""

    def __init__(self, stack: ComposeStack) -> None:
        self.stack = stack
        self.directory = stack.directory / "nginx"

    def write(self, name: str, text: str) -> None:
        path = self.directory / name
        write_atomic(path, text.encode(), durable=False)
        path.chmod(0o644)

    def reload(self) -> int:
        """Raise the generation, reload, and wait until only the new one answers."""
        generation = self.generation() + 1
        self.write("upstreams/generation.conf", f'return 200 "{generation}";\n')
        self.stack.execute("nginx", "nginx", "-t")
        self.stack.execute("nginx", "nginx", "-s", "reload")
        # Old workers accept until they have heard of it: proven is what answers every time.
        wait_until(
            lambda: {self.generation() for _ in range(20)} == {generation},
            20,
            f"generation {generation}",
        )
        return generation

    def generation(self) -> int:
        return int(httpx.get(f"{self.status_url}/generation", timeout=5).text)

    @cached_property
    def status_url(self) -> str:
        return f"http://{self.stack.address('nginx', 'monitoring')}:8081"

    @contextmanager
    def changed(self, **texts: str) -> Iterator[None]:
        """Change files (``edge_conf`` is edge.conf) for a block, and put them back."""
        names = {key: re.sub("_conf$", ".conf", key) for key in texts}
        paths = {name: Path("upstreams", name) if name == "app.conf" else Path(name)
                 for name in names.values()}  # fmt: skip
        before = {name: (self.directory / path).read_text() for name, path in paths.items()}
        try:
            for key, text in texts.items():
                self.write(str(paths[names[key]]), text)
            self.reload()
            yield
        finally:
            for name, text in before.items():
                self.write(str(paths[name]), text)
            self.reload()


@pytest.fixture(scope="module")
def edge(compose_stack: ComposeStack) -> Edge:
    return Edge(compose_stack)


@pytest.fixture(scope="module")
def key(compose_stack: ComposeStack) -> str:
    return compose_stack.make_key("proxy")


@pytest.fixture
def client(compose_stack: ComposeStack, key: str) -> Iterator[httpx.Client]:
    with compose_stack.client(key) as opened:
        yield opened


def test_a_brief_over_tls_becomes_a_stored_formula(
    compose_stack: ComposeStack, client: httpx.Client
) -> None:
    accepted = client.post("/v1/briefs", json=BRIEF)
    assert accepted.status_code == 202, accepted.text
    job = compose_stack.finished_job(client, accepted.json()["job_id"])
    assert job["state"] == "succeeded", job
    formula = client.get(f"/v1/formulas/{job['result']['formula_id']}").json()
    assert formula["top"]
    assert formula["heart"]
    assert formula["base"]


def test_only_modern_tls_is_spoken(compose_stack: ComposeStack) -> None:
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        assert _health_with(compose_stack, version, version).status_code == 200


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1:DeprecationWarning")
def test_outdated_tls_is_refused(compose_stack: ComposeStack) -> None:
    with pytest.raises(httpx.ConnectError, match=r"alert protocol version"):
        _health_with(compose_stack, ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1)


def _health_with(
    stack: ComposeStack, lowest: ssl.TLSVersion, highest: ssl.TLSVersion
) -> httpx.Response:
    context = ssl.create_default_context(cafile=stack.directory / "nginx/tls/fullchain.pem")
    # The client shall not be the one who refuses.
    context.set_ciphers("DEFAULT@SECLEVEL=0")
    context.minimum_version, context.maximum_version = lowest, highest
    return httpx.get(f"{stack.url}/health", verify=context, timeout=10)


@pytest.mark.parametrize(
    ("path", "status"), [("/health", 200), ("/v1/formulas", 401), ("/nowhere", 404)]
)
def test_every_answer_carries_the_security_headers_once(
    compose_stack: ComposeStack, path: str, status: int
) -> None:
    with compose_stack.client() as anonymous:
        answer = anonymous.get(path)
    assert answer.status_code == status
    for name, value in SECURITY_HEADERS.items():
        assert answer.headers.get_list(name) == [value]
    assert answer.headers["server"] == "nginx"


def test_plain_http_is_sent_to_tls_except_for_health(compose_stack: ComposeStack) -> None:
    sent = httpx.get(f"{compose_stack.plain_url}/v1/formulas?limit=2", timeout=10)
    assert sent.status_code == 308
    assert sent.headers["location"] == f"{compose_stack.url}/v1/formulas?limit=2"
    health = httpx.get(f"{compose_stack.plain_url}/health", timeout=10)
    assert health.status_code == 200
    assert health.json()["services"]["database"] == "healthy"


def test_figures_and_status_are_not_for_the_public(
    compose_stack: ComposeStack, edge: Edge, client: httpx.Client
) -> None:
    assert client.get("/metrics").status_code == 404
    assert client.get("/stub_status").status_code == 404
    ports = compose_stack.containers("nginx")[0]["NetworkSettings"]["Ports"]
    assert {port for port, places in ports.items() if places} == {"8080/tcp", "8443/tcp"}
    assert "Active connections" in httpx.get(f"{edge.status_url}/stub_status", timeout=5).text


def test_a_body_that_is_too_large_is_refused_with_a_problem(client: httpx.Client) -> None:
    answer = client.post("/v1/briefs", json={"text": "x" * 200_000})
    assert answer.status_code == 413
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == "urn:fragrance:problem:body-too-large"


def test_too_many_requests_with_a_key_are_refused_and_others_are_served(
    compose_stack: ComposeStack, edge: Edge, client: httpx.Client
) -> None:
    low = {"EDGE_RATE_PER_KEY": "1", "EDGE_RATE_PER_ADDRESS": "1000"}
    port = {"HTTPS_PORT": compose_stack.env["HTTPS_PORT"]}
    with edge.changed(
        edge_conf=edge_configuration(low | port),
        limits_conf=limits_configuration({}).replace("burst=100", "burst=5"),
    ):
        answers = [client.get("/v1/ingredients") for _ in range(12)]
        refused = [each for each in answers if each.status_code == 429]
        assert answers[0].status_code == 200
        assert len(refused) >= 5
        assert refused[0].json()["type"] == "urn:fragrance:problem:rate-limited"
        assert refused[0].headers["retry-after"] == "1"
        with compose_stack.client(compose_stack.make_key("another")) as other:
            assert other.get("/v1/ingredients").status_code == 200


def test_a_jobs_events_arrive_as_they_happen(client: httpx.Client) -> None:
    job_id = client.post("/v1/briefs", json={"text": "an events stream of roses"}).json()["job_id"]
    began, states = time.monotonic(), []
    first = 0.0
    with client.stream("GET", f"/v1/jobs/{job_id}/events") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        assert "content-encoding" not in stream.headers
        for line in stream.iter_lines():
            if line.startswith("data: {"):
                first = first or time.monotonic() - began
                states.append(json.loads(line.removeprefix("data: "))["state"])
    assert states[-1] == "succeeded"
    assert first < 1.0


def test_the_maintenance_page_is_switched_by_a_file(
    compose_stack: ComposeStack, edge: Edge, client: httpx.Client
) -> None:
    switch = edge.directory / "maintenance" / "on"
    generation = edge.generation()
    try:
        switch.touch()
        program = client.post("/v1/briefs", json=BRIEF)
        person = client.get("/v1/formulas", headers={"Accept": "text/html"})
        health = client.get("/health")
    finally:
        switch.unlink()
    assert program.status_code == person.status_code == 503
    assert program.headers["retry-after"] == person.headers["retry-after"] == "120"
    assert program.json()["type"] == "urn:fragrance:problem:maintenance"
    assert "<h1>Maintenance</h1>" in person.text
    assert person.headers["content-type"] == "text/html; charset=utf-8"
    assert person.headers["x-frame-options"] == "DENY"
    assert health.status_code == 200
    assert client.get("/v1/ingredients").status_code == 200
    assert edge.generation() == generation


def test_traffic_goes_to_the_replicas_in_the_file_and_nginx_is_not_restarted(
    compose_stack: ComposeStack, edge: Edge, client: httpx.Client
) -> None:
    client.get("/version")
    started = compose_stack.containers("nginx")[0]["State"]["StartedAt"]
    replicas = [each["Config"]["Hostname"] for each in compose_stack.containers("app")]
    assert len(replicas) == 2
    wait_until(lambda: _serving(compose_stack) == set(replicas), 20, "both replicas serve")
    with edge.changed(app_conf=upstream_members([f"{compose_stack.name}-app-2"])):
        assert _serving(compose_stack) == {replicas[1]}
        # A kept connection may stay with an old worker for a moment; it is served all the same.
        assert client.get("/version").json()["replica"] in replicas
    assert _serving(compose_stack) == set(replicas)
    assert compose_stack.containers("nginx")[0]["State"]["StartedAt"] == started


def _serving(stack: ComposeStack) -> set[Any]:
    """Return who answers on new connections."""
    replicas = set()
    for _ in range(10):
        with stack.client() as fresh:
            replicas.add(fresh.get("/version").json()["replica"])
    return replicas


def test_a_new_certificate_is_shown_and_no_kept_connection_is_lost(
    compose_stack: ComposeStack, edge: Edge, key: str, tmp_path: Path
) -> None:
    before = {name: (edge.directory / "tls" / name).read_bytes() for name in TLS_FILES}
    started = compose_stack.containers("nginx")[0]["State"]["StartedAt"]
    subprocess.run(
        ["openssl", "req", "-x509", "-nodes", "-days", "9", "-newkey", "ec",
         "-pkeyopt", "ec_paramgen_curve:P-256", "-subj", "/CN=renewed",
         "-addext", "subjectAltName=DNS:localhost",
         "-keyout", tmp_path / "privkey.pem", "-out", tmp_path / "fullchain.pem"],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    after = {name: (tmp_path / name).read_bytes() for name in TLS_FILES}
    trusted = ssl.create_default_context(cafile=edge.directory / "tls" / "fullchain.pem")
    trusted.load_verify_locations(tmp_path / "fullchain.pem")

    def put(files: dict[str, bytes]) -> None:
        for name, content in files.items():
            write_atomic(edge.directory / "tls" / name, content, mode=0o444)
        edge.reload()

    def shown() -> bytes:
        address = ("localhost", int(compose_stack.env["HTTPS_PORT"]))
        return ssl.PEM_cert_to_DER_cert(ssl.get_server_certificate(address, timeout=10))

    answers: list[int] = []
    done = threading.Event()

    def go_on_asking() -> None:
        """Ask on kept connections: not one request may be lost, whenever it comes."""
        headers = {"X-API-Key": key}
        with httpx.Client(
            base_url=compose_stack.url, headers=headers, verify=trusted, timeout=20
        ) as client:
            while not done.is_set():
                body = {"text": f"a brief with number {len(answers)}"}
                answers.append(client.post("/v1/optimizations", json=body).status_code)
                done.wait(0.05)  # below the limits of the edge

    asking = threading.Thread(target=go_on_asking)
    asking.start()
    try:
        wait_until(lambda: len(answers) > 5, 20, "requests are answered")
        put(after)
        assert shown() == ssl.PEM_cert_to_DER_cert(after["fullchain.pem"].decode())
        so_far = len(answers)
        wait_until(lambda: len(answers) > so_far + 5, 20, "requests go on being answered")
    finally:
        done.set()
        asking.join(30)
        put(before)
    # What nginx itself answers is not of interest: each got through to the application.
    assert set(answers) == {422}
    assert compose_stack.containers("nginx")[0]["State"]["StartedAt"] == started
    assert shown() == ssl.PEM_cert_to_DER_cert(before["fullchain.pem"].decode())


class Vanishing(socketserver.ThreadingTCPServer):
    """A replica that dies with each request in hand: it reads one and closes."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self) -> None:
        self.methods: list[str] = []
        super().__init__(("0.0.0.0", 0), _Vanish)  # noqa: S104 - reached from a container


class _Vanish(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        assert isinstance(self.server, Vanishing)
        self.server.methods.append(self.rfile.readline().split()[0].decode())


def test_a_safe_request_is_tried_elsewhere_and_a_post_never_is(
    compose_stack: ComposeStack, edge: Edge, client: httpx.Client
) -> None:
    (nginx,) = compose_stack.containers("nginx")
    gateway = nginx["NetworkSettings"]["Networks"][f"{compose_stack.name}_edge"]["Gateway"]
    with Vanishing() as dying:
        threading.Thread(target=dying.serve_forever, daemon=True).start()
        members = [
            f"server {gateway}:{dying.server_address[1]} max_fails=0;",
            f"server {compose_stack.name}-app-1:8000 resolve;",
        ]
        with edge.changed(app_conf="\n".join(members) + "\n"):
            reads = [client.get("/v1/ingredients").status_code for _ in range(8)]
            writes = [
                client.post("/v1/briefs", json={"text": f"brief number {n}"}).status_code
                for n in range(8)
            ]
        dying.shutdown()
    assert set(reads) == {200}
    assert dying.methods.count("GET") >= 2
    assert set(writes) == {202, 502}
    assert writes.count(502) == dying.methods.count("POST")


def test_without_any_replica_nginx_runs_on_and_says_so(edge: Edge, client: httpx.Client) -> None:
    with edge.changed(app_conf=upstream_members([])):
        answer = client.get("/v1/ingredients")
        assert answer.status_code == 502
        assert answer.json()["type"] == "urn:fragrance:problem:no-replica"
        assert answer.headers["strict-transport-security"]
    with edge.changed(app_conf=upstream_members(["nobody-by-this-name-1"])):
        assert client.get("/v1/ingredients").status_code == 502
    assert client.get("/v1/ingredients").status_code == 200


def test_a_configuration_with_a_mistake_is_refused_and_the_old_one_serves_on(
    compose_stack: ComposeStack, edge: Edge, client: httpx.Client
) -> None:
    members = edge.directory / "upstreams" / "app.conf"
    before = members.read_text()
    try:
        edge.write("upstreams/app.conf", "server nonsense nonsense;\n")
        tested = compose_stack.compose("exec", "-T", "nginx", "nginx", "-t", check=False)
        compose_stack.compose("exec", "-T", "nginx", "nginx", "-s", "reload", check=False)
        assert tested.returncode != 0
        assert "app.conf:1" in tested.stderr
        assert client.get("/v1/ingredients").status_code == 200
    finally:
        edge.write("upstreams/app.conf", before)
        edge.reload()


def test_one_request_has_one_id_in_both_logs(
    compose_stack: ComposeStack, client: httpx.Client
) -> None:
    path = "/v1/formulas/00000000-0000-4000-8000-000000000000"
    answer = client.get(f"{path}?secret=words")
    request_id = answer.headers["x-request-id"]

    def lines(service: str) -> list[dict[str, Any]]:
        said = compose_stack.logs(service).splitlines()
        return [json.loads(line) for line in said if request_id in line and line.startswith("{")]

    wait_until(lambda: lines("nginx") and lines("app"), 10, "both have logged it")
    seen = lines("nginx")[0]
    assert seen["path"] == path
    assert seen["status"] == answer.status_code == 404
    assert seen["level"] == "warning"
    assert seen["upstream"].endswith(":8000")
    assert "secret" not in json.dumps(seen)
    assert lines("app")[0]["request_id"] == request_id
