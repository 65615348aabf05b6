"""What is made in ``STATE/compose`` on first use, on a real engine."""

from __future__ import annotations

import json
import os
import shutil
import socket
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from console.errors import Refused
from console.runtimes.compose import environment
from console.runtimes.compose.environment import prepare, read_env
from tests.compose_stack import PROJECT, VERSION, docker

pytestmark = pytest.mark.docker

PROJECT_NAME = f"fragrance-test-env-{os.getpid()}"


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in os.environ:
        if name.endswith(("_PORT", "_IMAGE", "_LIMIT")) or name == "APP_ENV":
            monkeypatch.delenv(name)
    monkeypatch.setenv("COMPOSE_PROJECT_NAME", PROJECT_NAME)
    monkeypatch.setenv("LLM_WORKER_REPLICAS", "1")  # limits that fit a small machine
    directory = tmp_path / "state"
    directory.mkdir(mode=0o700)
    return directory


def prepared(state: Path) -> list[str]:
    said: list[str] = []
    prepare(state, PROJECT, said.append)
    return said


def contents(directory: Path) -> dict[str, tuple[bytes, int]]:
    return {
        str(path.relative_to(directory)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in directory.rglob("*")
        if path.is_file()
    }


def test_everything_is_made_once_and_left_alone_afterwards(state: Path) -> None:
    assert prepared(state)
    before = contents(state)
    assert prepared(state) == []
    assert contents(state) == before
    env = read_env(state / "compose" / "env")
    assert env["VERSION"] == VERSION
    assert env["FRAGRANCE_COMPOSE_STATE"] == str(state / "compose")
    assert env["COMPOSE_PROJECT_NAME"] == PROJECT_NAME
    members = (state / "compose/nginx/upstreams/app.conf").read_text()
    assert members.startswith(f"server {PROJECT_NAME}-app-1:8000 resolve;\n")


def test_nobody_else_can_reach_what_containers_of_any_user_can_read(state: Path) -> None:
    before = os.umask(0o077)
    try:
        prepared(state)
    finally:
        os.umask(before)
    directory = state / "compose"
    modes = {
        str(path.relative_to(directory)): stat.S_IMODE(path.stat().st_mode)
        for path in directory.rglob("*")
    }
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert modes["secrets"] == 0o700
    assert modes["env"] == 0o600
    secrets = {mode for name, mode in modes.items() if name.startswith("secrets/")}
    assert secrets == {0o444}
    assert modes["nginx/tls/privkey.pem"] == 0o444
    assert modes["nginx"] == modes["nginx/upstreams"] == 0o755
    assert modes["nginx/upstreams/app.conf"] == 0o644


def test_no_secret_stands_in_the_env_file_or_is_said(state: Path) -> None:
    said = "\n".join(prepared(state))
    env = (state / "compose/env").read_text()
    for path in (state / "compose/secrets").iterdir():
        if secret := path.read_text().strip():
            assert secret not in env
            assert secret not in said
    assert len((state / "compose/secrets/secret_key").read_text()) >= 32
    exporter = json.loads((state / "compose/secrets/redis_exporter_passwords").read_text())
    assert exporter["redis://redis:6379"] == (state / "compose/secrets/redis_password").read_text()


def test_ports_that_are_taken_are_replaced_and_told(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setitem(environment.LOOPBACK_PORTS, "REDIS_PORT", port)
        said = prepared(state)
    chosen = read_env(state / "compose" / "env")["REDIS_PORT"]
    assert port < int(chosen) <= port + 100
    assert f"port {port} is in use by another program: REDIS_PORT is {chosen}" in said


def test_the_operators_variables_are_taken_at_first_and_the_files_later(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("APP_REPLICAS", "3")
    monkeypatch.setenv("VERSION", "9.9.9")
    prepared(state)
    env = read_env(state / "compose" / "env")
    assert env["APP_REPLICAS"] == "3"
    assert env["VERSION"] == VERSION
    assert "app-3:8000" in (state / "compose/nginx/upstreams/app.conf").read_text()
    monkeypatch.setenv("APP_REPLICAS", "5")
    assert prepared(state) == ["APP_REPLICAS is 3 in the env file; the shell's is not used"]


def test_production_once_is_production_whatever_a_shell_says(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (state / "environment").write_text("prod\n")
    monkeypatch.setenv("APP_ENV", "dev")
    prepared(state)
    assert read_env(state / "compose" / "env")["APP_ENV"] == "prod"


def test_the_certificate_is_for_this_host_and_is_not_made_again(state: Path) -> None:
    prepared(state)
    tls = state / "compose/nginx/tls"
    text = subprocess.run(
        ["openssl", "x509", "-in", str(tls / "fullchain.pem"), "-noout", "-text"],
        capture_output=True, text=True, check=True, timeout=30,
    ).stdout  # fmt: skip
    assert f"DNS:{socket.gethostname()}, DNS:localhost, IP Address:127.0.0.1" in text
    assert "prime256v1" in text
    own = b"the operator's own"
    (tls / "fullchain.pem").chmod(0o644)
    (tls / "fullchain.pem").write_bytes(own)
    prepared(state)
    assert (tls / "fullchain.pem").read_bytes() == own


def test_without_openssl_an_image_makes_the_certificate(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    prepared(state)
    assert b"PRIVATE KEY" in (state / "compose/nginx/tls/privkey.pem").read_bytes()
    assert not list((state / "compose/nginx/tls").glob(".making*"))


def test_missing_secrets_are_asked_for_by_the_operators_command(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRETS_COMMAND", "printf 'kept-elsewhere-as-%s' {name}")
    said = prepared(state)
    secrets = state / "compose/secrets"
    assert (secrets / "secret_key").read_text() == "kept-elsewhere-as-secret_key"
    assert ":kept-elsewhere-as-postgres_password@" in (secrets / "database_url").read_text()
    assert not [line for line in said if "kept-elsewhere" in line]
    (secrets / "secret_key").chmod(0o644)
    (secrets / "secret_key").write_text("changed by hand")
    (secrets / "postgres_password").unlink()
    prepared(state)
    assert (secrets / "secret_key").read_text() == "changed by hand"
    assert (secrets / "postgres_password").read_text() == "kept-elsewhere-as-postgres_password"


@pytest.fixture
def volume() -> Iterator[str]:
    name = f"{PROJECT_NAME}_postgres-data"
    docker("volume", "create", name)
    try:
        yield name
    finally:
        docker("volume", "rm", name)


def test_a_new_password_is_not_made_for_old_data(state: Path, volume: str) -> None:
    with pytest.raises(Refused, match="postgres_password is gone") as refused:
        prepared(state)
    assert volume in refused.value.remedy
    assert not (state / "compose" / "env").exists()


def test_a_lost_secret_is_not_silently_replaced(state: Path) -> None:
    prepared(state)
    secret = state / "compose/secrets/postgres_password"
    kept = secret.read_text()
    secret.unlink()
    with pytest.raises(Refused, match="postgres_password is gone"):
        prepared(state)
    secret.write_text(kept)
    assert prepared(state) == []
