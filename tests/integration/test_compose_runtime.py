"""The compose runtime on a real engine: what compose itself then thinks of our containers."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from console.clock import SystemClock
from console.errors import Unreachable
from console.runtimes.compose import ComposeRuntime
from console.settings import load_settings
from tests.contract.runtimes import docker, show_and_hide_the_page
from tests.stack import wait_for
from tests.toy_compose import Load, ToyProject

pytestmark = pytest.mark.docker


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ToyProject]:
    made = ToyProject(tmp_path_factory.mktemp("toy") / "project")
    try:
        started = made.stack.fragrance("start", "--detach", timeout=120)
        assert started.returncode == 0, started.stderr
        yield made
    finally:
        made.remove()


def scale(project: ToyProject, *targets: str) -> None:
    done = project.stack.fragrance("scale", *targets, "--yes", timeout=180)
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_we_add_is_what_compose_would_have_made(project: ToyProject) -> None:
    scale(project, "app=3")

    first, third = (
        json.loads(docker("inspect", f"{project.name}-app-{number}"))[0] for number in (1, 3)
    )
    ours = {"console.operation", "com.docker.compose.container-number"}
    assert third["Config"]["Labels"]["console.operation"].startswith("op-")
    assert third["Config"]["Labels"]["com.docker.compose.container-number"] == "3"
    for part in ("Env", "Cmd", "Entrypoint", "Healthcheck", "User", "StopSignal", "Image"):
        assert third["Config"].get(part) == first["Config"].get(part), part
    assert {k: v for k, v in third["Config"]["Labels"].items() if k not in ours} == {
        k: v for k, v in first["Config"]["Labels"].items() if k not in ours
    }
    assert third["HostConfig"] == first["HostConfig"]
    assert sorted(m["Destination"] for m in third["Mounts"]) == sorted(
        m["Destination"] for m in first["Mounts"]
    )
    networks = first["NetworkSettings"]["Networks"]
    assert third["NetworkSettings"]["Networks"].keys() == networks.keys()
    for name, network in third["NetworkSettings"]["Networks"].items():
        assert set(network["Aliases"]) - {third["Name"][1:]} == set(networks[name]["Aliases"]) - {
            first["Name"][1:]
        }


def test_a_later_up_recreates_nothing(project: ToyProject) -> None:
    scale(project, "app=3")
    before = project.containers("app")

    up = ["--file", str(project.file), "up", "--detach", "--no-deps", "--scale", "app=3"]
    environment = f"FRAGRANCE_COMPOSE_STATE={project.state / 'compose'}"
    env_file = project.directory / "env"
    env_file.write_text(environment + "\n")
    docker("compose", "--env-file", str(env_file), *up, "app")

    assert project.containers("app") == before


def test_the_chosen_replica_goes_and_its_name_comes_back(project: ToyProject) -> None:
    scale(project, "app=3")
    before = project.containers("app")
    scale(project, "app=2")
    assert sorted(project.containers("app")) == sorted(before)[:2]
    scale(project, "app=3")
    after = project.containers("app")
    assert after.keys() == before.keys()
    assert project.members() == sorted(before)


def test_a_service_at_nothing_comes_back_as_compose_makes_it(project: ToyProject) -> None:
    labels = docker("inspect", "-f", "{{json .Config.Labels}}", f"{project.name}-store-1")
    scale(project, "store=0")
    assert project.containers("store") == {}
    scale(project, "store=1")
    again = docker("inspect", "-f", "{{json .Config.Labels}}", f"{project.name}-store-1")
    hashes = [json.loads(text)["com.docker.compose.config-hash"] for text in (labels, again)]
    assert hashes[0] == hashes[1]
    assert list(project.containers("store")) == [f"{project.name}-store-1"]


def test_a_container_that_is_just_being_made_is_waited_for(project: ToyProject) -> None:
    scale(project, "app=2")
    settings = load_settings(state=str(project.state), file=str(project.file), environ={})
    runtime = ComposeRuntime(settings, SystemClock(), agent=False)
    unfinished = f"{project.name}-app-3"
    # What a killed runner asked for may be there before the project's list has it.
    docker("create", "--name", unfinished, "fragrance-base-python:local", "true")
    try:
        with pytest.raises(Unreachable, match="still making app-3"):
            runtime.start_replica("app", "app-3", {})
    finally:
        docker("rm", unfinished)

    scale(project, "app=3")
    assert unfinished in project.containers("app")


def test_no_request_is_lost_when_replicas_come_go_and_restart(project: ToyProject) -> None:
    scale(project, "app=2")
    load = Load(project.port)
    with load.running():
        wait_for(lambda: load.done > 100, 20, "requests are answered")
        scale(project, "app=4")
        wait_for(lambda: len(load.replicas) >= 4, 20, "the new ones get requests")
        restarted = project.stack.fragrance("restart", "app", "--yes", timeout=240)
        assert restarted.returncode == 0, restarted.stdout + restarted.stderr
        scale(project, "app=2")
    assert load.failures == []
    assert load.done > 1000


def test_the_page_is_shown_by_the_proxy_that_runs_and_by_the_next_one(
    project: ToyProject,
) -> None:
    settings = load_settings(file=str(project.file), state=str(project.state), environ={})
    runtime = ComposeRuntime(settings, SystemClock(), agent=False)
    show_and_hide_the_page(runtime)
    runtime.set_maintenance(on=True)
    try:
        assert status(project) == 503
        restarted = project.stack.fragrance("restart", "nginx", "--yes", timeout=180)
        assert restarted.returncode == 0, restarted.stdout + restarted.stderr
        assert status(project) == 503
    finally:
        runtime.set_maintenance(on=False)
    assert status(project) == 200


def status(project: ToyProject) -> int:
    return httpx.get(f"http://127.0.0.1:{project.port}/", timeout=10).status_code


def test_a_start_after_a_crash_brings_back_what_is_missing_and_nothing_else(
    project: ToyProject,
) -> None:
    scale(project, "app=3")
    kept = project.containers("nginx") | project.containers("app")
    lost = [f"{project.name}-{name}" for name in ("app-1", "app-2", "store-1")]
    kept = {name: identity for name, identity in kept.items() if name not in lost}
    before = docker("inspect", "--format", "{{.State.StartedAt}}", *kept.values())
    docker("kill", lost[0])
    docker("rm", "--force", *lost[1:])

    started = project.stack.fragrance("start", "--detach", "--reason", "it crashed", timeout=120)

    assert started.returncode == 0, started.stderr
    assert "should run and does not" in started.stderr
    assert "brought back app-1, app-2, store-1" in started.stdout
    assert (project.containers("nginx") | project.containers("app")).items() >= kept.items()
    assert docker("inspect", "--format", "{{.State.StartedAt}}", *kept.values()) == before
    assert len(project.containers("app")) == 3
    assert len(project.containers("store")) == 1
    changes = project.stack.status()["changes"]
    assert changes[0]["what"] == "start: brought back app-1, app-2, store-1"


def test_everything_that_was_killed_comes_back(project: ToyProject) -> None:
    scale(project, "app=2")
    names = ("nginx", "app", "store")
    there = {name: project.containers(name) for name in names}
    docker("kill", *(identity for found in there.values() for identity in found.values()))

    started = project.stack.fragrance("start", "--detach", timeout=120)

    assert started.returncode == 0, started.stderr
    assert {name: project.containers(name) for name in names} == there
    assert status(project) == 200


def test_what_crashes_for_its_configuration_is_made_anew_once_that_is_mended(
    project: ToyProject,
) -> None:
    scale(project, "app=2")
    kept, good = project.containers("app"), project.file.read_text()
    docker("rm", "--force", *project.containers("store").values())
    try:
        project.file.write_text(good.replace("[sleep, infinity]", "[sleep, nonsense]"))
        docker("compose", "--file", str(project.file), "up", "--detach", "--no-deps", "store")
    finally:
        project.file.write_text(good)

    started = project.stack.fragrance("start", "--detach", timeout=120)

    assert started.returncode == 0, started.stderr
    assert "out of date: store-1" in started.stderr
    assert project.containers("app") == kept


def test_a_configuration_that_nginx_declines_changes_nothing(project: ToyProject) -> None:
    scale(project, "app=2")
    config = project.directory / "nginx.conf"
    good, members = config.read_text(), project.members()
    try:
        config.write_text(good.replace("events {", "nonsense;\nevents {"))
        done = project.stack.fragrance("scale", "app=3", "--yes", timeout=180)
        assert done.returncode == 1, done.stdout + done.stderr
        assert "nginx declines" in done.stdout + done.stderr
        assert project.members() == members
        assert sorted(project.containers("app")) == sorted(members)
    finally:
        config.write_text(good)


def test_a_death_is_on_screen_soon_and_in_words(project: ToyProject) -> None:
    before = project.stack.service("store")["replicas"][0]
    docker("kill", "--signal", "KILL", f"{project.name}-store-1")

    wait_for(lambda: project.stack.service("store")["ready"] == 0, 5, "the death is seen")
    found = project.stack.service("store")
    assert found["health"] == "unhealthy"
    assert "killed by SIGKILL" in found["reason"]
    done = project.stack.fragrance("restart", "store", "--yes", timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert project.stack.service("store")["replicas"][0]["id"] == before["id"]


def test_credentials_come_from_the_secrets_file(project: ToyProject) -> None:
    from console.bootstrap import build_runtime
    from console.clock import SystemClock
    from console.settings import load_settings

    settings = load_settings(state=str(project.state), file=str(project.file), environ={})
    url = build_runtime(settings, SystemClock()).connection_url("store")

    assert url is not None
    assert url.startswith("redis://:p%40ss%2Fword@172.") or "p%40ss%2Fword@" in url
    picture = Path(project.state / "picture.json").read_text()
    assert "p%40ss" not in picture
    assert "p@ss" not in picture


def test_the_agent_comes_back_after_it_or_who_keeps_it_is_killed(
    project: ToyProject,
) -> None:
    from console.runtimes.compose.keeper import keeper_lock
    from console.runtimes.compose.systemd import unit_file
    from console.runtimes.locks import lock_holder

    locks = [project.state / "agent.lock"]
    if unit_file(project.state) is None:  # else systemd keeps it, and there is no keeper
        locks.append(keeper_lock(project.state))
    for lock in locks:
        killed = lock_holder(lock)
        assert killed is not None
        os.kill(killed, signal.SIGKILL)
        wait_for(
            lambda lock=lock, killed=killed: lock_holder(lock) not in (None, killed),  # type: ignore[misc]
            20,
            f"{lock.name} is held again",
        )
    assert project.stack.status()["agent"] == "running"


def test_a_stop_ends_everything_and_a_start_brings_the_same_replicas_back(
    project: ToyProject,
) -> None:
    scale(project, "app=3")
    before = project.containers("app")
    stopped = project.stack.fragrance("stop", "--yes", timeout=120)
    assert stopped.returncode == 0, stopped.stderr
    status = project.stack.status()
    assert status["agent"] == "absent"
    assert {s["health"] for s in status["services"]} == {"stopped"}
    assert project.containers("app") == before, "kept, with their logs"

    started = project.stack.fragrance("start", "--detach", timeout=120)

    assert started.returncode == 0, started.stderr
    assert project.containers("app").keys() == before.keys()
    assert project.members() == sorted(before)


def test_limits_and_settings_change_while_it_serves_and_last(project: ToyProject) -> None:
    scale(project, "app=2")
    before = project.containers("app")
    load = Load(project.port)
    with load.running(4):
        resized = project.stack.fragrance(
            *("resize", "app", "--cpus", "0.25", "--memory", "64M", "--yes", "--json"), timeout=120
        )
        assert resized.returncode == 0, resized.stdout + resized.stderr
        assert json.loads(resized.stdout.splitlines()[-1])["verified"] is True
        assert project.containers("app") == before, "no container was replaced"
        assert {limits(name) for name in before} == {(250_000_000, 64 * 2**20, 128 * 2**20)}
        set_before = (project.directory / ".env").read_text()

        done = project.stack.fragrance(
            *("settings", "set", "GREETING=good morning", "--yes", "--json"), timeout=240
        )
        assert done.returncode == 0, done.stdout + done.stderr
        after = project.containers("app")
        assert len(after) == 2
        assert not set(after.values()) & set(before.values())
        assert project.members() == sorted(after)
        assert {limits(name) for name in after} == {(250_000_000, 64 * 2**20, 128 * 2**20)}
        for name in after:
            assert "GREETING=good morning" in docker("inspect", "-f", "{{.Config.Env}}", name)
        shown = project.stack.json("settings", "get", "GREETING")
        assert (shown["value"], shown["default"]) == ("good morning", "hello")

        operation = json.loads(done.stdout.splitlines()[-1])["operation_id"]
        undone = project.stack.fragrance("operations", "undo", operation, "--yes", timeout=240)
        assert undone.returncode == 0, undone.stdout + undone.stderr

    assert load.failures == []
    assert sorted(project.containers("app")) == sorted(before)
    assert project.members() == sorted(before)
    assert (project.directory / ".env").read_text() == set_before


def limits(container: str) -> tuple[int, int, int]:
    host = json.loads(docker("inspect", container))[0]["HostConfig"]
    return host["NanoCpus"], host["Memory"], host["MemorySwap"]
