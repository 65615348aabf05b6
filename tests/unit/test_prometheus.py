"""A Prometheus that is not well, or not one: in words, in time, and nothing gets through."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from console.domain.alerts import AlertSeverity, AlertState, Silence
from console.domain.services import Topology
from console.errors import NotSupported, Unreachable, UsageError
from console.operations.alertmanager import Alertmanager
from console.sources import prometheus
from console.sources.prometheus import PrometheusClient, PrometheusSource

BEGIN = datetime(2026, 3, 14, 2, 0, tzinfo=UTC)


class Server:
    """Answers what a test wants, by path."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, bytes]] = {}
        self.asked: list[str] = []
        here = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                here.asked.append(f"{self.command} {self.path}")
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                path = self.path.split("?")[0]
                status, body = here.answers.get(path, (404, b"not here"))
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_DELETE = do_GET  # noqa: N815 - named as the protocol names them

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_address[1]}"

    def says(self, path: str, answer: Any, status: int = 200) -> None:
        body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.answers[path] = (status, body)


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    thread = threading.Thread(target=made.server.serve_forever, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        made.server.shutdown()
        made.server.server_close()
        thread.join(5)


@pytest.fixture
def client() -> Iterator[PrometheusClient]:
    made = PrometheusClient()
    yield made
    made.close()


def answering(server: Server, **alert: Any) -> None:
    labels = {"alertname": "DiskSpace", "severity": "critical", "device": "/dev/vda"}
    found = {
        "labels": labels,
        "annotations": {"summary": "86% full.", "runbook": "RUNBOOK.md#diskspace"},
        "state": "firing",
        "activeAt": "2026-03-14T02:00:00.123456789Z",
        "value": "0.86",
    } | alert
    groups = [{"name": "g", "rules": [{"name": "DiskSpace", "alerts": [found]}]}]
    server.says("/api/v1/rules", {"status": "success", "data": {"groups": groups}})
    target = {
        "labels": {"job": "app", "instance": "10.0.0.7:8000"},
        "health": "down",
        "lastScrape": "2026-03-14T02:00:01.5+01:00",
        "lastError": "refused",
    }
    fresh = target | {"health": "unknown", "lastScrape": "0001-01-01T00:00:00Z", "lastError": ""}
    server.says("/api/v1/targets", {"data": {"activeTargets": [target, fresh]}})


def test_alerts_and_targets_are_read(server: Server, client: PrometheusClient) -> None:
    answering(server)

    reading = client.reading(server.address, None)

    (alert,) = reading.alerts
    assert (alert.name, alert.state, alert.severity) == (
        "DiskSpace", AlertState.FIRING, AlertSeverity.CRITICAL,
    )  # fmt: skip
    assert alert.since == datetime(2026, 3, 14, 2, 0, 0, 123456, tzinfo=UTC)
    assert (alert.summary, alert.subject) == ("86% full", "device=/dev/vda")
    down, fresh = reading.targets
    assert (down.up, down.error) == (False, "refused")
    assert down.scraped_at == datetime(2026, 3, 14, 1, 0, 1, 500000, tzinfo=UTC)
    assert (fresh.up, fresh.scraped_at) == (None, None)
    assert reading.silences is None


def test_losing_the_alertmanager_loses_only_the_silences(
    server: Server, client: PrometheusClient
) -> None:
    answering(server)

    reading = client.reading(server.address, server.address)

    assert len(reading.alerts) == 1
    assert reading.silences is None


def test_whom_the_alertmanager_tells_is_read_with_the_alerts(
    server: Server, client: PrometheusClient
) -> None:
    answering(server)
    assert client.reading(server.address, None).receivers is None
    assert client.reading(server.address, server.address).receivers is None  # it does not say
    original = (
        "receivers:\n- name: operators\n  pagerduty_configs:\n  - url: x\n    webhook_configs: []\n"
    )
    server.says("/api/v2/status", {"config": {"original": original}})
    assert client.reading(server.address, server.address).receivers == ("pagerduty",)
    server.says("/api/v2/status", {"config": {"original": "receivers:\n- name: operators\n"}})
    assert client.reading(server.address, server.address).receivers == ()


def test_words_from_outside_are_made_safe(server: Server, client: PrometheusClient) -> None:
    answering(server, annotations={"summary": "\x1b[31m red\n\u202e"})

    (alert,) = client.reading(server.address, None).alerts

    assert alert.summary == "[31m red"
    assert alert.runbook == "diskspace"


def test_a_silence_for_something_else_says_what_for(
    server: Server, client: PrometheusClient
) -> None:
    answering(server)
    made = {
        "id": "7e-1",
        "status": {"state": "active"},
        "matchers": [
            {"name": "alertname", "value": "DiskSpace", "isRegex": False, "isEqual": True},
            {"name": "device", "value": "/dev/.*", "isRegex": True, "isEqual": True},
        ],
        "startsAt": "2026-03-14T02:00:00Z",
        "endsAt": "2026-03-14T03:00:00Z",
        "createdBy": "ci",
        "comment": "x",
    }
    alone = made | {"id": "7e-2", "matchers": made["matchers"][:1]}  # type: ignore[index]
    ended = made | {"status": {"state": "expired"}}
    server.says("/api/v2/silences", [made, alone, ended])

    some, whole = client.reading(server.address, server.address).silences or ()

    assert (some.alert, some.matches) == ("", "alertname=DiskSpace, device=~/dev/.*")
    assert (whole.alert, whole.matches, whole.actor) == ("DiskSpace", "", "ci")


def test_figures_stand_at_their_steps_and_what_is_missing_is_unknown(
    server: Server, client: PrometheusClient
) -> None:
    at = BEGIN.timestamp()
    values = [[at, "1"], [at + 30, "NaN"], [at + 45, "4.5"], [at + 900, "9"]]
    server.says(
        "/api/v1/query_range", {"data": {"result": [{"metric": {"job": "app"}, "values": values}]}}
    )

    found = client.ranges(server.address, {"x": "up"}, BEGIN, 15.0, 4)

    assert found == {"x": (1.0, None, None, 4.5)}


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (200, b"<html>", "not answer like Prometheus"),
        (200, b"[]", "not answer like Prometheus"),
        (200, b'{"data": {}}', "not answer like Prometheus"),
        (503, b"starting", "503"),
        (200, b"\xff\xfe\x00", "not answer like Prometheus"),
    ],
)
def test_what_is_no_answer_is_said_in_words(
    server: Server, client: PrometheusClient, status: int, body: bytes, words: str
) -> None:
    for path in ("/api/v1/targets", "/api/v1/query_range"):
        server.says(path, body, status)

    with pytest.raises(Unreachable, match=words):
        client.reading(server.address, None)
    with pytest.raises(Unreachable, match=words):
        client.ranges(server.address, {"x": "up"}, BEGIN, 15.0, 4)


def test_a_query_that_makes_no_sense_is_the_askers(
    server: Server, client: PrometheusClient
) -> None:
    server.says("/api/v1/query", {"status": "error", "error": "1:4: parse error\x1b[0m"}, 400)

    with pytest.raises(UsageError, match=r"1:4: parse error"):
        client.ask(server.address, "up(", None, 1, 1)


def test_nobody_there_and_nobody_who_answers(
    client: PrometheusClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prometheus, "TIMEOUT_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(Unreachable, match=r"no answer within 0\.3 s"):
            client.reading(address, None)
    with pytest.raises(Unreachable, match="connection refused"):
        client.reading(address, None)


def test_no_proxy_of_the_environment_is_used(
    server: Server, client: PrometheusClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    answering(server)

    assert client.reading(server.address, None).alerts


def test_the_source_needs_one_that_runs_here() -> None:
    source = PrometheusSource()
    with pytest.raises(Unreachable):
        source.read(None)
    with pytest.raises(NotSupported):
        source.read(Topology(running=True, services=(), endpoints={"api": "x"}))
    source.close()


class TestAlertmanager:
    SILENCE = Silence("DiskSpace", BEGIN, "ana", "known", BEGIN)

    def test_a_silence_is_confirmed_by_its_name(self, server: Server) -> None:
        server.says("/api/v2/silences", {"silenceID": "7e-1"})

        assert Alertmanager().silence(server.address, self.SILENCE) == "7e-1"

    @pytest.mark.parametrize(("status", "body"), [(400, b"bad"), (200, b"<html>"), (200, b"{}")])
    def test_what_is_not_confirmed_was_not_made(
        self, server: Server, status: int, body: bytes
    ) -> None:
        server.says("/api/v2/silences", body, status)

        with pytest.raises(Unreachable) as refusal:
            Alertmanager().silence(server.address, self.SILENCE)
        assert "nothing was silenced" in refusal.value.unchanged

    def test_receivers_and_attempts_to_send_are_told(self, server: Server) -> None:
        original = "receivers:\n- name: a\n  slack_configs: [{channel: x}]\n  webhook_configs: []\n"
        server.says("/api/v2/status", {"config": {"original": original}})
        lines = (
            'alertmanager_notification_requests_total{integration="slack",receiver="a"} 3',
            'alertmanager_notification_requests_failed_total{integration="slack",receiver="a"} 2',
            'alertmanager_notification_requests_total{integration="slack",receiver="b"} 4',
        )
        server.says("/metrics", "\n".join(lines).encode())

        assert Alertmanager().receivers(server.address) == ("slack",)
        assert Alertmanager().attempts(server.address) == {"slack": (7.0, 2.0)}
        answers: tuple[object, ...] = (
            {}, [], {"config": 3}, {"config": {"x": "y"}},
        )  # fmt: skip
        for nonsense in answers:
            server.says("/api/v2/status", nonsense)
            with pytest.raises(Unreachable, match="does not answer like an Alertmanager"):
                Alertmanager().receivers(server.address)

    def test_ending_what_is_not_there_is_no_error(self, server: Server) -> None:
        Alertmanager().unsilence(server.address, "7e-1")
        Alertmanager().unsilence(server.address, "../../x")

        assert server.asked == ["DELETE /api/v2/silence/7e-1"]
