"""The real agent scales the real workers by itself, within the policy's bounds, on the record."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from console.bootstrap import build_engine
from console.settings import load_settings
from tests.stack import Stack, wait_for

pytestmark = pytest.mark.stack

#: One waiting brief is a backlog here, and patience is none, so that nothing is timed.
POLICY = """
scale:
  app: {minimum: 1, maximum: 2}
  worker-llm: {minimum: 1, maximum: 2, triggers: {queue_depth: 0.5}}
autoscale:
  up_after_seconds: 0
  up_cooldown_seconds: 0
  down_after_seconds: 86400
"""


class OtherPolicy(Stack):
    """A stack whose policy file is the test's own."""

    def command(self, *arguments: str) -> list[str]:
        return [*super().command(*arguments), "--file", str(self.state.parent / "compose.yaml")]

    def tell_worker(self, word: str, replica: str) -> None:
        """Let a worker drain or take tasks again, by the product's own command."""
        engine = build_engine(
            load_settings(state=str(self.state), file=str(self.state.parent / "compose.yaml"))
        )
        done = engine.runtime.exec(replica, ["python", "-m", "workers", word, replica], 60)
        assert done.exit_code == 0, done.output

    def decision(self) -> dict[str, Any]:
        """Return what ``autoscale status`` says of worker-llm."""
        told = self.json("autoscale", "status", "worker-llm")
        value: dict[str, Any] = told["services"][0]
        return value


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[OtherPolicy]:
    (tmp_path / "compose.yaml").write_text("services: {}\n")
    (tmp_path / "console.yaml").write_text(POLICY)
    running = OtherPolicy(tmp_path / "state")
    try:
        started = running.fragrance("start", "--detach", timeout=180)
        assert started.returncode == 0, started.stderr
        yield running
    finally:
        running.close()
        running.fragrance("stop", timeout=120)


def test_a_backlog_lets_the_agent_scale_by_itself_and_never_above_the_maximum(
    stack: OtherPolicy,
) -> None:
    refused = stack.fragrance(
        *("autoscale", "on", "worker-llm", "--yes", "--reason", "test"), APP_ENV="prod"
    )
    assert refused.returncode == 3, refused.stderr
    assert "elevate" in refused.stderr
    assert stack.decision()["on"] is False

    stack.tell_worker("drain", "worker-llm-1")
    jobs = [stack.post_brief(f"brief {n}: fig and salt") for n in range(3)]
    on = stack.fragrance("autoscale", "on", "worker-llm", "--yes", "--reason", "quiet night")
    assert on.returncode == 0, on.stderr

    stack.wait_ready("worker-llm", 2, 180)
    assert {stack.wait_job(job, 180)["state"] for job in jobs} == {"succeeded"}
    [operation] = wait_for(
        lambda: [o for o in stack.json("operations", "list") if o["state"] == "done"],
        60,
        "the scaling is not done",
    )
    assert (operation["verb"], operation["summary"]) == ("scale", "worker-llm 1 → 2")
    assert operation["actor"] == "autoscaler"
    assert operation["reason"].startswith("autoscale: scale up: 3 tasks wait")

    stack.tell_worker("drain", "worker-llm-2")
    more = [stack.post_brief(f"brief {n}: oak and rain") for n in range(2)]
    held = wait_for(
        lambda: (lambda d: d if "maximum of 2" in d["decision"]["reason"] else None)(
            stack.decision()
        ),
        60,
        "the autoscaler does not see its maximum",
    )
    assert held["decision"]["action"] == "hold"
    assert (held["on"], held["reason"]) == (True, "quiet night")
    assert len(stack.replicas("worker-llm")) == 2

    off = stack.fragrance("autoscale", "off", "--yes", "--reason", "enough")
    assert off.returncode == 0, off.stderr
    assert stack.decision()["on"] is False
    stack.tell_worker("undrain", "worker-llm-1")
    assert {stack.wait_job(job, 180)["state"] for job in more} == {"succeeded"}

    entries = stack.json("audit", "show")
    told = [(e["actor"]["user"], e["what"], e["outcome"]) for e in entries]
    assert ("autoscaler", "scale worker-llm 1 → 2", "done") in told
    assert [outcome for _, what, outcome in told if what == "autoscale worker-llm"] == ["off", "on"]
    assert stack.json("audit", "verify")["valid"] is True
    assert len(stack.json("operations", "list")) == 1
