"""Looking back on the real stack: a death, as the agent kept it."""

from __future__ import annotations

import json
import os
import signal
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.stack import Stack, wait_for

pytestmark = pytest.mark.stack


def told(stack: Stack, at: datetime) -> dict[str, Any] | None:
    """The replica that is killed, as it was then; None while nothing is kept of it."""
    done = stack.fragrance("status", "--json", "--at", at.isoformat())
    if done.returncode:
        assert done.returncode == 5, done.stderr
        return None
    services = json.loads(done.stdout)["services"]
    (replica,) = next(s["replicas"] for s in services if s["name"] == "worker-rl")
    found: dict[str, Any] = replica
    return found


def test_a_death_is_seen_again_and_so_is_what_was_before_it(stack: Stack) -> None:
    stack.wait_ready("worker-rl", 1)
    wait_for(lambda: told(stack, datetime.now(UTC)), 60, "the agent keeps nothing")
    before = datetime.now(UTC)
    (replica,) = stack.service("worker-rl")["replicas"]

    os.kill(replica["pid"], signal.SIGKILL)

    def known() -> bool:
        found = told(stack, datetime.now(UTC))
        return found is not None and found["restarts"] > replica["restarts"]

    wait_for(known, 60, "the death is not kept")
    then = told(stack, before)
    assert then is not None
    assert (then["pid"], then["restarts"]) == (replica["pid"], replica["restarts"])
    stack.wait_ready("worker-rl", 1)
