"""Profiles of the environments, and the check of an env file."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from backend.contracts.settings import Settings, load_settings
from console.checks.env_file import EnvFacts, judge_env
from console.cli.main import main
from console.domain.checks import CheckStatus
from console.runtimes.compose.environment import (
    OWN_VARIABLES,
    _with_profile,
    known_variables,
    read_env,
)
from console.runtimes.compose.limits import replica_count
from console.runtimes.compose.variables import SECRETS
from tests.unit.test_compose_file import NEEDED, ask_compose

PROFILES = ("dev", "staging", "prod")
#: Processes of the application, what is logged, copies of the models and processes of RL.
FIGURES: dict[str, tuple[int, str, int, int]] = {
    "dev": (2, "DEBUG", 1, 1),
    "staging": (4, "INFO", 2, 1),
    "prod": (8, "WARNING", 4, 2),
}


def profile(project: Path, name: str) -> dict[str, str]:
    return read_env(project / f".env.{name}")


@pytest.mark.parametrize("name", PROFILES)
def test_a_profile_has_the_figures_of_the_specification(project: Path, name: str) -> None:
    given = profile(project, name)
    app, level, llm, rl = FIGURES[name]
    assert given["APP_ENV"] == name
    assert replica_count("APP", given) == app
    assert given["LOG_LEVEL"] == level
    assert (given["LLM_WORKER_CONCURRENCY"], given["RL_WORKER_CONCURRENCY"]) == (str(llm), str(rl))
    assert (given["LLM_MAX_BATCH_SIZE"], given["RL_BATCH_SIZE"]) == ("8", "64")
    assert given["CACHE_TTL"] == "7200"
    assert given["USE_GPU"] == ("false" if name == "dev" else "true")
    assert given["ENABLE_QUANTIZATION"] == ("true" if name == "staging" else "false")
    assert given["AUTO_SCALING"] == ("true" if name == "prod" else "false")
    assert given.get("LOG_FORMAT") == (None if name == "dev" else "json")


@pytest.mark.parametrize("name", PROFILES)
def test_a_profile_holds_no_secret_and_no_name_that_nothing_reads(project: Path, name: str) -> None:
    given = profile(project, name)
    assert given.keys() <= known_variables(project).keys() | OWN_VARIABLES
    assert given.keys().isdisjoint(SECRETS)
    assert not any(word in key for key in given for word in ("PASSWORD", "TOKEN", "SECRET"))


@pytest.mark.parametrize("name", PROFILES)
def test_the_product_reads_a_profile_as_its_own_section_says(
    project: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for field in Settings.model_fields:
        monkeypatch.delenv(field.upper(), raising=False)
    monkeypatch.delenv("SECRETS_DIR", raising=False)
    monkeypatch.setenv("APP_ENV", name)
    monkeypatch.setenv("SECRET_KEY", "x" * 40)
    section = load_settings()
    given = profile(project, name)
    for key, value in given.items():
        monkeypatch.setenv(key, value)
    found = load_settings()
    for field in {key.lower() for key in given} & Settings.model_fields.keys():
        if field != "log_level":  # a section may leave that to its default
            assert getattr(found, field) == getattr(section, field), field
    assert found.log_level == given["LOG_LEVEL"]
    assert found.llm.concurrency == FIGURES[name][2]
    assert found.rl.concurrency == FIGURES[name][3]


@pytest.mark.parametrize(
    ("given", "runtimes", "use", "overrides"),
    [
        ({}, {"runc", "nvidia"}, "true", "gpu"),
        ({"COMPOSE_OVERRIDES": "logs,gpu"}, {"nvidia"}, "true", "gpu logs"),
        ({"COMPOSE_OVERRIDES": "logs"}, {"nvidia"}, "true", "gpu logs"),
        ({}, {"runc"}, "false", None),
        ({"USE_GPU": "false"}, {"nvidia"}, "false", None),
        # Whoever says so knows something that the engine does not tell.
        ({"USE_GPU": "true"}, {"runc"}, "true", None),
    ],
)
def test_a_gpu_is_used_where_containers_can(
    project: Path, given: dict[str, str], runtimes: set[str], use: str, overrides: str | None
) -> None:
    host: dict[str, object] = {"Runtimes": {name: {} for name in runtimes}}
    found = _with_profile(project, {"APP_ENV": "production", **given}, host, lambda _: None)
    assert (found["USE_GPU"], found.get("COMPOSE_OVERRIDES")) == (use, overrides)
    assert (found["APP_ENV"], found["API_WORKERS"]) == ("production", "8")


@pytest.mark.docker
@pytest.mark.parametrize("name", PROFILES)
def test_compose_accepts_a_profile(project: Path, name: str) -> None:
    given = profile(project, name)
    done = ask_compose(**NEEDED, **given)
    assert done.returncode == 0, done.stderr
    services = json.loads(done.stdout)["services"]
    assert services["app"]["deploy"]["replicas"] == FIGURES[name][0]
    assert services["app"]["environment"]["APP_ENV"] == name
    assert services["worker-llm"]["environment"]["LLM_WORKER_CONCURRENCY"] == str(FIGURES[name][2])


SECRET_FILES = {"secret_key": "q" * 48, "database_url": "postgresql://a:b@c/d"}
GOOD = EnvFacts(
    path="/state/compose/env",
    private=True,
    variables={"LOG_LEVEL": "INFO", "APP_CPU_LIMIT": "2"},
    known={"LOG_LEVEL", "APP_CPU_LIMIT", "LLM_MAX_BATCH_SIZE"},
    secret_names=SECRETS,
    secrets=SECRET_FILES,
    needed=("secret_key", "database_url"),
    cores=2,
    memory_mib=16384,
    memory_wanted_mib=14000,
    cores_wanted=2.0,
    refused="",
)


def judged(**changes: Any) -> dict[str, tuple[str, str]]:
    results = judge_env(replace(GOOD, **changes))
    return {r.id: (r.status.value, r.summary) for r in results if r.status is not CheckStatus.PASS}


def test_settings_that_are_right_pass() -> None:
    assert judged() == {}
    assert judged(private=None, secrets={}, needed=()) == {}


@pytest.mark.parametrize(
    ("changes", "check", "status", "words"),
    [
        ({"private": False}, "private", "fail", "can be read by others"),
        (
            {"variables": {"LLM_MAX_BATCHSIZE": "8"}},
            "names", "fail", "LLM_MAX_BATCHSIZE (did you mean LLM_MAX_BATCH_SIZE?)",
        ),
        ({"variables": {"QWERTZ": "8"}}, "names", "fail", "nothing reads QWERTZ"),
        ({"variables": {"LOG_LEVEL": "LOUD"}}, "values", "fail", "LOG_LEVEL is not one of"),
        (
            {"known": {*GOOD.known, "SECRET_KEY"}, "variables": {"SECRET_KEY": "hush-hush"}},
            "secrets", "fail", "SECRET_KEY stands in",
        ),
        ({"secrets": None}, "secrets", "unknown", "cannot be read"),
        ({"secrets": {"secret_key": "q" * 48}}, "secrets", "fail", "empty: database_url"),
        (
            {"secrets": SECRET_FILES | {"secret_key": "changeme" * 6}},
            "secrets", "fail", "too short: secret_key",
        ),
        (
            {"secrets": SECRET_FILES | {"secret_key": "q" * 31}},
            "secrets", "fail", "too short: secret_key",
        ),
        ({"memory_wanted_mib": 16385}, "memory", "fail", "more than there is"),
        ({"memory_mib": None}, "memory", "unknown", "does not answer"),
        ({"cores_wanted": 22.0}, "cpus", "warn", "limits of 22 cores in all on 2"),
        ({"variables": {"APP_CPU_LIMIT": "3"}}, "cpus", "fail", "refuses more than its 2 cores"),
        ({"refused": "docker compose config failed: x"}, "compose", "fail", "config failed: x"),
        ({"refused": None}, "compose", "unknown", "not asked"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(
    changes: dict[str, Any], check: str, status: str, words: str
) -> None:
    found = judged(**changes)
    assert found.keys() == {check}
    assert found[check][0] == status
    assert words in found[check][1]
    assert "hush-hush" not in str(found)


def run(state: Path, *arguments: str) -> int:
    def build(_: object) -> Any:
        raise AssertionError("no engine is needed")

    return main(["--state", str(state), "env", *arguments], build)[0]


@pytest.mark.docker
def test_settings_are_made_from_a_profile_and_pass_their_own_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in os.environ.keys() & (known_variables(Path.cwd()).keys() | OWN_VARIABLES):
        monkeypatch.delenv(name)
    # Its eight application processes fit a small machine of the tests, too.
    monkeypatch.setenv("LLM_WORKER_REPLICAS", "0")
    monkeypatch.setenv("RL_WORKER_REPLICAS", "0")
    monkeypatch.setenv("COMPOSE_PROJECT_NAME", f"fragrance-test-env-{os.getpid()}")
    state = tmp_path / "state"

    assert run(state, "check") == 5
    assert run(state, "init", "--profile", "prod") == 0
    env = read_env(state / "compose" / "env")
    assert (env["APP_ENV"], env["API_WORKERS"], env["AUTO_SCALING"]) == ("prod", "8", "true")
    assert (state / "environment").read_text() == "prod\n"
    assert "app-8:8000" in (state / "compose/nginx/upstreams/app.conf").read_text()
    before = (state / "compose" / "env").read_bytes()

    capsys.readouterr()
    assert run(state, "init", "--profile", "staging") == 3
    assert run(state, "init") == 0
    assert (state / "compose" / "env").read_bytes() == before
    assert "there already" in capsys.readouterr().out
    assert run(state, "check") == 0, capsys.readouterr().out

    with (state / "compose" / "env").open("a") as file:
        file.write("LLM_WORKER_MEMORY_LIMT=4G\nLOG_LEVEL=loud\n")
    capsys.readouterr()
    assert run(state, "check", "--json") == 1
    answer = json.loads(capsys.readouterr().out)
    assert not answer["passed"]
    failed = {c["id"]: c["summary"] for c in answer["checks"] if c["status"] == "fail"}
    assert failed.keys() == {"names", "values"}
    assert "did you mean LLM_WORKER_MEMORY_LIMIT?" in failed["names"]


@pytest.mark.docker
def test_a_profile_is_checked_without_being_used(tmp_path: Path, project: Path) -> None:
    assert run(tmp_path, "check", str(project / ".env.dev"), "--json") in (0, 1)
    assert not list(tmp_path.iterdir())
