"""Rates and percentiles over a minute, from counters that restarts set back."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.domain.metrics import increase, quantile
from console.domain.readings import (
    BrokerReading,
    Misuse,
    QueueReading,
    RequestCounters,
    ScrapeReading,
)
from console.domain.windows import Windows

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def counters(requests: float, errors: float = 0, slow: float = 0) -> RequestCounters:
    buckets = ((0.1, requests - slow), (1.0, requests), (math.inf, requests))
    return RequestCounters(requests, errors, buckets)


def after(*samples: tuple[float, dict[str, RequestCounters]]) -> Windows:
    windows = Windows()
    for seconds, shown in samples:
        windows = windows.with_scrape(ScrapeReading(shown), at(seconds))
    return windows


def test_one_scrape_tells_no_rate() -> None:
    assert after((0, {"app-1": counters(100)})).request_figures(at(0)).request_rate is None


def test_rates_are_sums_over_replicas() -> None:
    windows = after(
        (0, {"app-1": counters(0), "app-2": counters(1000)}),
        (10, {"app-1": counters(50, errors=5), "app-2": counters(1050)}),
    )

    figures = windows.request_figures(at(10))

    assert figures.request_rate == 10
    assert figures.error_ratio == 0.05
    assert figures.p50_seconds == pytest.approx(0.05)


def test_a_quiet_minute_has_a_rate_but_no_percentiles() -> None:
    figures = after((0, {"a": counters(7)}), (30, {"a": counters(7)})).request_figures(at(30))

    assert figures.request_rate == 0
    assert (figures.error_ratio, figures.p95_seconds) == (None, None)


def test_a_restart_of_a_replica_loses_no_request_and_makes_none_negative() -> None:
    windows = after(
        (0, {"a": counters(1000, errors=10)}),
        (10, {"a": counters(1010, errors=10)}),
        (20, {"a": counters(30, errors=3)}),
    )

    figures = windows.request_figures(at(20))

    assert figures.request_rate == 2  # 10 before, 30 after the restart, in 20 s
    assert figures.error_ratio == pytest.approx(3 / 40)


def test_figures_end_a_minute_after_the_last_scrape() -> None:
    windows = after((0, {"a": counters(0)}), (10, {"a": counters(10)}))

    assert windows.request_figures(at(59)).request_rate is not None
    assert windows.request_figures(at(71)).request_rate is None


def test_memory_is_bounded_to_the_window() -> None:
    windows = after(*[(2.0 * n, {"a": counters(n)}) for n in range(200)])

    assert len(windows.counters["a"]) <= 31


def test_percentiles_use_the_bounds_that_all_replicas_have() -> None:
    other = RequestCounters(10, 0, ((0.5, 5.0), (1.0, 10.0), (math.inf, 10.0)))
    empty = RequestCounters(0, 0, ((0.5, 0.0), (1.0, 0.0), (math.inf, 0.0)))
    windows = after(
        (0, {"a": counters(0), "b": empty}), (10, {"a": counters(10, slow=10), "b": other})
    )

    assert windows.request_figures(at(10)).p95_seconds == pytest.approx(0.95)


def queue(arrived: int | None, completed: int | None, failed: int | None = None) -> BrokerReading:
    reading = QueueReading("llm", 0, 0, None, arrived, completed, failed)
    return BrokerReading((reading,), (), None, None)


def test_queue_rates_survive_a_broker_that_forgot_its_counters() -> None:
    windows = Windows()
    for seconds, reading in ((0, queue(100, 90)), (10, queue(110, 95)), (20, queue(4, 2))):
        windows = windows.with_broker(reading, at(seconds))

    assert windows.queue_rates("llm", at(20)) == (14 / 20, 7 / 20)


def test_a_task_that_failed_has_left_the_queue_too() -> None:
    windows = Windows()
    for seconds, reading in ((0, queue(0, 0, 0)), (10, queue(50, 10, 30))):
        windows = windows.with_broker(reading, at(seconds))

    assert windows.queue_rates("llm", at(10)) == (5.0, 4.0)


def test_queue_rates_are_unknown_where_nobody_counts() -> None:
    windows = Windows().with_broker(queue(None, None), at(0)).with_broker(queue(None, None), at(5))

    assert windows.queue_rates("llm", at(5)) == (None, None)
    assert windows.queue_rates("rl", at(5)) == (None, None)


@given(st.lists(st.integers(0, 10_000), min_size=2, max_size=40))
def test_an_adjusted_counter_never_falls_and_matches_the_increases(shown: list[int]) -> None:
    windows = after(*[(1.0 * n, {"a": counters(value)}) for n, value in enumerate(shown)])

    adjusted = [sample.requests for sample in windows.counters["a"]]

    assert adjusted == sorted(adjusted)
    expected = sum(increase(a, b) for a, b in pairwise(shown))
    assert adjusted[-1] - adjusted[0] == expected


@given(
    st.lists(st.integers(0, 100), min_size=3, max_size=10),
    st.floats(0, 1),
    st.floats(0, 1),
)
def test_quantiles_rise_with_q(counts: list[int], one: float, other: float) -> None:
    total, buckets = 0, []
    for n, count in enumerate(counts):
        total += count
        buckets.append((math.inf if n == len(counts) - 1 else 0.1 * (n + 1), float(total)))
    low, high = quantile(min(one, other), buckets), quantile(max(one, other), buckets)

    if low is None or high is None:
        assert total == 0
    else:
        assert 0 <= low <= high <= 0.1 * (len(counts) - 1) + 1e-9


def refusing(keys: float) -> RequestCounters:
    return RequestCounters(keys, 0, (), misuse=Misuse(keys_refused=keys))


def test_what_was_turned_away_is_counted_over_five_minutes_and_all_replicas() -> None:
    samples = [
        (2.0 * step, {"a": refusing(1000 + step), "b": refusing(step)}) for step in range(91)
    ]
    windows = after(*samples)

    assert windows.turned_away(at(180)) == Misuse(keys_refused=180)
    assert len(windows.misuse) <= 19  # steps, not scrapes
    later = windows.turned_away(at(420))
    assert later is not None
    assert 55 < later.keys_refused < 75  # the last minute's, and a step more
    assert windows.turned_away(at(600)) is None


def test_a_restarted_replica_and_a_new_one_make_no_burst() -> None:
    windows = after(
        (0, {"a": refusing(1000)}),
        (10, {"a": refusing(3), "new": refusing(500)}),
        (20, {"a": refusing(4), "new": refusing(500)}),
    )

    assert windows.turned_away(at(20)) == Misuse(keys_refused=4)


def test_an_application_that_counts_no_misuse_is_not_known_to_be_safe() -> None:
    windows = after((0, {"a": counters(1)}), (10, {"a": counters(9)}))

    assert windows.turned_away(at(10)) is None
