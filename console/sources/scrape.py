"""
Request counters straight from each replica's ``/metrics``.

Only the few families that are needed are parsed: a whole page through a general
parser costs more processor time than everything else the console does.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING

from console.domain.readings import Misuse, RequestCounters, ScrapeReading
from console.domain.services import ReplicaState, Role, Topology
from console.errors import NotSupported, Unreachable

if TYPE_CHECKING:
    from console.sources.http import HttpReader

TIMEOUT_SECONDS = 2.0
BODY_LIMIT_BYTES = 4 * 1024 * 1024

REQUESTS = "http_requests_total"
BUCKETS = "http_request_duration_seconds_bucket"
IN_FLIGHT = ("http_requests_in_flight", "http_requests_in_progress")
#: What is turned away, by the field of :class:`Misuse`; without labels.
MISUSE = {
    "api_keys_refused_total": "keys_refused",
    "rate_limited_requests_total": "rate_limited",
    "oversized_requests_total": "oversized",
}
_FAMILIES = ("http_request", *MISUSE)
#: Asked by machines all the time; counting them would hide what users get.
PROBE_PATHS = frozenset({"/health", "/ready", "/metrics"})

_SAMPLE = re.compile(r"^([a-zA-Z_:][\w:]*)(?:\{(.*)\})?\s+(\S+)")
_LABEL = re.compile(r'([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"')


class ScrapeSource:
    """Scrape every running replica of the applications that say where their metrics are."""

    name = "metrics"
    interval_seconds = 2.0

    @cached_property
    def _http(self) -> HttpReader:
        from console.sources.http import HttpReader

        return HttpReader(TIMEOUT_SECONDS, BODY_LIMIT_BYTES)

    def read(self, topology: Topology | None) -> ScrapeReading:
        """
        Return the counters of the replicas that answered.

        Raises:
            NotSupported: If no application says where its metrics are.
            Unreachable: While it is not known what runs, or if none answers.
        """
        if topology is None:
            raise Unreachable("it is not known yet what runs")
        scraped = [
            replica
            for service in topology.services
            # Only applications count requests; exporters are Prometheus' to scrape.
            if service.role is Role.APP
            for replica in service.replicas
            if replica.metrics_url is not None
        ]
        if not scraped:
            raise NotSupported("no application says where its metrics are (console.metrics.url)")
        addresses = {
            replica.id: replica.metrics_url or ""
            for replica in scraped
            if replica.state is ReplicaState.RUNNING
        }
        if not addresses:
            raise Unreachable("no replica with metrics runs")
        answers = self._http.fetch(addresses)
        good = {name: answer for name, answer in answers.items() if answer.status == 200}
        if not good:
            first = next(iter(answers.values()))
            raise Unreachable(f"metrics: {first.error or f'answers {first.status}'}")
        counters = {
            name: parsed
            for name, answer in good.items()
            if (parsed := parse_counters(answer.body.decode("utf-8", "replace"))) is not None
        }
        return ScrapeReading(counters)

    def close(self) -> None:
        """Close kept connections."""
        if "_http" in vars(self):
            self._http.close()


def parse_counters(page: str) -> RequestCounters | None:
    """
    Return the request counters of a page in the Prometheus text format.

    Args:
        page: The page; lines of other families are passed over unparsed.

    Returns:
        Sums over all labels without the probe paths; None when the page has no
        ``http_requests_total`` at all, not even its declaration.
    """
    declared = False
    requests = errors = 0.0
    in_flight: float | None = None
    buckets: dict[float, float] = {}
    misuse: dict[str, float] = {}
    for line in page.splitlines():
        if not line.startswith(_FAMILIES):
            declared = declared or line.startswith(("# TYPE http_requests", "# HELP http_requests"))
            continue
        for name, labels, value in _samples(line):
            if labels.get("path") in PROBE_PATHS:
                continue
            if name == REQUESTS:
                declared = True
                requests += value
                errors += value if labels.get("status", "").startswith("5") else 0.0
            elif name == BUCKETS and "le" in labels:
                bound = float(labels["le"])
                buckets[bound] = buckets.get(bound, 0.0) + value
            elif name in IN_FLIGHT:
                in_flight = (in_flight or 0.0) + value
            elif name in MISUSE:
                misuse[MISUSE[name]] = misuse.get(MISUSE[name], 0.0) + value
    if not declared:
        return None
    if buckets and math.inf not in buckets:
        buckets = {}  # not a histogram of ours; percentiles would be wrong
    return RequestCounters(
        requests,
        errors,
        tuple(sorted(buckets.items())),
        in_flight,
        Misuse(**misuse) if misuse else None,
    )


def _samples(line: str) -> Iterator[tuple[str, dict[str, str], float]]:
    match = _SAMPLE.match(line)
    if match is None:
        return
    name, labels, value = match.groups()
    try:
        number = float(value)
    except ValueError:
        return
    if math.isfinite(number):
        yield name, dict(_LABEL.findall(labels or "")), number
