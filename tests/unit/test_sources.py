"""Sources without servers: what they understand, and how long they wait."""

from __future__ import annotations

import json
import math
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.domain.readings import Misuse
from console.domain.services import ReplicaFact, ReplicaState, Role, ServiceFact, Topology
from console.errors import NotSupported, Unreachable
from console.sources.addresses import resolve
from console.sources.broker_messages import decode_heartbeat, enqueued_at
from console.sources.broker_places import PRIORITY_SEPARATOR, parse_place
from console.sources.host import HostSource
from console.sources.http import HttpReader
from console.sources.probes import ProbeSource
from console.sources.runtime_state import RuntimeSource
from console.sources.scrape import ScrapeSource, parse_counters
from tests.fakes.runtime import FakeRuntime

PAGE = """\
# HELP http_requests_total Requests.
# TYPE http_requests_total counter
http_requests_total{method="GET",path="/v1/jobs/{job_id}",status="200"} 90.0
http_requests_total{method="POST",path="/v1/briefs",status="202"} 7.0
http_requests_total{method="POST",path="/v1/briefs",status="503"} 3.0
http_requests_total{method="GET",path="/ready",status="503"} 5000.0
# TYPE http_request_duration_seconds histogram
http_request_duration_seconds_bucket{method="GET",path="/v1/jobs",le="0.1"} 60.0
http_request_duration_seconds_bucket{method="GET",path="/v1/jobs",le="+Inf"} 90.0
http_request_duration_seconds_bucket{method="POST",path="/v1/briefs",le="0.1"} 5.0
http_request_duration_seconds_bucket{method="POST",path="/v1/briefs",le="+Inf"} 10.0
http_request_duration_seconds_bucket{method="GET",path="/ready",le="0.1"} 5000.0
http_request_duration_seconds_bucket{method="GET",path="/ready",le="+Inf"} 5000.0
http_requests_in_flight 2.0
api_keys_refused_total 7.0
rate_limited_requests_total 2.0
oversized_requests_total 1.0
process_cpu_seconds_total 12.5
"""

Respond = Callable[[BaseHTTPRequestHandler], None]


class Site:
    """A small HTTP server of the test; *respond* decides what it says."""

    def __init__(self, respond: Respond) -> None:
        site = self
        self.connections: set[tuple[str, int]] = set()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                site.connections.add(self.client_address)
                respond(self)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self.thread.start()

    def url(self, path: str = "/ready") -> str:
        return f"http://127.0.0.1:{self.server.server_port}{path}"

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


def say(status: int, body: bytes) -> Respond:
    def respond(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return respond


@pytest.fixture
def site() -> Iterator[Callable[[Respond], Site]]:
    sites: list[Site] = []

    def make(respond: Respond) -> Site:
        sites.append(Site(respond))
        return sites[-1]

    yield make
    for made in sites:
        made.close()


def app(*urls: str, metrics: bool = False) -> Topology:
    replicas = tuple(
        ReplicaFact(
            id=f"app-{n}",
            name=f"app-{n}",
            state=ReplicaState.RUNNING,
            health_url=None if metrics else url,
            metrics_url=url if metrics else None,
        )
        for n, url in enumerate(urls, 1)
    )
    return Topology(True, (ServiceFact("app", Role.APP, len(replicas), replicas),))


class TestProbes:
    def test_ready_and_not_ready_are_told_apart_with_the_reason(
        self, site: Callable[[Respond], Site]
    ) -> None:
        good = site(say(200, b'{"status":"ready"}'))
        bad = site(say(503, b'{"status":"unavailable","reason":"database does not answer"}'))
        source = ProbeSource()

        probes = source.read(app(good.url(), bad.url())).probes
        source.close()

        assert probes["app-1"].ok
        assert not probes["app-2"].ok
        assert probes["app-2"].reason == "ready: database does not answer"

    def test_nobody_listening_is_said_in_words(self) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            source = ProbeSource()
            probe = source.read(app(f"http://127.0.0.1:{taken.getsockname()[1]}/ready")).probes
            source.close()

        assert probe["app-1"].reason == "probe: connection refused"

    def test_output_carries_no_control_characters_and_no_end(
        self, site: Callable[[Respond], Site]
    ) -> None:
        loud = site(say(500, b"\x1b[31mred\x07" + b"x" * 100_000))
        source = ProbeSource()

        probe = source.read(app(loud.url())).probes["app-1"]
        source.close()

        assert probe.output.isprintable()
        assert len(probe.output) <= 500

    def test_without_a_topology_there_is_nothing_to_ask(self) -> None:
        with pytest.raises(Unreachable, match="not known yet"):
            ProbeSource().read(None)


class TestHttpReader:
    def test_connections_are_kept_between_reads(self, site: Callable[[Respond], Site]) -> None:
        server = site(say(200, b"ok"))
        reader = HttpReader(2.0, 1000)

        answers = [reader.fetch({"a": server.url()})["a"].status for _ in range(5)]
        reader.close()

        assert answers == [200] * 5
        assert len(server.connections) == 1

    def test_a_connection_that_was_closed_meanwhile_is_opened_again(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:

            def answer_and_hang_up() -> None:
                for _ in range(2):
                    connection, _ = server.accept()
                    with connection:
                        connection.recv(4096)
                        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

            thread = threading.Thread(target=answer_and_hang_up)
            thread.start()
            reader = HttpReader(2.0, 1000)
            url = f"http://127.0.0.1:{server.getsockname()[1]}/ready"

            answers = [reader.fetch({"a": url})["a"] for _ in range(2)]
            reader.close()
            thread.join()

        assert [(answer.status, answer.body) for answer in answers] == [(200, b"ok")] * 2

    def test_one_that_hangs_holds_up_no_other_and_nobody_longer_than_the_timeout(
        self, site: Callable[[Respond], Site]
    ) -> None:
        done = threading.Event()
        hanging = site(lambda handler: (done.wait(60), None)[1])
        good = site(say(200, b"ok"))
        reader = HttpReader(0.3, 1000)

        begun = time.monotonic()
        answers = reader.fetch({"bad": hanging.url(), "good": good.url()})
        took = time.monotonic() - begun
        done.set()
        reader.close()

        assert answers["good"].status == 200
        assert answers["bad"].error == "no answer within 0.3 s"
        assert took < 10

    def test_a_byte_at_a_time_is_no_way_around_the_timeout(
        self, site: Callable[[Respond], Site]
    ) -> None:
        def drip(handler: BaseHTTPRequestHandler) -> None:
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
            try:
                for _ in range(1000):
                    handler.wfile.write(b".")
                    handler.wfile.flush()
                    time.sleep(0.05)
            except OSError:
                return

        slow = site(drip)
        reader = HttpReader(0.4, 10_000)

        begun = time.monotonic()
        answer = reader.fetch({"a": slow.url()})["a"]
        reader.close()

        assert answer.error == "no answer within 0.4 s"
        assert time.monotonic() - begun < 10

    @pytest.mark.parametrize("url", ["https://127.0.0.1/", "file:///etc/passwd", ""])
    def test_only_plain_http_is_asked(self, url: str) -> None:
        reader = HttpReader(0.5, 100)

        answer = reader.fetch({"a": url})["a"]
        reader.close()

        assert answer.status is None
        assert answer.error.startswith("cannot ask")


class TestScrape:
    def test_counters_are_sums_without_the_probes(self) -> None:
        counters = parse_counters(PAGE)

        assert counters is not None
        assert (counters.requests, counters.errors, counters.in_flight) == (100, 3, 2)
        assert counters.misuse == Misuse(keys_refused=7, rate_limited=2, oversized=1)
        assert counters.buckets == ((0.1, 65.0), (math.inf, 100.0))

    def test_it_agrees_with_the_reference_parser(self) -> None:
        from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
        from prometheus_client.parser import text_string_to_metric_families

        registry = CollectorRegistry()
        requests = Counter("http_requests", "R", ["method", "path", "status"], registry=registry)
        seconds = Histogram("http_request_duration_seconds", "D", ["path"], registry=registry)
        for n in range(30):
            requests.labels("GET", f'/odd"{n % 3}\\\n,path="/ready', f"{200 + 100 * (n % 4)}").inc(
                n
            )
            seconds.labels("/v1").observe(0.01 * n)
        page = generate_latest(registry).decode()
        samples = [s for f in text_string_to_metric_families(page) for s in f.samples]

        counters = parse_counters(page)

        assert counters is not None
        totals = [s for s in samples if s.name == "http_requests_total"]
        assert counters.requests == sum(s.value for s in totals)
        assert counters.errors == sum(s.value for s in totals if s.labels["status"] == "500")
        assert counters.buckets[-1] == (math.inf, 30.0)

    def test_a_fresh_process_shows_0_and_a_strange_one_nothing(self) -> None:
        fresh = parse_counters("# HELP http_requests_total R\n# TYPE http_requests_total counter\n")

        assert fresh is not None
        assert (fresh.requests, fresh.buckets) == (0, ())
        assert parse_counters("up 1\n") is None

    @given(st.text())
    def test_no_page_breaks_it(self, page: str) -> None:
        parse_counters(page)

    def test_one_replica_that_does_not_answer_takes_no_other_with_it(
        self, site: Callable[[Respond], Site]
    ) -> None:
        good, bad = site(say(200, PAGE.encode())), site(say(500, b""))
        source = ScrapeSource()

        reading = source.read(app(good.url("/metrics"), bad.url("/metrics"), metrics=True))
        with pytest.raises(Unreachable, match="answers 500"):
            source.read(app(bad.url("/metrics"), metrics=True))
        source.close()

        assert set(reading.counters) == {"app-1"}

    def test_without_an_address_it_is_not_configured(self) -> None:
        with pytest.raises(NotSupported):
            ScrapeSource().read(app())


class TestBroker:
    def test_the_time_of_a_message_is_its_header(self) -> None:
        message = {"body": "x" * 1000, "headers": {"enqueued_at": 1_700_000_000.5, "id": "1"}}

        assert enqueued_at(json.dumps(message).encode()) == datetime.fromtimestamp(
            1_700_000_000.5, UTC
        )

    @pytest.mark.parametrize(
        "message",
        [
            None,
            b"",
            b"not json",
            b"[]",
            b"{}",
            b'{"headers": null}',
            b'{"headers": {}}',
            b'{"headers": {"enqueued_at": "yesterday"}}',
            b'{"headers": {"enqueued_at": true}}',
            b'{"headers": {"enqueued_at": -5}}',
            b'{"headers": {"enqueued_at": 1e300}}',
        ],
    )
    def test_where_there_is_none_it_is_unknown(self, message: bytes | None) -> None:
        assert enqueued_at(message) is None

    @given(st.binary())
    def test_no_heartbeat_breaks_it(self, raw: bytes) -> None:
        assert decode_heartbeat(raw) is None

    @pytest.mark.parametrize(
        ("label", "database", "unacked", "lists"),
        [
            ("", 0, "unacked", 4),
            ("database=1 unacked=unacked steps=0,3,6,9", 1, "unacked", 4),
            ("database=2;unacked=u;steps=0,3", 2, "u", 2),
            ("what?", 0, "unacked", 4),
            ("database=many steps=", 0, "unacked", 4),
        ],
    )
    def test_a_queue_lies_where_its_label_says(
        self, label: str, database: int, unacked: str, lists: int
    ) -> None:
        place = parse_place("llm", label)

        assert (place.database, place.unacked_key, len(place.lists)) == (database, unacked, lists)
        assert place.lists[0] == "llm"
        assert place.lists[1].startswith(f"llm{PRIORITY_SEPARATOR}")


class TestOthers:
    def test_the_host_knows_its_disk_before_the_state_exists(self, tmp_path: Path) -> None:
        source = HostSource(tmp_path / "not" / "yet")

        first, second = source.read(None), source.read(None)

        assert first.cpu_ratio is None
        assert second.cpu_ratio is not None
        assert 0 < second.disk_ratio < 1
        assert 0 < second.memory_ratio < 1
        assert second.disk_free_bytes > 0

    def test_statistics_of_the_dead_are_not_kept(self) -> None:
        runtime = FakeRuntime()
        source = RuntimeSource(runtime)
        assert "app-1" in source.read(None).stats

        runtime.crash("app-1")

        assert "app-1" not in source.read(None).stats

    def test_an_address_needs_no_resolver_and_a_wrong_name_is_said(self) -> None:
        assert resolve("127.0.0.1", 0.001) == "127.0.0.1"
        with pytest.raises(Unreachable, match="does not resolve"):
            resolve("nothing.invalid", 1.0)
