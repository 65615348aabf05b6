"""Scaling the real stack: nothing lost, nothing twice, and bad wishes change nothing."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.stack import PROJECT, Stack, wait_for

pytestmark = pytest.mark.stack


def attempts(stack: Stack, jobs: list[str]) -> dict[str, int]:
    quoted = ",".join(f"'{job}'" for job in jobs)
    return dict(stack.query(f"select id::text, attempts from jobs where id::text in ({quoted})"))


def test_scaling_up_and_down_loses_no_brief_and_runs_none_twice(stack: Stack) -> None:
    jobs = [stack.post_brief(f"brief number {n}: green tea and cedar") for n in range(200)]

    up = stack.fragrance(
        "scale", "worker-llm=3", "--yes", "--reason", "backlog", "--json", timeout=180
    )
    events = [json.loads(line) for line in up.stdout.splitlines()]

    assert up.returncode == 0, up.stderr
    assert events[0]["event"] == "plan"
    assert events[-1]["event"] == "end"
    assert events[-1]["outcome"] == "done"
    assert events[-1]["verified"] is True
    assert stack.replicas("worker-llm") == ["worker-llm-1", "worker-llm-2", "worker-llm-3"]
    queue = next(q for q in stack.status()["queues"] if q["name"] == "llm")
    assert queue["workers"] == 3

    more = [stack.post_brief(f"late brief {n}: leather and smoke") for n in range(100)]
    down = stack.fragrance("scale", "worker-llm=1", "--yes", "--reason", "quiet", timeout=240)
    assert down.returncode == 0, down.stderr
    assert len(stack.replicas("worker-llm")) == 1

    finished = [stack.wait_job(job, 300) for job in jobs + more]
    assert {job["state"] for job in finished} == {"succeeded"}
    assert set(attempts(stack, jobs + more).values()) == {1}
    [(formulas, distinct)] = stack.query(
        "select count(*), count(distinct job_id) from formulas where job_id is not null"
    )
    assert formulas == distinct
    shown = stack.json("operations", "show", events[-1]["operation_id"])
    assert shown["before"]["worker-llm"]["replicas"] == 1
    assert set(shown["before"]["worker-llm"]) >= {"queue_depth", "wait_seconds", "cpu_ratio"}
    last = stack.json("operations", "list")[0]["id"]
    assert stack.json("operations", "show", last)["settling"]["state"] == "settling"
    assert last in shown["settling"]["words"]
    audit = stack.json("audit", "verify")
    assert audit["valid"] is True


@pytest.mark.parametrize(
    ("wish", "code", "says"),
    [
        ("nonsense=2", 2, "nonsense"),
        ("worker-llm=-1", 2, "-1"),
        ("worker-llm=x", 2, "x"),
        ("worker-llm=", 2, "worker-llm"),
        ("worker-llm=11", 3, "10"),
        ("app=17", 3, "16"),
        ("app=0", 3, "1"),
        ("postgres=2", 3, "postgres"),
    ],
)
def test_a_bad_wish_is_refused_and_changes_nothing(
    stack: Stack, wish: str, code: int, says: str
) -> None:
    before = {s["name"]: s["desired"] for s in stack.status()["services"]}
    operations = len(stack.json("operations", "list"))

    done = stack.fragrance("scale", wish, "--yes", "--reason", "test")

    assert done.returncode == code, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert {s["name"]: s["desired"] for s in stack.status()["services"]} == before
    assert len(stack.json("operations", "list")) == operations


def test_a_scale_that_the_memory_does_not_allow_is_refused(stack: Stack, tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text("services: {}\n")
    (tmp_path / "console.yaml").write_text("memory_reserve_ratio: 0.99\n")
    before = stack.replicas("worker-llm")

    done = stack.fragrance(
        *("--file", str(tmp_path / "compose.yaml"), "scale", "worker-llm=2"),
        *("--yes", "--reason", "test"),
    )

    assert done.returncode == 3, done.stderr
    assert "memory" in done.stderr
    assert "unchanged: nothing was changed" in done.stderr
    assert stack.replicas("worker-llm") == before


def test_without_terminal_and_without_yes_it_is_a_usage_error(stack: Stack) -> None:
    done = stack.fragrance("scale", "worker-llm=2", "--reason", "test")

    assert done.returncode == 2
    assert "--yes" in done.stderr


def test_a_service_without_a_number_is_advised_about_and_nothing_changes(stack: Stack) -> None:
    operations = len(stack.json("operations", "list"))

    one = stack.fragrance("scale", "worker-llm")
    every = stack.json("scale", "--advice")
    mixed = stack.fragrance("scale", "worker-llm", "app=2", "--yes", "--reason", "test")

    assert one.returncode == 0, one.stderr
    assert one.stdout.startswith("worker-llm 1")
    assert "capacity one more needs" in one.stdout
    assert [a["service"] for a in every["advice"]] == ["app", "worker-llm", "worker-rl"]
    assert {t["name"] for t in every["advice"][0]["triggers"]} == {
        "p95_seconds",
        "requests_in_flight",
        "cpu_ratio",
    }
    assert mixed.returncode == 2
    assert len(stack.json("operations", "list")) == operations


def test_a_dry_run_shows_the_commands_and_changes_nothing(stack: Stack) -> None:
    operations = len(stack.json("operations", "list"))

    done = stack.fragrance("scale", "worker-llm=2", "--dry-run", "--json")

    plan = json.loads(done.stdout.splitlines()[0])
    assert done.returncode == 0
    # The lowest free number: which one that is depends on which worker was idlest before.
    new = next(n for n in (1, 2) if f"worker-llm-{n}" not in stack.replicas("worker-llm"))
    names = [f"start-worker-llm-{new}", f"gate-worker-llm-{new}"]
    assert [step["name"] for step in plan["steps"]] == names
    assert all(step["command"] for step in plan["steps"])
    assert plan["undo"]
    assert len(stack.json("operations", "list")) == operations


def test_of_two_scales_in_the_same_moment_one_runs_and_one_is_told(stack: Stack) -> None:
    stack.wait_ready("worker-llm", 1)
    both = [
        subprocess.Popen(
            stack.command("scale", wish, "--yes", "--reason", "race"),
            cwd=PROJECT,
            env=stack.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for wish in ("worker-llm=2", "worker-rl=2")
    ]
    results = [(p.communicate(timeout=180)[1], p.returncode) for p in both]

    assert sorted(code for _, code in results) == [0, 3], results
    refusal = next(text for text, code in results if code == 3)
    assert " by " in refusal
    assert "fragrance operations follow" in refusal
    for name in ("worker-llm", "worker-rl"):
        if len(stack.replicas(name)) == 2:
            back = stack.fragrance("scale", f"{name}=1", "--yes", "--reason", "back", timeout=180)
            assert back.returncode == 0, back.stderr
        stack.wait_ready(name, 1)


def test_production_is_read_only_until_elevated(stack: Stack) -> None:
    production = Stack(stack.state, {"APP_ENV": "prod"})

    refused = production.fragrance("scale", "worker-llm=2", "--yes", "--reason", "test")
    assert refused.returncode == 3
    assert "fragrance elevate" in refused.stderr

    raised = production.fragrance("elevate", "--minutes", "5", "--reason", "test", "--yes")
    assert raised.returncode == 0, raised.stderr
    allowed = production.fragrance("scale", "worker-llm=2", "--dry-run")
    assert allowed.returncode == 0, allowed.stderr
    ended = production.fragrance("elevate", "--minutes", "0", "--reason", "done", "--yes")
    assert ended.returncode == 0, ended.stderr
    again = production.fragrance("scale", "worker-llm=2", "--yes", "--reason", "test")
    assert again.returncode == 3


def test_a_follower_sees_the_operation_of_somebody_else(stack: Stack) -> None:
    done = stack.fragrance("restart", "worker-rl", "--yes", "--reason", "test", timeout=120)
    assert done.returncode == 0, done.stderr

    latest = stack.json("operations", "list")[0]

    assert latest["verb"] == "restart"
    assert latest["state"] == "done"
    assert {step["phase"] for step in latest["steps"]} <= {"done", "skipped"}
    followed = stack.fragrance("operations", "follow", latest["id"])
    assert followed.returncode == 0
    wait_for(lambda: stack.status()["overall"] == "healthy", 60, "not healthy after the restart")
