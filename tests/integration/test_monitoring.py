"""Prometheus, its exporters and Alertmanager beside the real stack, with real requests in it."""

from __future__ import annotations

import contextlib
import json
import math
import socketserver
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from typing import Any

import httpx
import pytest

from console.clock import SystemClock
from console.domain.alerts import AlertSeverity, AlertState, Delivery, Silence
from console.domain.measures import measures_of
from console.domain.operations import Actor
from console.domain.policy import Policy
from console.domain.readings import MonitoringReading
from console.errors import UsageError
from console.operations.alertmanager import Alertmanager
from console.operations.delivering import DeliveryTest
from console.sources.prometheus import PrometheusClient
from tests.compose_stack import ComposeStack
from tests.fakes.clock import FakeClock
from tests.fakes.journal import FakeJournal
from tests.monitoring import queries
from tests.servers import wait_until
from tests.unit.test_assemble import picture

pytestmark = [pytest.mark.docker, pytest.mark.timeout(900)]

TRAFFIC_SECONDS = 150.0
"""Rates over one minute need two scrapes with something between them, of every exporter."""

FIXED_NAMES = (
    "http_requests_total", "http_request_duration_seconds_bucket", "http_requests_in_flight",
    "llm_inference_duration_seconds_bucket", "rl_training_episodes_total", "queue_size",
    "celery_queue_length", "celery_queue_in_flight", "celery_queue_oldest_age_seconds",
    "celery_task_sent_total", "celery_task_received_total", "celery_task_started_total",
    "celery_task_succeeded_total", "celery_task_failed_total", "celery_task_retried_total",
    "celery_task_revoked_total", "celery_task_rejected_total", "celery_task_runtime_bucket",
    "celery_task_queue_wait_time_bucket", "celery_worker_up", "celery_worker_tasks_active",
    "pg_stat_database_numbackends", "pg_settings_max_connections", "redis_memory_used_bytes",
    "up",
)  # fmt: skip
"""Dashboards, alerts and the console know them by these names."""

EVENT_SECONDS = 5.0
"""A worker's event is with the exporter after this, on a busy machine too."""

SEEN_THROUGH_AN_EXPORTER = {"nginx": "nginx_up", "postgres": "pg_up", "redis": "redis_up"}


class Monitoring:
    """The stack with its profile ``monitoring``."""

    def __init__(self, stack: ComposeStack) -> None:
        self.stack = stack
        self.address = f"http://127.0.0.1:{stack.env['PROMETHEUS_PORT']}"
        self.alertmanager_address = f"http://127.0.0.1:{stack.env['ALERTMANAGER_PORT']}"
        self.prometheus = httpx.Client(base_url=self.address, timeout=10)
        self.alertmanager = httpx.Client(base_url=self.alertmanager_address, timeout=10)
        self.key = stack.make_key(f"monitoring-{uuid.uuid4().hex[:8]}")

    def ask(self, query: str) -> list[dict[str, Any]]:
        """Return the samples that a query gives now."""
        answer = self.prometheus.get("/api/v1/query", params={"query": query}).json()
        assert answer["status"] == "success", f"{query}: {answer.get('error')}"
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found

    def by(self, label: str, query: str) -> dict[str, float]:
        """Return the values of a query by one label."""
        return {s["metric"].get(label, ""): float(s["value"][1]) for s in self.ask(query)}

    def has_figures(self, query: str) -> bool:
        """Tell whether a query has a value that is a number."""
        return any(math.isfinite(float(sample["value"][1])) for sample in self.ask(query))

    def use(self) -> None:
        """Do a bit of what people do, right and wrong."""
        with self.stack.client(self.key) as client:
            text = f"a fresh citrus cologne with a woody base, {uuid.uuid4().hex}"
            brief = client.post("/v1/briefs", json={"text": text})
            assert brief.status_code == 202, brief.text
            done = self.stack.finished_job(client, brief.json()["job_id"])
            assert done["state"] == "succeeded", done
            for method in ("genetic", "ppo"):
                wish = {
                    "formula_id": done["result"]["formula_id"],
                    "method": method,
                    "steps": 2000,
                }
                asked = client.post("/v1/optimizations", json=wish)
                assert asked.status_code == 202, asked.text
                ended = self.stack.finished_job(client, asked.json()["job_id"])
                assert ended["state"] == "succeeded", ended
            assert client.get("/v1/nowhere").status_code == 404
        with self.stack.client("fk_000000000000_not-a-key") as stranger:
            assert stranger.get("/v1/ingredients").status_code == 401


@pytest.fixture(scope="module")
def monitoring(compose_stack: ComposeStack) -> Iterator[Monitoring]:
    compose_stack.compose("up", "--detach", "--wait", profiles="monitoring", timeout=300)
    watched = Monitoring(compose_stack)
    try:
        yield watched
    finally:
        watched.prometheus.close()
        watched.alertmanager.close()
        compose_stack.compose(
            "rm", "--stop", "--force", *sorted(_monitoring_services(compose_stack)), timeout=120
        )


def test_what_prometheus_sees_is_what_runs(monitoring: Monitoring) -> None:
    listed = monitoring.stack.compose("ps", "--format", "json").stdout.splitlines()
    running: dict[str, int] = {}
    for container in map(json.loads, listed):
        assert (container["State"], container["Health"]) == ("running", "healthy"), container
        running[container["Service"]] = running.get(container["Service"], 0) + 1

    def seen() -> dict[str, float]:
        found = monitoring.by("job", "sum by (job) (up)")
        return found | {
            service: sum(monitoring.by("instance", metric).values())
            for service, metric in SEEN_THROUGH_AN_EXPORTER.items()
        }

    wait_until(lambda: seen() == running, 60, f"{running} is up")
    assert not monitoring.ask("up == 0")


def test_every_query_of_every_rule_and_panel_has_an_answer(monitoring: Monitoring) -> None:
    unanswered: list[str] = []

    def all_answer() -> bool:
        monitoring.use()
        unanswered[:] = [
            f"{query.place}: {query.text}"
            for query in queries()
            if not monitoring.has_figures(query.text)
        ]
        unanswered[:] += [
            f"the console's {measure.name}: {measure.promql}"
            for measure in measures_of(None, Policy(), ("llm", "rl"))
            if not monitoring.has_figures(measure.promql)
        ]
        return not unanswered

    assert len(queries()) > 100
    try:
        wait_until(all_answer, TRAFFIC_SECONDS)
    except AssertionError:
        raise AssertionError("without an answer:\n" + "\n".join(unanswered)) from None
    for name in FIXED_NAMES:
        assert monitoring.has_figures(name), name
    assert monitoring.ask('http_requests_total{method="POST",path="/v1/briefs",status="202"}')


def test_the_figures_are_those_of_what_was_done(monitoring: Monitoring) -> None:
    def counted() -> dict[str, float]:
        return {
            "briefs": _sum(monitoring, 'http_requests_total{path="/v1/briefs",status="202"}'),
            "tasks": _sum(monitoring, 'celery_task_succeeded_total{queue_name="llm"}'),
            "optimised": _sum(monitoring, 'celery_task_succeeded_total{queue_name="rl"}'),
            "jobs": _sum(monitoring, 'fragrance_jobs_completed_total{queue_name="llm"}'),
            "refused": _sum(monitoring, "api_keys_refused_total"),
        }

    monitoring.use()
    wait_until(lambda: _settled(monitoring), 60, "nothing is under way")
    _wait_for_scrapes(monitoring)
    before = counted()
    monitoring.use()
    expected = {name: value + {"optimised": 2.0}.get(name, 1.0) for name, value in before.items()}

    wait_until(lambda: counted() == expected, 60, f"{expected} is counted")


def test_nothing_is_alerted_while_all_is_well(monitoring: Monitoring) -> None:
    rules = monitoring.prometheus.get("/api/v1/rules").json()["data"]["groups"]
    unhealthy = [
        (rule["name"], rule.get("lastError"))
        for group in rules
        for rule in group["rules"]
        if rule["health"] != "ok"
    ]

    assert unhealthy == []
    # A service that was just starting may be pending for a moment.
    wait_until(lambda: not monitoring.ask("ALERTS"), 60, "no alert is firing or pending")
    assert monitoring.alertmanager.get("/api/v2/alerts").json() == []


def test_the_console_reads_what_is_scraped_and_figures_over_time(monitoring: Monitoring) -> None:
    client = PrometheusClient()

    def seen() -> bool:
        reading = client.reading(monitoring.address, monitoring.alertmanager_address)
        told = {target.instance: float(bool(target.up)) for target in reading.targets}
        return told == monitoring.by("instance", "up") and all(
            target.scraped_at is not None for target in reading.targets
        )

    def over_time() -> bool:
        begin = datetime.now(UTC) - timedelta(seconds=120)
        asked = {"up": "sum(up)", "no": "nothing"}
        found = client.ranges(monitoring.address, asked, begin, 15.0, 9)
        assert found["no"] == (None,) * 9
        return found["up"][-1] == _sum(monitoring, "up")

    try:
        wait_until(seen, 60, "the targets are those that are scraped")
        wait_until(over_time, 60, "the last value is the present one")
        begin = datetime.now(UTC) - timedelta(seconds=120)
        for measure in measures_of(None, Policy(), ("llm", "rl")):
            found = client.ranges(
                monitoring.address, {measure.name: measure.promql}, begin, 15.0, 9
            )
            assert len(found[measure.name]) == 9
        with pytest.raises(UsageError, match="parse error"):
            client.ask(monitoring.address, "up(", None, 1, 1)
    finally:
        client.close()


def test_a_silence_made_here_is_one_of_the_alertmanager_until_it_is_ended(
    monitoring: Monitoring,
) -> None:
    client, manager = PrometheusClient(), Alertmanager()
    now = datetime.now(UTC)
    wanted = Silence("ReplicaDown", now + timedelta(minutes=9), "ana", "a disk is swapped", now)

    def known() -> list[tuple[str, str, str]]:
        reading = client.reading(monitoring.address, monitoring.alertmanager_address)
        return [(s.alert, s.actor, s.reason) for s in reading.silences or ()]

    try:
        name = manager.silence(monitoring.alertmanager_address, wanted)
        wait_until(lambda: known() == [("ReplicaDown", "ana", "a disk is swapped")], 30)
        for _ in range(2):  # to end it again is no error
            manager.unsilence(monitoring.alertmanager_address, name)
        wait_until(lambda: not known(), 30, "the silence is gone")
    finally:
        client.close()


def test_an_exporter_that_ends_is_told_to_the_receiver(monitoring: Monitoring) -> None:
    with _receiver() as (port, received):
        gateway = _gateway(monitoring.stack)
        with _receivers(monitoring.stack, f"http://{gateway}:{port}"):
            tested = _test_of_delivery(monitoring)
            told_of_test = [each for each in received if "DeliveryTest" in json.dumps(each)]
            received.clear()
            monitoring.stack.compose("stop", "redis-exporter")
            try:
                wait_until(lambda: _told_by_webhook(received), 180, "the receiver is told")
                seen = _read(monitoring)
            finally:
                monitoring.stack.compose("up", "--detach", "--wait", "--no-deps", "redis-exporter")
    message = _told_by_webhook(received)[0]
    (alert,) = message["alerts"]

    assert [(d.receiver, d.taken) for d in tested] == [
        ("pagerduty", True), ("slack", True), ("webhook", True),
    ]  # fmt: skip
    assert {"attachments", "routing_key", "alerts"} <= {k for told in told_of_test for k in told}
    assert "a-routing-key" in {told.get("routing_key") for told in told_of_test}
    assert message["status"] == "firing"
    assert alert["labels"] == {
        "alertname": "TargetDown", "job": "redis-exporter", "service": "redis-exporter",
        "severity": "critical",
    }  # fmt: skip
    assert alert["annotations"]["runbook"] == "RUNBOOK.md#targetdown"
    assert "not-to-be-seen" not in monitoring.stack.logs("alertmanager")
    told = next(
        alert
        for alert in seen.alerts
        if alert.name == "TargetDown" and "job=redis-exporter" in alert.subject
    )
    assert (told.state, told.severity) == (AlertState.FIRING, AlertSeverity.CRITICAL)
    assert (told.runbook, told.origin) == ("targetdown", "prometheus")
    down = next(target for target in seen.targets if target.job == "redis-exporter")
    assert down.up is False
    assert down.error


def _told_by_webhook(received: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the messages of the webhook about the exporter, without what ends the test."""
    return [
        each
        for each in received
        if "alerts" in each and each["groupLabels"]["alertname"] == "TargetDown"
    ]


def _test_of_delivery(monitoring: Monitoring) -> tuple[Delivery, ...]:
    now = datetime.now(UTC)
    snapshot = replace(picture(), endpoints={"alertmanager": monitoring.alertmanager_address})
    clock = SystemClock()
    journal = FakeJournal(FakeClock(now))
    return DeliveryTest(journal, Alertmanager(), clock).send(snapshot, Actor("ana", 1000), "try")


def test_no_secret_is_in_an_environment_or_a_command_line(monitoring: Monitoring) -> None:
    directory = monitoring.stack.directory / "secrets"
    known = {
        path.name: text
        for path in directory.iterdir()
        if (text := path.read_text().strip()) and path.name != "redis_exporter_passwords"
    }
    assert {"postgres_password", "redis_password"} <= known.keys()

    for service in _monitoring_services(monitoring.stack):
        (container,) = monitoring.stack.containers(service)
        for name, value in known.items():
            assert value not in json.dumps(container), f"{name} in {service}"


def test_prometheus_keeps_its_data_within_bounds(monitoring: Monitoring) -> None:
    flags = monitoring.prometheus.get("/api/v1/status/flags").json()["data"]

    assert flags["storage.tsdb.retention.time"] not in ("", "0s")
    assert flags["storage.tsdb.retention.size"] not in ("", "0B")
    assert flags["web.enable-admin-api"] == flags["web.enable-lifecycle"] == "false"
    series = _sum(monitoring, "prometheus_tsdb_head_series")
    assert series < 15_000, f"{series} series: something makes too many"


def _read(monitoring: Monitoring) -> MonitoringReading:
    client = PrometheusClient()
    try:
        return client.reading(monitoring.address, monitoring.alertmanager_address)
    finally:
        client.close()


def _sum(monitoring: Monitoring, query: str) -> float:
    return sum(float(sample["value"][1]) for sample in monitoring.ask(query))


def _settled(monitoring: Monitoring) -> bool:
    """Tell whether the scrapes have seen all that was done: counts agree with the database."""
    done = monitoring.stack.execute(
        "postgres", "psql", "-XAtc", "select count(*) from jobs where state = 'succeeded'"
    )
    return _sum(monitoring, "fragrance_jobs_completed_total") == float(done) and (
        _sum(monitoring, "fragrance_jobs_arrived_total") == float(done)
    )


def _wait_for_scrapes(monitoring: Monitoring) -> None:
    """
    Wait for a scrape of every target that began after all that was done had come there.

    The application's counts say nothing of the Celery exporter's, which hears of a task by
    an event on a way of its own.
    """
    since = time.time() + EVENT_SECONDS
    wait_until(
        lambda: all(
            float(sample["value"][1]) > since
            for sample in monitoring.ask('timestamp(up{job=~"app|worker-.*|celery-exporter"})')
        ),
        60,
        "everything was scraped since",
    )


def _monitoring_services(stack: ComposeStack) -> set[str]:
    everything = set(stack.compose("config", "--services", profiles="monitoring").stdout.split())
    return everything - set(stack.compose("config", "--services", profiles="").stdout.split())


def _gateway(stack: ComposeStack) -> str:
    (container,) = stack.containers("alertmanager")
    networks = container["NetworkSettings"]["Networks"]
    return str(networks[f"{stack.name}_monitoring"]["Gateway"])


@contextlib.contextmanager
def _receivers(stack: ComposeStack, address: str) -> Iterator[None]:
    """Give the Alertmanager a receiver of each kind while the block runs."""
    given = {
        "alert_webhook_url": f"{address}/alerts?token=not-to-be-seen",
        "alert_slack_url": f"{address}/slack?token=not-to-be-seen",
        "alert_pagerduty_key": "a-routing-key",
    }
    restart = ("up", "--detach", "--wait", "--no-deps", "--force-recreate", "alertmanager")
    for name, text in given.items():
        secret = stack.directory / "secrets" / name
        secret.chmod(0o644)
        secret.write_text(text)
    try:
        stack.compose(*restart, environment={"ALERT_PAGERDUTY_URL": f"{address}/pagerduty"})
        yield
    finally:
        for name in given:
            secret = stack.directory / "secrets" / name
            secret.write_text("")
            secret.chmod(0o444)
        stack.compose(*restart)


@contextlib.contextmanager
def _receiver() -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """Listen for alerts and keep what comes."""
    received: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            received.append(json.loads(self.rfile.read(length)))
            # PagerDuty accepts; the others say that it is well.
            self.send_response(202 if self.path.startswith("/pagerduty") else 200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}" if self.path.startswith("/pagerduty") else b"ok")

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with socketserver.ThreadingTCPServer(("", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server.server_address[1], received
        finally:
            server.shutdown()
            thread.join(5)
