"""Several people on one state: OS users of a group operate it, nobody else reads a word."""

from __future__ import annotations

import grp
import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from console.journal.liveness import runner_is_alive
from tests.operators import Operators, operators
from tests.stack import wait_for
from tests.toy_compose import ToyProject

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="making OS users takes root")

#: Watches for five minutes between two removals: at work until it is cancelled.
LONG = ("scale", "app=1", "--gradual", "--yes", "--reason", "race", "--json")
SHORT = ("scale", "worker-llm=2", "--yes", "--reason", "many briefs")


@pytest.fixture(scope="module")
def ops() -> Iterator[Operators]:
    """Give operators of a light stack that the first of them has started."""
    with operators() as ops:
        started = ops.run(ops.first, "start", "--detach", "--runtime", "embedded")
        assert started.returncode == 0, started.stderr
        try:
            yield ops
        finally:
            assert ops.run(ops.first, "stop").returncode == 0


def listed(ops: Operators, user: str) -> list[dict[str, Any]]:
    done = ops.run(user, "operations", "list", "--json")
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def audited(ops: Operators, user: str) -> list[dict[str, Any]]:
    done = ops.run(user, "audit", "show", "--json")
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def test_of_two_operators_in_the_same_second_one_runs_and_the_other_is_told(
    ops: Operators,
) -> None:
    assert ops.run(ops.first, "scale", "app=4", "--yes", "--reason", "room").returncode == 0
    racing = {user: ops.fragrance(user, *LONG) for user in (ops.first, ops.second)}
    wait_for(lambda: any(p.poll() is not None for p in racing.values()), 60, "nobody was refused")
    loser = next(user for user, process in racing.items() if process.poll() is not None)
    winner = ops.first if loser == ops.second else ops.second
    _, refusal = racing[loser].communicate(timeout=60)

    assert racing[loser].returncode == 3, refusal
    assert f"by {winner}" in refusal
    wait_for(lambda: listed(ops, loser)[0]["state"] == "running", 60, "it does not run")
    running = listed(ops, loser)[0]
    since = [running[key][:19].replace("T", " ") for key in ("submitted_at", "started_at")]
    assert any(f"since {moment} UTC" in refusal for moment in since), refusal
    assert running["actor"] == winner

    followers = [
        ops.fragrance(user, "operations", "follow", running["id"], "--json")
        for user in (ops.first, ops.second, ops.second)
    ]
    cancelled = ops.run(loser, "operations", "cancel", running["id"], "--yes", "--reason", "no")
    assert cancelled.returncode == 1, cancelled.stderr
    ends = [json.loads(p.communicate(timeout=60)[0].splitlines()[-1]) for p in followers]
    assert {end["outcome"] for end in ends} == {"cancelled"}
    end = json.loads(racing[winner].communicate(timeout=60)[0].splitlines()[-1])
    assert end["operation_id"] == running["id"]
    told = [e for e in audited(ops, winner) if e["operation_id"] == running["id"]]
    assert [(e["actor"]["user"], e["outcome"], e["reason"]) for e in told] == [
        (winner, "cancelled", "race"),
        (loser, "asked", "no"),
    ]


def test_what_one_left_interrupted_another_takes_over_and_takes_back(ops: Operators) -> None:
    crashed = ops.run(ops.first, *SHORT, FRAGRANCE_CRASH_AT="start-worker-llm-2:after")
    assert crashed.returncode == 4, crashed.stderr
    left = listed(ops, ops.second)[0]
    assert (left["actor"], left["state"]) == (ops.first, "interrupted")
    assert f"by {ops.first} is interrupted since" in ops.run(ops.second, *SHORT).stderr

    # The dead runner's pid is a living process's by now.
    lock = ops.state / "lock"
    said = json.loads(lock.read_text())
    lock.write_text(json.dumps(said | {"pid": os.getpid()}))
    resumed = ops.run(
        ops.second, "operations", "resume", left["id"], "--yes", "--reason", "mine now"
    )
    assert resumed.returncode == 0, resumed.stderr
    undone = ops.run(ops.first, "operations", "undo", left["id"], "--yes")
    assert undone.returncode == 0, undone.stderr

    mine = [entry for entry in audited(ops, ops.second) if entry["operation_id"] == left["id"]]
    done = next(entry for entry in mine if entry["outcome"] == "done" and entry["details"])
    assert done["actor"]["user"] == ops.second
    assert done["details"]["submitted_by"] == ops.first
    assert {entry["actor"]["user"] for entry in mine} == {ops.first, ops.second}
    taken = next(entry for entry in mine if "took over the lock" in entry["what"])
    assert taken["actor"]["user"] == ops.second
    assert f"pid {os.getpid()}, {left['id']} by {ops.first}" in taken["what"]
    verdict = json.loads(ops.run(ops.first, "audit", "verify", "--json").stdout)
    assert verdict["valid"] is True
    assert not runner_is_alive(ops.state)


def test_nobody_else_reads_a_word_and_all_members_read_all(ops: Operators) -> None:
    ops.run(ops.second, "restart", "app", "--yes", "--reason", "to have written everything")
    group = grp.getgrnam(ops.group).gr_gid
    wrong = []
    for path in (ops.state, *ops.state.rglob("*")):
        try:
            found = path.lstat()
        except FileNotFoundError:
            continue  # replaced meanwhile
        wanted = 0o2770 if stat.S_ISDIR(found.st_mode) else 0o660
        if found.st_gid != group or stat.S_IMODE(found.st_mode) != wanted:
            wrong.append(f"{stat.filemode(found.st_mode)} {found.st_gid} {path}")
    assert wrong == []

    names = "\n".join(str(path) for path in ops.state.rglob("*") if path.is_file())
    assert len(names.splitlines()) > 10
    code = (
        "import sys\n"
        "for name in sys.stdin.read().splitlines():\n"
        "    try:\n"
        "        open(name, 'rb').close()\n"
        "        print('opened', name)\n"
        "    except OSError as error:\n"
        "        print(type(error).__name__)\n"
    )
    reading = ops.start(ops.outsider, [sys.executable, "-c", code], typed=True)
    tried, _ = reading.communicate(names, timeout=60)
    assert set(tried.splitlines()) == {"PermissionError"}
    for words in (("status",), ("operations", "list"), SHORT, ("audit", "verify"), ("stop",)):
        refused = ops.run(ops.outsider, *words)
        assert refused.returncode == 5, (words, refused)
        assert refused.stdout == ""
        assert refused.stderr.count("fragrance: ") == 1
        assert f"the state {ops.state} is not for {ops.outsider}" in refused.stderr
        assert f"gpasswd --add {ops.outsider} {ops.group}" in refused.stderr


def test_processes_stay_with_who_started_them(ops: Operators) -> None:
    refused = ops.run(ops.second, "stop")

    assert refused.returncode == 3
    assert f"run as {ops.first}" in refused.stderr
    assert "unchanged: the stack runs on" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert ops.run(ops.second, "start", "--detach").returncode == 0  # runs already


def test_another_ones_hung_runner_is_theirs_or_roots_to_end(ops: Operators) -> None:
    assert ops.run(ops.first, "scale", "app=4", "--yes", "--reason", "room").returncode == 0
    command = ops.fragrance(ops.first, *LONG)
    try:
        wait_for(lambda: runner_is_alive(ops.state), 60, "no runner came")
        refused = ops.run(ops.second, "operations", "unlock", "--yes", "--reason", "hangs?")
        assert refused.returncode == 3, refused.stderr
        assert f"belongs to {ops.first}" in refused.stderr
    finally:
        running = listed(ops, ops.second)[0]["id"]
        ops.run(ops.second, "operations", "cancel", running, "--yes")
        command.communicate(timeout=60)
    assert not runner_is_alive(ops.state)


@pytest.mark.docker
def test_containers_are_operated_by_every_member(ops: Operators) -> None:
    ops.may_use_docker()
    directory = ops.state.parent / "project"
    subprocess.run(
        ["install", "-d", "-m", "2770", "-g", ops.group, str(directory / ".fragrance")],
        check=True,
        timeout=30,
    )
    toy = ToyProject(directory)
    for path in toy.state.rglob("*"):
        path.chmod(0o2775 if path.is_dir() else 0o664)  # as nginx inside needs to read them
    (toy.state / "compose").chmod(0o2770)

    def run(user: str, *words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-B", "-m", "console", *words, "--file", str(toy.file)]
        process = ops.start(user, [*command, "--state", str(toy.state)])
        out, err = process.communicate(timeout=240)
        assert "Traceback" not in err
        return subprocess.CompletedProcess(command, process.returncode, out, err)

    try:
        started = run(ops.first, "start", "--detach")
        assert started.returncode == 0, started.stderr
        scaled = run(ops.second, "scale", "app=1", "--yes", "--reason", "quiet")
        assert scaled.returncode == 0, scaled.stderr
        assert len(toy.members()) == 1
        undone = run(ops.first, "operations", "undo", "op-1", "--yes")
        assert undone.returncode == 0, undone.stderr
        assert len(toy.members()) == 2
        # The agent is first one's process.
        assert run(ops.second, "stop", "--yes").returncode == 3
        assert run(ops.outsider, "status").returncode == 5
        others = [p for p in toy.state.rglob("*") if p.lstat().st_mode & stat.S_IRWXO]
        assert {p.relative_to(toy.state).parts[:2] for p in others} == {("compose", "nginx")}
        assert run(ops.first, "stop", "--yes").returncode == 0
    finally:
        toy.remove()
