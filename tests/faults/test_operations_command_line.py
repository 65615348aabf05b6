"""Changing commands as typed: what is printed, what is asked, and what each key does."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from console.engine import Engine
from tests.faults.toy_stack import running_toy
from tests.stack import PROJECT


@dataclass
class Shell:
    """Runs commands on the light stack."""

    engine: Engine

    def environment(self, **more: str) -> dict[str, str]:
        keep = {k: v for k, v in os.environ.items() if k != "APP_ENV"}
        return keep | {"FRAGRANCE_STATE": str(self.engine.settings.state)} | more

    def run(self, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Run without a terminal."""
        return subprocess.run(
            [sys.executable, "-m", "tests.faults.toy_stack", *words],
            cwd=PROJECT,
            env=self.environment(**more),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )

    def type(self, keys: bytes, *words: str) -> tuple[int, str]:
        """Run on a terminal, wait for the question, type *keys*; return code and output."""
        master, slave = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.toy_stack", *words],
            cwd=PROJECT,
            env=self.environment(),
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)
        said = b""
        asked = False
        try:
            while True:
                try:
                    chunk = os.read(master, 4096)
                except OSError:  # the other side was closed
                    break
                if not chunk:
                    break
                said += chunk
                if not asked and b"anything else stops: " in said:
                    asked = True
                    if keys == b"\x03":
                        process.send_signal(signal.SIGINT)
                    else:
                        os.write(master, keys)
            return process.wait(60), said.decode()
        finally:
            process.kill()
            process.wait(10)
            os.close(master)

    def replicas(self, service: str) -> int:
        found = self.engine.collector.collect().service(service)
        assert found is not None
        return len(found.replicas)


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    with running_toy(tmp_path_factory.mktemp("toy") / "state") as engine:
        yield Shell(engine)


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_json_is_a_plan_then_steps_then_the_end(shell: Shell) -> None:
    done = shell.run("scale", "app=3", "--yes", "--reason", "test", "--json")

    plan, *steps, end = lines(done.stdout)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert plan["event"] == "plan"
    assert plan["verb"] == "scale"
    assert [s["name"] for s in plan["steps"]] == ["start-app-3", "gate-app-3"]
    assert all(s["command"] and s["risk"] and s["kind"] for s in plan["steps"] + plan["undo"])
    assert isinstance(plan["warnings"], list)
    assert {s["event"] for s in steps} == {"step"}
    assert [s["name"] for s in steps if s["phase"] == "intent"] == ["start-app-3", "gate-app-3"]
    assert {s["phase"] for s in steps} <= {"intent", "skipped", "done", "failed", "undone"}
    assert all(s["at"] and isinstance(s["detail"], str) for s in steps)
    assert end["event"] == "end"
    assert (end["verb"], end["outcome"], end["exit_code"]) == ("scale", "done", 0)
    assert end["verified"] is True
    assert end["seconds"] > 0

    undone = shell.run("operations", "undo", end["operation_id"], "--yes", "--json")
    *_, end = lines(undone.stdout)
    assert undone.returncode == 0
    assert (end["outcome"], end["state"], end["verified"]) == ("done", "undone", True)
    assert shell.replicas("app") == 2


def test_what_is_already_so_is_done_and_no_operation(shell: Shell) -> None:
    count = len(shell.engine.operations())

    done = shell.run("scale", "app=2", "--yes", "--json")

    plan, end = lines(done.stdout)
    assert done.returncode == 0
    assert plan["steps"] == []
    assert (end["outcome"], end["operation_id"]) == ("done", None)
    assert "already 2" in end["message"]
    assert len(shell.engine.operations()) == count


def test_a_refusal_is_an_end_too(shell: Shell) -> None:
    refused = shell.run("scale", "app=0", "--yes", "--json")

    [end] = lines(refused.stdout)
    assert refused.returncode == 3
    assert (end["outcome"], end["exit_code"], end["operation_id"]) == ("refused", 3, None)
    assert end["remedy"]
    assert "minimum of 1" in refused.stderr
    assert "unchanged: nothing was changed" in refused.stderr


def test_a_dry_run_needs_no_confirmation_and_changes_nothing(shell: Shell) -> None:
    count = len(shell.engine.operations())

    shown = shell.run("scale", "worker-llm=2", "--dry-run")

    assert shown.returncode == 0
    assert "start-worker-llm-2" in shown.stdout
    assert "python -S -m workers serve worker-llm-2" in shown.stdout
    assert "undo" in shown.stdout
    assert len(shell.engine.operations()) == count


@pytest.mark.parametrize(
    "words",
    [
        ("scale", "app=3"),
        ("restart", "app"),
        ("operations", "undo", "op-1"),
        ("operations", "unlock"),
        ("elevate",),
    ],
)
def test_without_a_terminal_and_without_yes_it_is_a_usage_error(
    shell: Shell, words: tuple[str, ...]
) -> None:
    refused = shell.run(*words)

    assert refused.returncode == 2
    assert "--yes" in refused.stderr


@pytest.mark.parametrize("keys", [b"\n", b"n\n", b"yes please\n", b"\x04", b"\x03"])
def test_anything_but_y_changes_nothing(shell: Shell, keys: bytes) -> None:
    count = len(shell.engine.operations())

    code, said = shell.type(keys, "scale", "app=3")

    assert code == 3, said
    assert "not confirmed" in said
    assert "Traceback" not in said
    assert len(shell.engine.operations()) == count


def test_y_goes_ahead(shell: Shell) -> None:
    code, said = shell.type(b"y\n", "scale", "app=3")

    assert code == 0, said
    assert "done and verified" in said
    assert "operations undo op-" in said
    back = shell.run("operations", "undo", shell.engine.operations(1)[0].id, "--yes")
    assert back.returncode == 0


def test_production_wants_a_reason_and_write_access(shell: Shell) -> None:
    silent = shell.run("scale", "app=3", "--yes", APP_ENV="prod")
    assert silent.returncode == 2
    assert "--reason" in silent.stderr

    locked = shell.run("scale", "app=3", "--yes", "--reason", "why", APP_ENV="prod")
    assert locked.returncode == 3
    assert "fragrance elevate" in locked.stderr

    opened = shell.run("elevate", "--minutes", "5", "--yes", "--reason", "why", APP_ENV="prod")
    assert opened.returncode == 0, opened.stderr
    assert "write access until" in opened.stdout
    plan = shell.run("restart", "app", "--dry-run", "--json", APP_ENV="prod")
    assert any("prod" in warning for warning in lines(plan.stdout)[0]["warnings"])
    closed = shell.run("elevate", "--minutes", "0", "--yes", "--reason", "done", APP_ENV="prod")
    assert closed.returncode == 0
    assert shell.run("scale", "app=3", "--yes", "--reason", "w", APP_ENV="prod").returncode == 3


def test_an_interrupted_operation_can_be_accepted(shell: Shell) -> None:
    crashed = shell.run("scale", "app=3", "--yes", "--json", FRAGRANCE_CRASH_AT="start-app-3:after")
    end = lines(crashed.stdout)[-1]
    assert (crashed.returncode, end["outcome"], end["exit_code"]) == (4, "interrupted", 4)
    assert "resume" in end["remedy"]

    accepted = shell.run("operations", "accept", end["operation_id"], "--yes", "--reason", "fine")

    assert accepted.returncode == 0, accepted.stderr
    assert shell.run("scale", "app=2", "--yes").returncode == 0
    audit = shell.run("audit", "show", "--json")
    entries = json.loads(audit.stdout)
    assert [e["outcome"] for e in entries[:3]] == ["done", "done", "accepted"]
    assert "took over the lock of a runner that died" in entries[1]["what"]
    assert entries[2]["reason"] == "fine"


def test_the_list_tells_every_operation_by_the_contract(shell: Shell) -> None:
    assert shell.run("restart", "app", "--yes", "--reason", "test").returncode == 0

    operations = json.loads(shell.run("operations", "list", "--json").stdout)

    latest = operations[0]
    assert {"id", "verb", "actor", "reason", "state", "started_at", "ended_at", "steps"} <= set(
        latest
    )
    assert (latest["verb"], latest["state"], latest["reason"]) == ("restart", "done", "test")
    assert [s["name"] for s in latest["steps"]][:2] == ["restart-app-1", "gate-app-1"]
    assert set(latest["steps"][0]) >= {"seq", "name", "phase", "at", "detail"}
    shown = shell.run("operations", "show", latest["id"])
    assert "restart-app-1" in shown.stdout
    followed = shell.run("operations", "follow", latest["id"])
    assert followed.returncode == 0
    assert "restart-app-1" in followed.stderr


def test_a_tampered_audit_is_told_by_the_exit_code(shell: Shell) -> None:
    assert shell.run("audit", "verify").returncode == 0
    file = shell.engine.settings.state / "audit.jsonl"
    whole = file.read_bytes()
    file.write_bytes(b"".join(whole.splitlines(keepends=True)[:-1]))
    try:
        verdict = shell.run("audit", "verify", "--json")
    finally:
        file.write_bytes(whole)

    assert verdict.returncode == 1
    told = json.loads(verdict.stdout)
    assert told["valid"] is False
    assert told["first_bad"] == told["entries"] + 1
    assert shell.run("audit", "verify").returncode == 0


@pytest.mark.parametrize("action", ["show", "follow", "resume", "undo", "accept", "cancel"])
def test_an_unknown_operation_is_a_usage_error(shell: Shell, action: str) -> None:
    words = ["operations", action, "op-9999"]
    if action not in {"show", "follow"}:
        words.append("--yes")

    refused = shell.run(*words)

    assert refused.returncode == 2
    assert "op-9999" in refused.stderr
    assert "operations list" in refused.stderr
