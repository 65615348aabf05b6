"""
The stack file for Swarm, made from the production file.

``python -m console.runtimes.compose.swarm_file > compose/docker-stack.production.yml`` writes
it again; a test keeps the two together.  Swarm rejects ``name``, ``profiles`` and the map form
of ``depends_on``, publishes what is meant for loopback on every address, ignores ``tmpfs``,
``restart`` and ``security_opt``, and knows no directory of the manager on its other hosts.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from console.domain.amounts import parse_size
from console.settings import PROJECT

SOURCE = "docker-compose.production.yml"
HEADER = """\
# The production stack for Swarm.  Made from docker-compose.production.yml, not by hand:
#
#   python -m console.runtimes.compose.swarm_file > compose/docker-stack.production.yml
#
# On a manager, with the images in a registry that every host reaches:
#
#   fragrance env init --profile prod
#   docker node update --label-add fragrance.stores=true NODE    # keeps the data, has 80 and 443
#   set -a; . STATE/compose/env; set +a; export IMAGE_PREFIX=registry.example/
#   docker stack deploy --with-registry-auth -c compose/docker-stack.production.yml fragrance
#
# The state must lie on that node, the manager, under the same path.
"""
#: What Swarm rejects or ignores, and what is said in another way below.
LEFT_OUT = frozenset(
    {
        *("profiles", "depends_on", "security_opt", "shm_size", "pid", "restart", "tmpfs"),
        *("ports", "volumes", "deploy", "image", "build", "develop"),
    }
)
#: Nobody misses them on a first day: `docker service scale fragrance_grafana=1`.
OPTIONAL_PROFILES = frozenset({"grafana", "tensorboard"})
#: Volumes whose contents are the same wherever a replica runs, or nobody's loss.
ANYWHERE = frozenset({"logs", "model-cache", "models"})
STORES_NODE = "node.labels.fragrance.stores == true"
#: Tests of the rules are not read by a server.
NOT_SHIPPED = frozenset({"tests"})
_NESTED = re.compile(r"\$\{([A-Z_]+):-\$\{[A-Z_]+:-([^{}]*)\}\}")
_SIZE_OPTION = re.compile(r"size=(\d+[kmg])")


def swarm_stack(directory: Path) -> str:
    """
    Return the stack file.

    Args:
        directory: Of the production file and everything that it mounts.
    """
    document = yaml.safe_load((directory / SOURCE).read_text(encoding="utf-8"))
    configs: dict[str, Path] = {}
    services = {
        name: _service(name, service, directory, configs)
        for name, service in document["services"].items()
    }
    # One edge replaces Docker's names of single containers by that of the service.
    members = directory / "nginx" / "swarm" / "app.conf"
    configs[_config_name(members, directory)] = members
    services["nginx"]["configs"].append(
        {
            "source": _config_name(members, directory),
            "target": "/etc/fragrance/upstreams/app.conf",
        }
    )
    stack = {
        "services": services,
        "networks": {name: {"driver": "overlay"} for name in document["networks"]},
        "volumes": document["volumes"],
        "configs": {
            name: {
                "name": f"{name}-v${{VERSION:?is in the env file}}",
                "file": f"./{path.relative_to(directory)}",
            }
            for name, path in sorted(configs.items())
        },
        "secrets": document["secrets"],
    }
    text = yaml.dump(stack, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=100)
    return HEADER + _NESTED.sub(r"${\1:-\2}", text)


class _Plain(yaml.SafeDumper):
    """Writes what was shared in the source out in full."""

    def ignore_aliases(self, data: object) -> bool:
        """Return that nothing is an alias."""
        del data
        return True


def _service(
    name: str, service: Mapping[str, Any], directory: Path, configs: dict[str, Path]
) -> dict[str, Any]:
    made: dict[str, Any] = {"image": _image(service["image"])}
    made |= {key: value for key, value in service.items() if key not in LEFT_OUT}
    volumes, mounted = [], []
    for entry in service.get("volumes", ()):
        source, target = _split(entry)
        if not source.startswith("./"):
            volumes.append(entry)
            continue
        for path, place in _files(directory / source, target):
            config = _config_name(path, directory)
            configs[config] = path
            mounted.append({"source": config, "target": place})
    volumes += [_memory(entry) for entry in service.get("tmpfs", ())]
    if size := service.get("shm_size"):
        volumes.append(_memory(f"/dev/shm:size={size}"))  # noqa: S108 -- the container's own
    made |= {"volumes": volumes} if volumes else {}
    made |= {"configs": mounted} if mounted else {}
    if ports := _ports(service):
        made["ports"] = ports
    made["deploy"] = _deploy(name, service)
    return made


def _image(image: str) -> str:
    """Ours come from a registry that every host reaches."""
    return f"${{IMAGE_PREFIX:-}}{image}" if image.startswith("fragrance-ai-") else image


def _split(entry: str) -> tuple[str, str]:
    """Return source and target of a mount; variables have colons of their own."""
    source, target = re.sub(r"\$\{[^}]*\}", lambda m: m[0].replace(":", "\0"), entry).split(":")[:2]
    return source.replace("\0", ":"), target


def _files(place: Path, target: str) -> Iterator[tuple[Path, str]]:
    if place.is_file():
        yield place, target
        return
    for path in sorted(place.rglob("*")):
        inside = path.relative_to(place)
        if path.is_file() and NOT_SHIPPED.isdisjoint(inside.parts) and "swarm" not in inside.parts:
            yield path, f"{target}/{inside}"


def _config_name(path: Path, directory: Path) -> str:
    return "-".join(path.relative_to(directory).parts)


def _memory(entry: str) -> dict[str, Any]:
    """Return a mount in memory, which Swarm knows in its long form only."""
    target, _, options = entry.partition(":")
    size = _SIZE_OPTION.search(options)
    return {
        "type": "tmpfs",
        "target": target,
        "tmpfs": {"size": parse_size(size[1]) if size else 64 * 1024**2},
    }


def _ports(service: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Leave out what is for loopback; the rest keeps the client's address, which limits need."""
    found = []
    for entry in service.get("ports", ()):
        if entry.startswith("127."):
            continue
        published, target = _split(entry)
        found.append({"target": int(target), "published": published, "mode": "host"})
    return found


def _deploy(name: str, service: Mapping[str, Any]) -> dict[str, Any]:
    made = dict(service.get("deploy", {}))
    made["resources"] = {
        kind: {key: str(value) for key, value in sizes.items()}
        for kind, sizes in made.get("resources", {}).items()
    }
    labels = service.get("labels", {})
    if labels:
        made["labels"] = labels
    profiles = frozenset(service.get("profiles", ()))
    single = "replicas" not in made
    if service.get("restart") == "no":
        made |= {"mode": "replicated-job", "restart_policy": _restart("on-failure")}
        return made | _pinned(name, service)
    if name == "node-exporter":
        made["mode"] = "global"
    elif profiles & OPTIONAL_PROFILES:
        made["replicas"] = 0
    made["restart_policy"] = _restart("any")
    # Without it a name would stand for one address, and Prometheus would see one replica.
    made["endpoint_mode"] = "dnsrr"
    made["update_config"] = {
        "parallelism": 1,
        # Two servers on one volume, or on one port, cannot be.
        "order": "stop-first" if single else "start-first",
        "failure_action": "rollback",
        "monitor": "30s",
    }
    return made | _pinned(name, service)


def _pinned(name: str, service: Mapping[str, Any]) -> dict[str, Any]:
    """Keep what has data, or the state of this host, where those are."""
    sources = {_split(entry)[0] for entry in service.get("volumes", ())}
    own = {s for s in sources if not s.startswith(("./", "/")) and s not in ANYWHERE}
    return {"placement": {"constraints": [STORES_NODE]}} if own and name != "node-exporter" else {}


def _restart(condition: str) -> dict[str, str]:
    return {"condition": condition, "delay": "5s"}


if __name__ == "__main__":
    sys.stdout.write(swarm_stack(PROJECT / "compose"))
