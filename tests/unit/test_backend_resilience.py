"""The circuit breaker and the health watch."""

from __future__ import annotations

import asyncio
import time

import pytest

from backend.services import health
from backend.services.health import Watch
from backend.services.resilience import DependencyUnavailable, Guard


class Flaky:
    """A dependency that can be broken, and counts how often it was bothered."""

    def __init__(self) -> None:
        self.broken, self.calls = False, 0

    async def call(self) -> str:
        self.calls += 1
        if self.broken:
            raise ConnectionError("no route")
        return "answer"


async def test_a_dependency_that_keeps_failing_is_left_alone_and_tried_again_later() -> None:
    dependency = Flaky()
    guard = Guard("thing", (ConnectionError,), threshold=3, rest_seconds=0.1)
    assert await guard.call(dependency.call) == "answer"
    dependency.broken = True
    for _ in range(10):
        with pytest.raises(DependencyUnavailable):
            await guard.call(dependency.call)
    assert dependency.calls == 1 + 3
    dependency.broken = False
    deadline = time.monotonic() + 5
    while True:
        try:
            assert await guard.call(dependency.call) == "answer"
            break
        except DependencyUnavailable:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)


async def test_an_error_of_the_request_says_nothing_about_the_dependency() -> None:
    guard = Guard("thing", (ConnectionError,), threshold=1)

    async def wrong_request() -> None:
        raise KeyError("x")

    for _ in range(3):
        with pytest.raises(KeyError):
            await guard.call(wrong_request)
    assert await guard.call(Flaky().call) == "answer"


async def test_a_probe_that_hangs_is_unhealthy_and_not_started_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(health, "PROBE_TIMEOUT_SECONDS", 0.02)
    started, release = 0, asyncio.Event()

    async def hang() -> None:
        nonlocal started
        started += 1
        await release.wait()

    watch = Watch("thing", hang)
    assert watch.finding().health == "unknown"
    await watch.look()
    await watch.look()
    assert watch.finding().health == "unhealthy"
    assert started == 1
    release.set()
    await watch.look()
    assert watch.finding().health == "healthy"


async def test_a_finding_grows_old_and_then_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    watch = Watch("thing", Flaky().call)
    await watch.look()
    assert watch.finding().value == "answer"
    monkeypatch.setattr(health, "STALE_AFTER_SECONDS", -1.0)
    assert watch.finding().health == "unknown"
    assert watch.finding().value is None
