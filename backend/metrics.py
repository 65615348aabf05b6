"""What the application counts; names are fixed, dashboards and alert rules use them."""

from __future__ import annotations

from prometheus_client import REGISTRY, Counter, Gauge, Histogram, disable_created_metrics

from backend.contracts.tasks import Queue
from backend.contracts.traffic import NetworkTraffic

# A second series per counter that nothing here reads.
REGISTRY.register(NetworkTraffic())
disable_created_metrics()  # type: ignore[no-untyped-call] # prometheus_client leaves it untyped

BUCKETS_SECONDS = (
    0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.5, 5.0, 10.0, 30.0, 60.0
)  # fmt: skip

REQUESTS = Counter(
    "http_requests_total",
    "Requests answered, by template path and status.",
    ("method", "path", "status"),
)
REQUEST_SECONDS = Histogram(
    "http_request_duration_seconds",
    "Time to the end of the answer; to its beginning for event streams.",
    ("method", "path"),
    buckets=BUCKETS_SECONDS,
)
IN_FLIGHT = Gauge("http_requests_in_flight", "Requests being answered now.")
QUEUE_SIZE = Gauge("queue_size", "Tasks waiting on the broker.", ("queue",))
DATABASE_POOL_IN_USE = Gauge("database_pool_in_use", "Connections of this replica in use.")
DATABASE_POOL_SIZE = Gauge("database_pool_size", "Connections this replica may hold at most.")
KEYS_REFUSED = Counter("api_keys_refused_total", "Requests with a missing or wrong API key.")
RATE_LIMITED = Counter("rate_limited_requests_total", "Requests over their key's rate limit.")
RATE_LIMIT_OPEN = Counter(
    "rate_limit_failed_open_total", "Requests let through because the limit could not be read."
)
OVERSIZED = Counter("oversized_requests_total", "Requests with a body over the limit.")
PUBLISHED = Counter("jobs_published_total", "Jobs put on the broker.", ("queue", "how"))
PUBLISH_FAILED = Counter("jobs_publish_failed_total", "Jobs kept for later.", ("queue",))
for _queue in Queue:  # shown before the first failure
    PUBLISH_FAILED.labels(_queue.value)
CIRCUIT_OPEN = Gauge("circuit_open", "1 while a dependency is given a rest.", ("dependency",))
