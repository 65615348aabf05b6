"""
What is drawn over time: each figure, how Prometheus is asked for it, and its limit.

One table for the screen, the command and the trends.  A figure has the same name here,
in the agent's history (:mod:`console.domain.figures`) and in ``metrics --json``, and
the same limit as the alert that it can raise.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from console.domain.alerting import RULES
from console.domain.policy import Policy
from console.domain.services import Role
from console.domain.snapshot import Snapshot

#: Probes are no requests of users.
_USERS = 'path!~"/health|/ready|/metrics"'
_REQUESTS = f"sum(rate(http_requests_total{{{_USERS}}}[1m]))"
_ERRORS = f'sum(rate(http_requests_total{{{_USERS},status=~"5.."}}[1m])) or 0 * {_REQUESTS}'
_BUCKETS = f"sum by (le) (rate(http_request_duration_seconds_bucket{{{_USERS}}}[1m]))"
#: Share of its limit above which a store is tight.
_TIGHT_RATIO = 0.9
_DEFAULTS = {rule.name: rule.default.threshold for rule in RULES}


class Unit(StrEnum):
    """What a figure is counted in."""

    RATE = "per second"
    RATIO = "ratio"
    SECONDS = "seconds"
    COUNT = "count"
    BYTES = "bytes"


@dataclass(frozen=True, slots=True)
class Measure:
    """
    One figure over time.

    Args:
        name: As in the agent's history.
        title: As the operator reads it.
        unit: What it is counted in.
        promql: How Prometheus is asked for it; one series or none.
        limit: Above it is trouble; None where there is no limit.
        limit_words: Whose limit that is: an alert's name, or words.
        ceiling: What it cannot exceed, for the trend; None where there is none.
    """

    name: str
    title: str
    unit: Unit
    promql: str
    limit: float | None = None
    limit_words: str = ""
    ceiling: float | None = None


@dataclass(frozen=True, slots=True)
class Curve:
    """
    One figure at even steps.

    Args:
        measure: Which figure.
        values: Oldest first; None where it is unknown, which is never 0.
        origin: ``prometheus``, or ``agent`` for the agent's own history.
    """

    measure: Measure
    values: tuple[float | None, ...]
    origin: str

    @property
    def last(self) -> float | None:
        """The present value; None when the last two steps are unknown."""
        return next((value for value in reversed(self.values[-2:]) if value is not None), None)


@dataclass(frozen=True, slots=True)
class MeasuredRange:
    """
    All figures over one range of time.

    Args:
        begin: Time of the first value, UTC.
        step_seconds: Between two values.
        curves: One for each figure, in the order in which they are listed.
        trouble: Why Prometheus did not answer; "" when it did, or there is none.
        silent_since: Since when it does not.
    """

    begin: datetime
    step_seconds: float
    curves: tuple[Curve, ...]
    trouble: str = ""
    silent_since: datetime | None = None

    @property
    def end(self) -> datetime:
        """Time of the last value."""
        count = max((len(curve.values) for curve in self.curves), default=1)
        return self.begin + timedelta(seconds=self.step_seconds * max(0, count - 1))


#: Values of a range at most; a chart has no more cells than that.
MOST_VALUES = 240
#: No source measures more often than this.
LEAST_STEP_SECONDS = 15.0


def step_of(seconds: float) -> float:
    """Return the distance of two values of a range of *seconds*."""
    return max(LEAST_STEP_SECONDS, seconds / MOST_VALUES)


def measures_of(
    snapshot: Snapshot | None, policy: Policy, queues: Sequence[str] = ()
) -> tuple[Measure, ...]:
    """
    Return every figure there is to draw, those of users first.

    Args:
        snapshot: Names the queues and the limits of the stores; None: not known yet.
        policy: Thresholds.
        queues: Names of queues where no snapshot gives them.
    """
    names = queues if snapshot is None else [queue.name for queue in snapshot.queues]
    return (
        Measure("request_rate", "Requests", Unit.RATE, _REQUESTS),
        Measure(
            "error_ratio",
            "Errors (5xx)",
            Unit.RATIO,
            f"({_ERRORS}) / ({_REQUESTS} > 0)",
            *_alert("HighErrorRate", policy),
        ),
        Measure(
            "p95_seconds",
            "p95",
            Unit.SECONDS,
            f"histogram_quantile(0.95, {_BUCKETS})",
            *_alert("HighResponseTime", policy),
        ),
        *_of_queues(names, policy),
        *_of_stores(snapshot, policy),
        *_of_replicas(snapshot, policy),
        Measure("host_cpu_ratio", "CPU", Unit.RATIO, "max(fragrance:host_cpu:ratio)"),
        Measure(
            "host_memory_ratio",
            "Memory",
            Unit.RATIO,
            "max(fragrance:host_memory:ratio)",
            *_alert("MemoryUse", policy),
            ceiling=1.0,
        ),
        Measure(
            "host_disk_ratio",
            "Disk",
            Unit.RATIO,
            "max(fragrance:host_disk:ratio)",
            *_alert("DiskSpace", policy),
            ceiling=1.0,
        ),
    )


def _alert(name: str, policy: Policy) -> tuple[float, str]:
    limit = policy.alerts.get(name)
    return (_DEFAULTS[name] if limit is None else limit.threshold), name


def _of_queues(names: Iterable[str], policy: Policy) -> list[Measure]:
    found = []
    for name in names:
        chosen = f'{{queue_name="{quoted(name)}"}}'
        done, failed, received = (
            f"sum(rate(celery_task_{word}_total{chosen}[1m]))"
            for word in ("succeeded", "failed", "received")
        )
        taken, ended = (f"sum(rate(celery_task_runtime_{w}{chosen}[5m]))" for w in ("sum", "count"))
        found += [
            Measure(
                f"queue.{name}.depth",
                f"Queue {name}",
                Unit.COUNT,
                f"sum(celery_queue_length{chosen})",
                *_alert("WorkerQueueBacklog", policy),
            ),
            Measure(
                f"queue.{name}.completed_per_second",
                f"Tasks done {name}",
                Unit.RATE,
                done,
            ),
            Measure(
                f"queue.{name}.failed_per_second",
                f"Tasks failed {name}",
                Unit.RATE,
                f"{failed} or 0 * {received}",
            ),
            Measure(
                f"queue.{name}.seconds_per_task",
                f"Time a task {name}",
                Unit.SECONDS,
                f"{taken} / ({ended} > 0)",
            ),
        ]
    return found


def _of_stores(snapshot: Snapshot | None, policy: Policy) -> tuple[Measure, Measure]:
    most = None if snapshot is None else snapshot.metrics.database_connections_max
    share, words = _alert("DatabaseConnectionPoolExhausted", policy)
    brokers = [] if snapshot is None else [s for s in snapshot.services if s.role is Role.BROKER]
    memory = next((s.memory_limit_bytes for s in brokers if s.memory_limit_bytes), None)
    return (
        Measure(
            "database_connections",
            "DB connections",
            Unit.COUNT,
            "sum(pg_stat_database_numbackends)",
            None if most is None else share * most,
            words,
            ceiling=most,
        ),
        Measure(
            "redis_memory_bytes",
            "Redis memory",
            Unit.BYTES,
            "max(redis_memory_used_bytes)",
            None if memory is None else _TIGHT_RATIO * memory,
            "90 % of its limit",
            ceiling=memory,
        ),
    )


def _of_replicas(snapshot: Snapshot | None, policy: Policy) -> list[Measure]:
    """Return how many replicas work, of what can be scaled: when is there room for no more?"""
    names = policy.scale if snapshot is None else [s.name for s in snapshot.services]
    return [
        Measure(
            f"service.{name}.ready",
            f"Replicas {name}",
            Unit.COUNT,
            f'sum(up{{job="{quoted(name)}"}})',
            ceiling=policy.scale[name].maximum,
        )
        for name in names
        if name in policy.scale
    ]


def quoted(text: str) -> str:
    """Return *text* as it stands between the quotes of a label in PromQL."""
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
