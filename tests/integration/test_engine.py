"""The host as it is: doctor says of Docker what Docker says, and setup leaves it alone."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.stack import PROJECT, Stack

#: What doctor and the launcher's work call, docker aside.
PROGRAMS = ("git", "unshare", "openssl")


def docker(*arguments: str) -> str:
    done = subprocess.run(
        ["docker", *arguments], capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout.strip()


def examined(stack: Stack, **extra: str) -> tuple[int, dict[str, Any]]:
    arguments = ("doctor", "--runtime", "compose", "--json")
    done = stack.fragrance(*arguments, timeout=60, **extra)
    answer: dict[str, Any] = json.loads(done.stdout)
    answer["by_id"] = {check["id"]: check for check in answer["checks"]}
    return done.returncode, answer


@pytest.fixture
def host(tmp_path: Path) -> Stack:
    return Stack(tmp_path / "state")


@pytest.mark.docker
def test_doctor_says_what_docker_says(host: Stack) -> None:
    code, answer = examined(host)
    found = answer["by_id"]
    info = json.loads(docker("info", "--format", "{{json .}}"))

    assert (code, answer["able"], answer["runtime"]) == (0, True, "compose")
    assert found["docker"]["summary"].startswith(docker("version", "-f", "{{.Server.Version}}"))
    assert found["compose"]["summary"] == docker("compose", "version", "--short")
    assert f"v{info['CgroupVersion']}" in found["cgroups"]["summary"]
    assert (found["cgroups"]["status"] == "pass") == (info["MemoryLimit"] and info["PidsLimit"])
    assert f"{info['NCPU']} cores" in found["capacity"]["summary"]
    assert info["DockerRootDir"] in found["engine_disk"]["summary"]
    version = (PROJECT / "VERSION").read_text().strip()
    built = docker("image", "ls", "--quiet", f"fragrance-ai-app:v{version}")
    assert bool(built) or found["images"]["status"] == "warn"


@pytest.mark.docker
def test_a_port_that_is_taken_is_named_with_who_holds_it(host: Stack) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        env = host.state / "compose" / "env"
        env.parent.mkdir(parents=True)
        env.write_text(f"HTTP_PORT={port}\n")

        code, answer = examined(host)

    check = answer["by_id"]["port_http"]
    assert (code, check["status"]) == (1, "fail")
    assert str(port) in check["summary"]
    assert "python" in check["summary"]
    assert str(env) in check["remedy"]


def test_without_docker_the_setup_is_named_and_embedded_is_not_touched(
    host: Stack, tmp_path: Path
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in PROGRAMS:
        if where := shutil.which(name):
            (programs / name).symlink_to(where)

    code, answer = examined(host, PATH=str(programs))
    embedded = host.fragrance("doctor", "--runtime", "embedded", PATH=str(programs))
    text = host.fragrance("doctor", "--runtime", "compose", PATH=str(programs))

    assert (code, answer["able"]) == (1, False)
    assert answer["by_id"]["docker"]["remedy"] == "compose/engine/setup"
    assert (PROJECT / "compose" / "engine" / "setup").exists()
    assert embedded.returncode == 0
    assert "able to run the embedded runtime" in embedded.stdout
    assert "next: compose/engine/setup" in text.stdout
    assert text.stdout.rstrip().endswith("docker, compose, buildx")


@pytest.mark.docker
def test_a_daemon_that_does_not_answer_is_a_failure_and_what_it_would_say_unknown(
    host: Stack, tmp_path: Path
) -> None:
    code, answer = examined(host, DOCKER_HOST=f"unix://{tmp_path}/none.sock")

    assert code == 1
    assert answer["by_id"]["docker"]["status"] == "fail"
    assert answer["by_id"]["capacity"]["status"] == "unknown"


@pytest.mark.docker
@pytest.mark.timeout(600)
def test_setup_changes_nothing_where_everything_is_there() -> None:
    setup = [str(PROJECT / "compose" / "engine" / "setup")]
    subprocess.run(setup, check=True, timeout=540, capture_output=True)
    before = (docker("image", "ls", "--quiet", "fragrance-base-*"), docker("info", "-f", "{{.ID}}"))

    again = subprocess.run(setup, check=True, timeout=60, capture_output=True, text=True)

    assert "this host is ready" in again.stderr
    assert "making" not in again.stderr
    assert "installing" not in again.stderr
    after = (docker("image", "ls", "--quiet", "fragrance-base-*"), docker("info", "-f", "{{.ID}}"))
    assert after == before


def test_setup_refuses_what_it_does_not_know() -> None:
    setup = [str(PROJECT / "compose" / "engine" / "setup"), "--bases", "sometimes"]
    done = subprocess.run(setup, check=False, timeout=30, capture_output=True, text=True)

    assert done.returncode == 2
    assert "usage: compose/engine/setup" in done.stderr
