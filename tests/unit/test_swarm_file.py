"""The stack file for Swarm: made from the production file, and accepted by Docker itself."""

from __future__ import annotations

import subprocess
from functools import cache
from typing import Any

import pytest
import yaml

from console.runtimes.compose.swarm_file import STORES_NODE, swarm_stack
from tests.compose_stack import COMPOSE, own_environment

FILE = COMPOSE / "docker-stack.production.yml"
SOURCE = COMPOSE / "docker-compose.production.yml"


def test_the_file_is_what_is_made_from_the_production_file() -> None:
    again = "python -m console.runtimes.compose.swarm_file > compose/docker-stack.production.yml"
    assert FILE.read_text() == swarm_stack(COMPOSE), again


@cache
def accepted() -> dict[str, Any]:
    """Return the stack as ``docker stack`` reads it; no Swarm is needed for that."""
    done = subprocess.run(
        ["docker", "stack", "config", "--compose-file", str(FILE)],
        capture_output=True, text=True, timeout=60, check=False,
        env={**own_environment(), "FRAGRANCE_COMPOSE_STATE": "/nowhere", "VERSION": "1.2.3",
             "IMAGE_PREFIX": "registry.example/", "APP_REPLICAS": "4"},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    read: dict[str, Any] = yaml.safe_load(done.stdout)
    return read


@pytest.mark.docker
def test_docker_accepts_it_with_every_service_of_the_production_file() -> None:
    source = yaml.safe_load(SOURCE.read_text())["services"]
    services = accepted()["services"]
    assert services.keys() == source.keys()
    assert services["app"]["image"] == "registry.example/fragrance-ai-app:v1.2.3"
    assert services["app"]["deploy"]["replicas"] == 4
    for name, service in services.items():
        assert service["logging"]["options"].keys() == source[name]["logging"]["options"].keys()
        for key in ("read_only", "cap_drop", "init", "user"):
            assert service.get(key) == source[name].get(key), (name, key)
        assert service["deploy"]["resources"]["limits"]
        assert not {"restart", "depends_on", "profiles", "tmpfs", "pid"} & service.keys()


@pytest.mark.docker
def test_only_the_edge_is_published_and_it_sees_its_clients() -> None:
    published = {n: s["ports"] for n, s in accepted()["services"].items() if s.get("ports")}
    assert published.keys() == {"nginx"}
    assert {(port["published"], port["mode"]) for port in published["nginx"]} == {
        (80, "host"), (443, "host")
    }  # fmt: skip


@pytest.mark.docker
def test_another_host_needs_no_file_of_the_first_one() -> None:
    stack = accepted()
    for name, service in stack["services"].items():
        pinned = STORES_NODE in service["deploy"].get("placement", {}).get("constraints", [])
        for mount in service.get("volumes", []):
            of_host = mount["type"] == "bind" and mount["source"] not in {"/", "/proc", "/sys"}
            data = mount["type"] == "volume" and mount["source"].endswith(("-data", "points"))
            assert pinned or not (of_host or data), f"{name} may run where {mount} is not"
        in_memory = {m["target"] for m in service["volumes"] if m["type"] == "tmpfs"}
        assert "/tmp" in in_memory
    targets = {c["target"] for c in stack["services"]["nginx"]["configs"]}
    assert {"/etc/nginx/nginx.conf", "/etc/fragrance/upstreams/app.conf"} <= targets
    for config in stack["configs"].values():
        assert len(config["name"]) <= 64
        assert config["name"].endswith("-v1.2.3"), "a config is never changed, so it has a version"


@pytest.mark.docker
def test_the_schema_is_migrated_once_and_names_stand_for_every_replica() -> None:
    services = accepted()["services"]
    assert services["migrate"]["deploy"]["mode"] == "replicated-job"
    for name, service in services.items():
        if name != "migrate":
            assert service["deploy"]["endpoint_mode"] == "dnsrr"
            assert service["deploy"]["restart_policy"]["condition"] == "any"
    order = {
        n: s["deploy"]["update_config"]["order"] for n, s in services.items() if n != "migrate"
    }
    assert order["app"] == order["worker-llm"] == "start-first"
    assert order["postgres"] == order["nginx"] == "stop-first"
    assert "server app:8000 resolve;" in (COMPOSE / "nginx" / "swarm" / "app.conf").read_text()
