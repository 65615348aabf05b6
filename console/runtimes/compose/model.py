"""
What a compose project should be, as ``docker compose config`` reads its files.

The answer is kept in ``STATE/compose/model.json`` while the files it came from are
the same; without values of the environment, which may be secrets.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from console.decoding import decoder
from console.domain.services import Limits, Role
from console.errors import ConsoleError, Refused, Unreachable, UsageError
from console.modes import make_directory
from console.runtimes.compose.marks import file_marks
from console.runtimes.compose.project import ComposeProject
from console.runtimes.files import write_json

MODEL_FILE = "model.json"
#: Raised when what is kept changes its meaning.
FORMAT = 5
LABEL_PREFIX = "console."
ROLE_LABEL = "console.role"

#: Roles that the name of an image, service or program gives away: to show something
#: sensible of a project without labels, and never to run two servers on one database.
_ROLE_BY_WORD = {
    **dict.fromkeys(
        (
            *("postgres", "postgresql", "pgvector", "postgis", "timescaledb"),
            *("mysql", "mysqld", "mariadb", "mariadbd", "percona"),
            *("mongo", "mongod", "mongodb", "db", "database"),
        ),
        Role.DATABASE,
    ),
    **dict.fromkeys(("redis", "redis-server", "valkey", "valkey-server"), Role.BROKER),
    **dict.fromkeys(("nginx", "traefik", "caddy", "haproxy"), Role.PROXY),
}
_VARIABLE = re.compile(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)")
_ORDER = tuple(Role)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceModel:
    """
    One service of a compose file.

    Args:
        config_hash: As compose labels its containers: equal means up to date.
        replicas: How many the file wants.
        profiles: Profiles it belongs to; without any it always runs.
        one_shot: It is meant to end by itself.
        secrets: File of each secret it is given, by name.
        grace_seconds: From SIGTERM to SIGKILL.
        limits: What one replica is given.
        published: Host ports with the container's port behind each.
        single: Why there can be no second replica of it on one host; empty if there can.
        container_name: The fixed name of its one container; empty where it has none.
        marks: Digests of how a container of it is made, as :mod:`.marks` has them.
    """

    name: str
    config_hash: str
    image: str = ""
    role: Role = Role.OTHER
    replicas: int = 1
    labels: dict[str, str] = field(default_factory=dict)
    profiles: tuple[str, ...] = ()
    one_shot: bool = False
    secrets: dict[str, str] = field(default_factory=dict)
    grace_seconds: float = 10.0
    limits: Limits = field(default_factory=Limits)
    published: dict[int, int] = field(default_factory=dict)
    single: str = ""
    container_name: str = ""
    marks: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """
    One compose project.

    Args:
        name: Project name, in the label of all its containers.
        services: By role, the product first, then by name.
    """

    name: str
    services: tuple[ServiceModel, ...]

    def service(self, name: str) -> ServiceModel | None:
        """Return the service called *name*, or None."""
        return next((s for s in self.services if s.name == name), None)

    def require(self, name: str) -> ServiceModel:
        """
        Return the service called *name*.

        Raises:
            UsageError: If there is none.
        """
        found = self.service(name)
        if found is None:
            raise UsageError(
                f"there is no service {name!r}",
                unchanged="nothing was changed",
                remedy=f"services: {', '.join(s.name for s in self.services)}",
            )
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    key: str
    model: Model


class ModelFile:
    """
    The model of one project, read anew when what it is made of changed.

    Args:
        project: Whose files to read.
    """

    def __init__(self, project: ComposeProject) -> None:
        self._project = project
        self._kept: _Kept | None = None

    def read(self) -> Model:
        """
        Return the model.

        Raises:
            Refused: If our own project was never prepared.
            Unreachable: If compose cannot be run.
            UsageError: If compose does not accept the files.
        """
        if not self.prepared:
            raise Refused(
                "nothing was started here yet",
                unchanged="nothing was changed",
                remedy="fragrance start --runtime compose",
            )
        key = self._key()
        if self._kept is None or self._kept.key != key:
            kept = self._read_file()
            if kept is None or kept.key != key:
                kept = _Kept(key=key, model=self._ask_compose())
                self._write_file(kept)
            self._kept = kept
        return self._kept.model

    @property
    def prepared(self) -> bool:
        """Whether everything that the files ask for was made."""
        return self._project.env_file is None or self._project.env_file.exists()

    def _key(self) -> str:
        """Return a digest of everything that the model depends on."""
        project = self._project
        parts: list[str] = [str(FORMAT), project.recorded_name() or ""]
        layers = project.layers
        paths = set(layers)
        for pattern in ("*.yaml", "*.yml", ".env*"):  # those extended, included, read by default
            paths.update(project.directory.glob(pattern))
        if project.env_file is not None:
            paths.add(project.env_file)
        environment = project.environment()
        names = {"COMPOSE_PROJECT_NAME"}
        for path in sorted(paths):
            try:
                stat = path.stat()
            except OSError:
                continue
            parts.append(f"{path} {stat.st_mtime_ns} {stat.st_size} {stat.st_ino}")
            if path in layers:
                names.update(_VARIABLE.findall(path.read_text(encoding="utf-8", errors="replace")))
        parts += [f"{name}={environment[name]}" for name in sorted(names) if name in environment]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()

    def _ask_compose(self) -> Model:
        try:
            said = self._project.run("config", "--format", "json")
        except Unreachable:
            raise
        except ConsoleError as error:
            raise UsageError(
                error.message,
                unchanged="nothing was changed",
                remedy=f"mend {self._project.files[0]} and try again",
            ) from error
        config = msgspec.json.decode(said)
        hashes = dict(
            line.split(maxsplit=1)
            for line in self._project.run("config", "--hash", "*").splitlines()
            if line.strip()
        )
        return parse_model(config, hashes)

    def _read_file(self) -> _Kept | None:
        try:
            return decoder(_Kept).decode(self._path.read_bytes())
        except (OSError, msgspec.MsgspecError):
            return None

    def _write_file(self, kept: _Kept) -> None:
        try:
            make_directory(self._path.parent)
            write_json(self._path, kept, durable=False)
        except OSError:
            return  # only slower the next time: who may read a stack need not own its state

    @property
    def _path(self) -> Path:
        return self._project.state / MODEL_FILE


def parse_model(config: Mapping[str, Any], hashes: Mapping[str, str]) -> Model:
    """
    Return the model that ``docker compose config --format json`` describes.

    Args:
        config: Its output.
        hashes: Configuration hash by service.
    """
    services: Mapping[str, Mapping[str, Any]] = config.get("services") or {}
    files = {
        name: str(secret.get("file") or "")
        for name, secret in (config.get("secrets") or {}).items()
        if secret
    }
    awaited = {
        name
        for service in services.values()
        for name, how in (service.get("depends_on") or {}).items()
        if how.get("condition") == "service_completed_successfully"
    }
    models = [
        _service(name, service, hashes.get(name, ""), files, awaited)
        for name, service in services.items()
    ]
    models.sort(key=lambda m: (_ORDER.index(m.role), m.name))
    return Model(name=str(config["name"]), services=tuple(models))


def _service(
    name: str,
    service: Mapping[str, Any],
    config_hash: str,
    secret_files: Mapping[str, str],
    awaited: set[str],
) -> ServiceModel:
    labels = {str(k): str(v) for k, v in (service.get("labels") or {}).items()}
    deploy = service.get("deploy") or {}
    replicas = deploy.get("replicas", service.get("scale"))
    profiles = tuple(service.get("profiles") or ())
    restarts = service.get("restart", "no") not in ("no", "")
    image = str(service.get("image") or "")
    published = {
        int(port["published"]): int(port["target"])
        for port in service.get("ports") or ()
        if str(port.get("published", "")).isdecimal()
    }
    return ServiceModel(
        name=name,
        config_hash=config_hash,
        image=image,
        role=_role(labels.get(ROLE_LABEL), name, image, _program(service)),
        replicas=1 if replicas is None else int(replicas),
        labels={k: v for k, v in labels.items() if k.startswith(LABEL_PREFIX)},
        profiles=profiles,
        one_shot=name in awaited or (bool(profiles) and not restarts),
        secrets={
            str(secret["source"]): secret_files.get(str(secret["source"]), "")
            for secret in service.get("secrets") or ()
        },
        grace_seconds=_seconds(service.get("stop_grace_period")),
        limits=_limits(service, deploy.get("resources") or {}),
        published=published,
        single=_single(str(service.get("container_name") or ""), published),
        container_name=str(service.get("container_name") or ""),
        marks=file_marks(service),
    )


def _limits(service: Mapping[str, Any], resources: Mapping[str, Any]) -> Limits:
    """Return what one replica is given, in the new way of writing it or the old one."""
    most, kept = resources.get("limits") or {}, resources.get("reservations") or {}
    cpus = most.get("cpus") or service.get("cpus")
    memory = most.get("memory") or service.get("mem_limit")
    kept_cpus = kept.get("cpus")
    kept_memory = kept.get("memory") or service.get("mem_reservation")
    return Limits(
        cpu_cores=float(cpus) if cpus else None,
        memory_bytes=int(memory) if memory else None,
        cpu_reserved_cores=float(kept_cpus) if kept_cpus else None,
        memory_reserved_bytes=int(kept_memory) if kept_memory else None,
    )


def _single(container_name: str, published: Mapping[int, int]) -> str:
    """Return why two replicas cannot be there at once, empty where they can."""
    if container_name:
        return f"its compose file gives it the container name {container_name}"
    # Port 0 is any free one; a range has room for as many replicas as the engine finds in it.
    fixed = sorted(port for port in published if port)
    return f"it publishes port {fixed[0]} of the host" if fixed else ""


def _role(label: str | None, name: str, image: str, program: str) -> Role:
    """Return the role that is labelled, else the one that image, name or program gives away."""
    if label is not None:
        return Role(label) if label in {role.value for role in Role} else Role.OTHER
    repository = image.rpartition("/")[2].partition("@")[0].partition(":")[0]
    roles = (_ROLE_BY_WORD.get(word) for word in (repository, name, program))
    return next((role for role in roles if role is not None), Role.OTHER)


def _program(service: Mapping[str, Any]) -> str:
    """Return the name of the program that the file has run, empty where the image decides."""
    words = service.get("entrypoint") or service.get("command") or [""]
    return str(words[0]).rpartition("/")[2]


_DURATION = re.compile(r"(\d+(?:\.\d+)?)(h|ms|m|s)")
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


def _seconds(duration: object) -> float:
    """Return a duration as compose writes it (``1m30s``) in seconds; its default without."""
    found = _DURATION.findall(str(duration)) if duration else []
    return sum(float(number) * _UNITS[unit] for number, unit in found) if found else 10.0
