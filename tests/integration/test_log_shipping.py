"""Logs of the containers in a store that speaks Loki's API, without a change of the services."""

from __future__ import annotations

import json
import socketserver
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler

import pytest

from tests.compose_stack import COMPOSE, PRODUCTION, ComposeStack, docker
from tests.servers import free_port, wait_until

pytestmark = [pytest.mark.docker, pytest.mark.timeout(600)]

#: Labels and line, as often as they came.
Line = tuple[dict[str, str], str]


class Store(socketserver.ThreadingTCPServer):
    """What takes pushes and keeps them."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, port: int, lines: list[Line]) -> None:
        self.lines = lines
        super().__init__(("", port), _Push)


class _Push(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Store)
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert self.path == "/loki/api/v1/push?token=not-to-be-seen"
        for stream in body["streams"]:
            for moment, line in stream["values"]:
                assert len(moment) == 19, "nanoseconds since 1970"
                self.server.lines.append((stream["stream"], line))
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def listening(port: int, lines: list[Line]) -> Iterator[None]:
    with Store(port, lines) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join(5)


@pytest.fixture
def shipping(compose_stack: ComposeStack) -> Iterator[tuple[ComposeStack, int]]:
    """Give the stack with a shipper that sends to a port of this host, where nobody listens."""
    stack = replace(compose_stack, files=(PRODUCTION, COMPOSE / "docker-compose.logs.yml"))
    port = free_port()
    gateway = docker(
        *("network", "inspect", f"{stack.name}_monitoring"),
        *("--format", "{{(index .IPAM.Config 0).Gateway}}"),
    )
    secret = stack.directory / "secrets" / "log_store_url"
    secret.chmod(0o644)
    secret.write_text(f"http://{gateway}:{port}/loki/api/v1/push?token=not-to-be-seen")
    try:
        stack.compose("up", "--detach", "--wait", "--no-deps", "log-shipper", timeout=120)
        yield stack, port
    finally:
        stack.compose("rm", "--stop", "--force", "log-shipper")
        docker("volume", "rm", "--force", f"{stack.name}_log-positions")
        secret.write_text("")


def test_every_line_arrives_once_with_its_labels_also_after_an_outage_of_the_store(
    shipping: tuple[ComposeStack, int],
) -> None:
    stack, port = shipping
    before = {each["Id"] for name in ("app", "nginx") for each in stack.containers(name)}
    lines: list[Line] = []
    asked: list[str] = []

    key = stack.make_key("shipping")

    def ask() -> None:
        asked.append(uuid.uuid4().hex)
        headers = {"X-Request-ID": asked[-1]}
        with stack.client(key) as client:
            missing = client.get(f"/v1/formulas/{uuid.uuid4()}", headers=headers)
        assert missing.status_code == 404

    def arrived() -> dict[str, list[str]]:
        """Return which services' lines there are of each request."""
        return {
            request: sorted({labels["service"] for labels, line in list(lines) if request in line})
            for request in asked
        }

    def complete() -> bool:
        return all(names == ["app", "nginx"] for names in arrived().values())

    ask()  # while nobody listens
    with listening(port, lines):
        ask()
        wait_until(complete, 90, "the lines of both requests arrive")
    ask()  # while nobody listens any more
    stack.compose("restart", "log-shipper", timeout=60)
    with listening(port, lines):
        wait_until(complete, 90, "the lines of the outage arrive")

    edge = [(labels, line) for labels, line in lines if labels["service"] == "nginx"]
    for request in asked:
        ((labels, line),) = [(labels, line) for labels, line in edge if request in line]
        assert labels == {
            "project": stack.name,
            "service": "nginx",
            "container": f"{stack.name}-nginx-1",
            "stream": "stdout",
        }
        assert json.loads(line)["request_id"] == request
    assert {labels["project"] for labels, _ in lines} == {stack.name}
    # The services are the same containers as before, and nothing gives the address away.
    assert {e["Id"] for name in ("app", "nginx") for e in stack.containers(name)} == before
    (shipper,) = stack.containers("log-shipper")
    assert "not-to-be-seen" not in json.dumps(shipper) + stack.logs("log-shipper")
