"""The compose files as compose itself reads them: what every service has, and what nobody has."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from functools import cache
from itertools import combinations
from typing import Any

import pytest

from tests.compose_stack import COMPOSE, PROJECT

pytestmark = pytest.mark.docker

CORE = {"nginx", "app", "worker-llm", "worker-rl", "postgres", "redis"}
PROFILES = {
    "setup": {"migrate"},
    "monitoring": {
        "prometheus", "alertmanager", "celery-exporter", "postgres-exporter",
        "redis-exporter", "node-exporter", "nginx-exporter",
    },
    "grafana": {"grafana"},
    "tensorboard": {"tensorboard"},
}  # fmt: skip
#: Cores and GiB: limit, then reservation, as the product is specified.
SIZES = {
    "postgres": (2.0, 2, 0.5, 0.5),
    "redis": (1.0, 1, 0.25, 0.25),
    "app": (2.0, 2, 0.5, 0.5),
    "worker-llm": (4.0, 8, 1.0, 2),
    "worker-rl": (4.0, 8, 1.0, 2),
    "nginx": (1.0, 0.5, None, None),
    "prometheus": (1.0, 1, None, None),
    "grafana": (1.0, 0.5, None, None),
}
OVERRIDES = ("development", "gpu", "external-postgres", "external-redis", "logs")
#: Services that an override takes away and adds.
TAKEN = {"external-postgres": "postgres", "external-redis": "redis"}
ADDED = {"logs": "log-shipper"}
#: Set whenever the files are read; everything else has a default.
NEEDED = {"FRAGRANCE_COMPOSE_STATE": "/nowhere", "VERSION": "1.2.3"}
ELSEWHERE = {"EXTERNAL_REDIS_ADDRESS": "redis://elsewhere:6379"}


def ask_compose(
    *overrides: str, profiles: str = "*", **variables: str
) -> subprocess.CompletedProcess[str]:
    files = [f"--file={COMPOSE}/docker-compose.{name}.yml" for name in ("production", *overrides)]
    docker = shutil.which("docker")
    assert docker is not None
    return subprocess.run(
        [docker, "compose", "--env-file", "/dev/null", *files, "config", "--format", "json"],
        capture_output=True, text=True, timeout=60, check=False,
        env={"PATH": "/usr/bin:/bin", "HOME": "/tmp", "COMPOSE_PROFILES": profiles, **variables},
    )  # fmt: skip


@cache
def project(*overrides: str, **variables: str) -> dict[str, Any]:
    done = ask_compose(*overrides, **(NEEDED | ELSEWHERE | variables))
    assert done.returncode == 0, done.stderr
    assert "level=warning" not in done.stderr, done.stderr
    read: dict[str, Any] = json.loads(done.stdout)
    return read


def services(*overrides: str) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = project(*overrides)["services"]
    return found


ALL = sorted(CORE.union(*PROFILES.values()))
RUNNING = [name for name in ALL if name != "migrate"]


@pytest.mark.parametrize(
    "overrides", [*combinations(OVERRIDES, 0), *combinations(OVERRIDES, 2), OVERRIDES], ids=str
)
def test_every_combination_of_files_is_valid(overrides: tuple[str, ...]) -> None:
    gone = {TAKEN[name] for name in overrides if name in TAKEN}
    new = {ADDED[name] for name in overrides if name in ADDED}
    assert set(services(*overrides)) == (set(ALL) - gone) | new


def test_servers_of_others_are_neither_run_nor_waited_for_and_are_still_measured() -> None:
    with_others = services("external-postgres", "external-redis")
    assert not [name for name, service in with_others.items() if service.get("depends_on")]
    labels = with_others["app"]["labels"]
    assert labels["console.external.database"] == "{secret:database_url}"
    assert labels["console.external.broker"] == "{secret:redis_url}"
    assert {"database_url", "redis_url"} <= {s["source"] for s in with_others["app"]["secrets"]}
    exporter = with_others["postgres-exporter"]["environment"]
    assert not [value for value in exporter.values() if not value.startswith("/run/secrets/")]
    redis = with_others["redis-exporter"]["environment"]
    assert redis["REDIS_ADDR"] == ELSEWHERE["EXTERNAL_REDIS_ADDRESS"]
    volumes = project("external-postgres", "external-redis")["volumes"]
    assert volumes.keys() == project()["volumes"].keys() - {"postgres-data", "redis-data"}


def test_the_shipper_of_logs_reads_and_can_change_nothing() -> None:
    shipper = services("logs")["log-shipper"]
    assert shipper["profiles"] == ["monitoring"]
    assert (shipper["read_only"], shipper["cap_drop"]) == (True, ["ALL"])
    assert shipper["security_opt"] == ["no-new-privileges:true"]
    binds = [mount for mount in shipper["volumes"] if mount["type"] == "bind"]
    assert all(mount["read_only"] for mount in binds)
    assert "ports" not in shipper
    assert "/nowhere/secrets/log_store_url" in json.dumps(project("logs")["secrets"])
    for name, service in services().items():
        assert service == services("logs")[name], "a service is touched by it"


def test_each_service_is_in_its_profile() -> None:
    for name, service in services().items():
        expected = [profile for profile, names in PROFILES.items() if name in names]
        assert service.get("profiles", []) == expected
    done = ask_compose(profiles="", **NEEDED)
    assert set(json.loads(done.stdout)["services"]) == CORE


@pytest.mark.parametrize("missing", sorted(NEEDED))
def test_what_is_needed_is_asked_for_by_name(missing: str) -> None:
    done = ask_compose(**{k: v for k, v in NEEDED.items() if k != missing})
    assert done.returncode != 0
    assert missing in done.stderr
    assert "is in the env file" in done.stderr


def test_the_project_has_its_name_unless_told_otherwise() -> None:
    assert project()["name"] == "fragrance-ai"
    assert project(COMPOSE_PROJECT_NAME="another")["name"] == "another"


@pytest.mark.parametrize("name", RUNNING)
def test_a_service_is_watched_bounded_and_comes_back(name: str) -> None:
    service = services()[name]
    assert service["restart"] == "unless-stopped"
    assert service["healthcheck"]["test"][0] in {"CMD", "NONE"}
    assert (service["healthcheck"]["test"][0] == "NONE") == (name == "nginx-exporter")
    assert "curl" not in service["healthcheck"]["test"]
    assert service["logging"]["driver"] == "json-file"
    bounds = {"max-size", "max-file"}
    assert set(service["logging"]["options"]) == bounds | {"labels", "tag"}
    limits = service["deploy"]["resources"]["limits"]
    assert float(limits["cpus"]) > 0
    assert int(limits["memory"]) > 0
    assert service["networks"]
    assert service["init"] is True


@pytest.mark.parametrize("name", ALL)
def test_a_service_may_do_as_little_as_possible(name: str) -> None:
    service = services()[name]
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["read_only"] is True
    assert not service.get("privileged")
    assert service.get("user", "10001") not in {"root", "0"}
    for mount in service.get("volumes", []):
        if mount["type"] == "bind":
            assert mount["read_only"] is True, mount


@pytest.mark.parametrize("name", RUNNING)
def test_a_service_tells_the_console_what_it_is(name: str) -> None:
    labels = services()[name]["labels"]
    assert labels["console.role"] in {
        "app", "worker", "database", "broker", "proxy", "monitoring"
    }  # fmt: skip
    assert labels["console.drain"] in {"http", "celery", "none"}
    asked = {"console.health.url", "console.url", "console.queue"} & labels.keys()
    assert asked, "nothing tells whether it works"
    for name_ in ("console.health.url", "console.metrics.url"):
        assert "{address}" in labels.get(name_, "{address}")


def test_sizes_and_numbers_are_those_of_the_specification() -> None:
    for name, (cpus, memory, reserved_cpus, reserved_memory) in SIZES.items():
        resources = services()[name]["deploy"]["resources"]
        assert float(resources["limits"]["cpus"]) == cpus
        assert int(resources["limits"]["memory"]) == memory * 1024**3
        if reserved_cpus is not None and reserved_memory is not None:
            assert float(resources["reservations"]["cpus"]) == reserved_cpus
            assert int(resources["reservations"]["memory"]) == reserved_memory * 1024**3
    replicas = {name: services()[name].get("deploy", {}).get("replicas", 1) for name in RUNNING}
    assert {name: n for name, n in replicas.items() if n != 1} == {"app": 2, "worker-llm": 2}


def test_only_the_edge_is_published_to_everybody_and_replicas_to_nobody() -> None:
    for name, service in services().items():
        ports = service.get("ports", [])
        if name == "nginx":
            assert {port["published"] for port in ports} == {"80", "443"}
            assert not any(port.get("host_ip") for port in ports)
        else:
            assert all(port["host_ip"] == "127.0.0.1" for port in ports)
    for name in ("app", "worker-llm", "worker-rl"):
        assert "ports" not in services()[name]
    published = {name for name, service in services().items() if service.get("ports")}
    assert published == {
        "nginx", "postgres", "redis", "prometheus", "alertmanager", "grafana", "tensorboard"
    }  # fmt: skip


def test_networks_keep_the_edge_away_from_the_data() -> None:
    networks = {name: set(service["networks"]) for name, service in services().items()}
    assert networks["nginx"] == {"edge", "monitoring"}
    assert networks["app"] == {"edge", "data", "monitoring"}
    assert networks["postgres"] == networks["redis"] == networks["migrate"] == {"data"}
    assert {name for name, where in networks.items() if "edge" in where} == {"nginx", "app"}
    assert not any(network.get("internal") for network in project()["networks"].values())


def test_secrets_are_files_and_in_no_environment() -> None:
    text = json.dumps(project())
    assert set(project()["secrets"]) >= {"postgres_password", "redis_password", "secret_key"}
    for secret in project()["secrets"].values():
        assert secret["file"].startswith("/nowhere/secrets/")
    assert not re.search(r"://[^/\"@{]*:[^/\"@{]+@", text), "a password in an address"
    for name, service in services().items():
        for variable in service.get("environment") or {}:
            named = re.search(r"PASSWORD|SECRET|TOKEN|_KEY|DSN|DATABASE_URL|REDIS_URL", variable)
            allowed = variable.endswith(("_FILE", "__FILE")) or variable == "SECRETS_DIR"
            assert not named or allowed, f"{name}: {variable}"


def test_data_lies_in_named_volumes() -> None:
    assert set(project()["volumes"]) >= {
        "postgres-data", "redis-data", "logs", "checkpoints", "models", "model-cache", "tensorboard"
    }  # fmt: skip
    places = {
        (name, mount["source"]): mount["target"]
        for name, service in services().items()
        for mount in service.get("volumes", [])
        if mount["type"] == "volume"
    }
    assert places["worker-rl", "checkpoints"] == "/app/checkpoints"
    assert places["worker-rl", "tensorboard"] == "/app/tensorboard"
    assert places["tensorboard", "tensorboard"] == "/app/tensorboard"
    assert places["worker-llm", "model-cache"] == "/app/cache"
    assert {source for _, source in places} == set(project()["volumes"])


def test_containers_outlive_what_they_have_in_hand() -> None:
    grace = {name: service["stop_grace_period"] for name, service in services().items()}
    # The application itself takes up to 30 s, a worker hands its task back after 20 s.
    assert grace["app"] == "40s"
    assert grace["worker-llm"] == grace["worker-rl"] == "1m0s"
    assert grace["postgres"] == "2m0s"


def test_in_development_the_source_is_mounted_and_watched() -> None:
    development = services("development")
    for name in ("app", "worker-llm", "worker-rl"):
        service = development[name]
        sources = {mount["target"]: mount["source"] for mount in service["volumes"]}
        assert sources["/app/backend"] == str(PROJECT / "backend")
        assert service["deploy"]["replicas"] == 1
        watched = {rule["path"] for rule in service["develop"]["watch"]}
        assert any(path.startswith(str(PROJECT)) for path in watched)
        assert {rule["action"] for rule in service["develop"]["watch"]} == {"restart"}
    (port,) = development["app"]["ports"]
    assert (port["host_ip"], port["target"]) == ("127.0.0.1", 8000)


def test_with_a_gpu_the_workers_get_its_devices_and_keep_their_limits() -> None:
    for name in ("worker-llm", "worker-rl"):
        service = services("gpu")[name]
        (device,) = service["deploy"]["resources"]["reservations"]["devices"]
        assert (device["driver"], device["capabilities"]) == ("nvidia", ["gpu"])
        assert service["environment"]["USE_GPU"] == "true"
        assert float(service["deploy"]["resources"]["limits"]["cpus"]) == 4.0
    assert "devices" not in json.dumps(services("gpu")["app"])


def test_dockerfiles_build_without_a_network_and_end_with_an_exec_form() -> None:
    for path in sorted(COMPOSE.glob("Dockerfile.*")):
        text = path.read_text()
        assert re.search(r"^ARG PYTHON_BASE=python:3\.11-slim$", text, re.MULTILINE)
        # A syntax line would be fetched from an image registry.
        assert "syntax=" not in text
        runs = re.findall(r"^RUN .*", text, re.MULTILINE)
        assert runs
        assert all("--network=none" in run for run in runs)
        assert re.search(r'^CMD \["python", "-m", ', text, re.MULTILINE)
        assert re.search(r"^USER 10001:10001$", text, re.MULTILINE)
    llm, rl = ((COMPOSE / f"Dockerfile.worker-{name}").read_text() for name in ("llm", "rl"))
    mark = "# --- what only this worker needs"
    instructions = [
        [line for line in text.split(mark)[0].splitlines() if not line.startswith("#")]
        for text in (llm, rl)
    ]
    assert instructions[0] == instructions[1], "their layers with PyTorch would differ"
