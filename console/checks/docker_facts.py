"""What this host and its Docker Engine say of themselves; read only, judged elsewhere."""

from __future__ import annotations

import json
import re
import shutil
import ssl
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from console.checks.reading import Said, run
from console.domain.text import plain_text
from console.settings import PROJECT, Settings

#: What the stack publishes on every address, by the variable that says another port.
PUBLIC_PORTS = {"HTTP_PORT": 80, "HTTPS_PORT": 443}
DEFAULT_PROJECT = "fragrance-ai"
#: Where the engine keeps its data unless it says otherwise.
DATA_ROOT = Path("/var/lib/docker")

TLS_SECONDS = 3.0
NAMES_ASKED = 5
#: Exit code of getent.
NO_SUCH_NAME = 2
_DNS_NAME = re.compile(r"DNS:([A-Za-z0-9][A-Za-z0-9.-]*)")

_PROJECT_LABEL = "com.docker.compose.project"
_PUBLISHED = re.compile(r":(\d+)(?:-(\d+))?->")


@dataclass(frozen=True, slots=True)
class Disk:
    """The filesystem that holds the engine's data: its size and what is free, bytes."""

    path: str
    size_bytes: int
    free_bytes: int


@dataclass(frozen=True, slots=True)
class Holder:
    """
    Who holds a port of this host.

    Args:
        name: Of the container, else of the program; "" when it is not told.
        project: Compose project of the container, "" for anything else.
    """

    name: str
    project: str = ""


@dataclass(frozen=True, slots=True)
class Certificate:
    """
    The certificate that is there for nginx.

    Args:
        path: Its file.
        said: What openssl says of it.
        shown: Whether it is the one that nginx shows; None where nginx cannot be asked.
        unknown_names: Names it is for that no name server knows.
    """

    path: str
    said: Said
    shown: bool | None = None
    unknown_names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DockerFacts:
    """
    Everything the checks of the compose runtime look at.

    Args:
        client: Whether there is a docker command.
        engine_version: Of the daemon; None when it does not answer.
        engine_problem: Why it does not; "" when it does.
        compose_version: Of the plugin; None when there is none.
        buildx_version: Of the plugin; None when there is none.
        info: The daemon's ``docker info``; empty when it does not answer.
        images: Names with tags; None when the daemon does not answer.
        version: Of this product, without ``v``; None where another project is looked at.
        cgroup_version: 1 or 2; None when neither can be seen.
        controllers: Cgroup controllers that are enabled.
        disk: Where the engine keeps its data.
        ports: The stack's public ports by variable; empty for another project.
        env_file: What names them; "" before a first start, which takes what is free.
        held: Who holds ports of this host; None when that cannot be read.
        project: Name of the compose project of this stack.
        certificate: nginx's; None while there is none.
        gpu: Whether an NVIDIA GPU is there.
    """

    client: bool = False
    engine_version: str | None = None
    engine_problem: str = ""
    compose_version: str | None = None
    buildx_version: str | None = None
    info: Mapping[str, Any] = field(default_factory=dict)
    images: frozenset[str] | None = None
    version: str | None = None
    cgroup_version: int | None = None
    controllers: frozenset[str] = frozenset()
    disk: Disk | None = None
    ports: Mapping[str, int] = field(default_factory=dict)
    env_file: str = ""
    held: Mapping[int, Holder] | None = None
    project: str = DEFAULT_PROJECT
    certificate: Certificate | None = None
    gpu: bool = False


def read_docker_facts(settings: Settings) -> DockerFacts:
    """Read everything; takes no longer than the slowest question (10 s if the daemon hangs)."""
    questions = {
        "version": ("docker", "version", "--format", "{{.Server.Version}}"),
        "info": ("docker", "info", "--format", "{{json .}}"),
        "compose": ("docker", "compose", "version", "--short"),
        "buildx": ("docker", "buildx", "version"),
        "images": ("docker", "image", "ls", "--format", "{{.Repository}}:{{.Tag}}"),
        "containers": (
            *("docker", "ps", "--format"),
            f'{{{{.Names}}}}\t{{{{.Label "{_PROJECT_LABEL}"}}}}\t{{{{.Ports}}}}',
        ),
    }
    with ThreadPoolExecutor(len(questions)) as pool:
        said = dict(zip(questions, pool.map(run, questions.values()), strict=True))
    info = _decoded(said["info"])
    ours = settings.file is None
    env_file = settings.state / "compose" / "env"
    variables = _variables(env_file) if ours else {}
    version = _first_word(said["version"])
    cgroup_version, controllers = read_cgroups()
    return DockerFacts(
        client=said["version"].found,
        engine_version=version,
        engine_problem="" if version else said["version"].problem or "says nothing",
        compose_version=_first_word(said["compose"]),
        buildx_version=_version_in(said["buildx"]),
        info=info,
        images=frozenset(said["images"].out.split()) if said["images"].ok else None,
        version=(PROJECT / "VERSION").read_text(encoding="utf-8").strip() if ours else None,
        cgroup_version=cgroup_version,
        controllers=controllers,
        disk=_disk(Path(str(info.get("DockerRootDir") or DATA_ROOT))),
        ports=_ports(variables) if ours else {},
        env_file=str(env_file) if variables else "",
        held=_held(said["containers"]),
        project=_project_name(settings, variables),
        certificate=_certificate(
            settings.state / "compose" / "nginx" / "tls" / "fullchain.pem",
            _ports(variables)["HTTPS_PORT"] if ours else None,
        ),
        gpu=Path("/proc/driver/nvidia/version").exists(),
    )


def read_cgroups(
    mount: Path = Path("/sys/fs/cgroup"), table: Path = Path("/proc/cgroups")
) -> tuple[int | None, frozenset[str]]:
    """Return the version of the cgroups that an engine uses here, and what is enabled."""
    try:
        return 2, frozenset((mount / "cgroup.controllers").read_text(encoding="ascii").split())
    except OSError:
        pass
    try:
        rows = [line.split() for line in table.read_text(encoding="ascii").splitlines()]
    except OSError:
        return None, frozenset()
    mounted = {path.name for path in mount.iterdir()} if mount.is_dir() else set()
    enabled = {row[0] for row in rows if len(row) == 4 and row[3] == "1"} & mounted
    return (1 if enabled else None), frozenset(enabled)


def published_ports(containers: str) -> dict[int, Holder]:
    """Return who publishes what, from lines of name, project and ports, tabs between."""
    found: dict[int, Holder] = {}
    for line in containers.splitlines():
        name, _, rest = line.partition("\t")
        project, _, ports = rest.partition("\t")
        for match in _PUBLISHED.finditer(ports):
            first, last = int(match[1]), int(match[2] or match[1])
            for port in range(first, min(last, 65535) + 1):
                found[port] = Holder(plain_text(name, 80), plain_text(project, 80))
    return found


def _held(containers: Said) -> dict[int, Holder] | None:
    import psutil

    try:
        sockets = psutil.net_connections(kind="tcp")
    except (OSError, psutil.Error):
        return None
    held: dict[int, Holder] = {}
    for socket in sockets:
        if socket.status == psutil.CONN_LISTEN and socket.laddr:
            held.setdefault(socket.laddr.port, Holder(_program(socket.pid)))
    # A container's name says more than that of the program that listens for it.
    return held | (published_ports(containers.out) if containers.ok else {})


def _program(pid: int | None) -> str:
    import psutil

    try:
        return plain_text(psutil.Process(pid).name(), 40) if pid else ""
    except psutil.Error:
        return ""


def _decoded(said: Said) -> Mapping[str, Any]:
    try:
        found = json.loads(said.out) if said.ok else {}
    except ValueError:
        found = {}
    # Without a daemon the client still prints what it knows of itself.
    return found if isinstance(found, dict) and found.get("ServerVersion") else {}


def _first_word(said: Said) -> str | None:
    words = said.out.split() if said.ok else []
    return plain_text(words[0], 40) if words else None


def _version_in(said: Said) -> str | None:
    """``github.com/docker/buildx 0.13.1 COMMIT``."""
    words = said.out.split() if said.ok else []
    return plain_text(words[1] if len(words) > 1 else "unknown", 40) if words else None


def _disk(root: Path) -> Disk | None:
    place = root
    while not place.exists() and place != place.parent:
        place = place.parent
    try:
        usage = shutil.disk_usage(place)
    except OSError:
        return None
    return Disk(str(place), usage.total, usage.free)


def _variables(path: Path) -> dict[str, str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    pairs = [line.partition("=") for line in lines if "=" in line and not line.startswith("#")]
    return {name.strip(): value.strip().strip("\"'") for name, _, value in pairs}


def _ports(variables: Mapping[str, str]) -> dict[str, int]:
    asked = {name: variables.get(name, "") for name in PUBLIC_PORTS}
    return {name: int(v) if v.isdigit() else PUBLIC_PORTS[name] for name, v in asked.items()}


def _project_name(settings: Settings, variables: Mapping[str, str]) -> str:
    try:
        recorded = (settings.state / "compose" / "project").read_text(encoding="utf-8").strip()
    except OSError:
        recorded = ""
    return recorded or variables.get("COMPOSE_PROJECT_NAME") or DEFAULT_PROJECT


def _certificate(path: Path, port: int | None) -> Certificate | None:
    if not path.exists():
        return None
    asked = ["-enddate", "-ext", "subjectAltName"]
    said = run(["openssl", "x509", "-noout", *asked, "-in", str(path)])
    shown = _is_shown(path, port) if port is not None else None
    return Certificate(str(path), said, shown, _unknown_names(said.out))


def _unknown_names(certificate: str) -> tuple[str, ...]:
    """Return the names among the first few of a certificate that do not resolve here."""
    names = [plain_text(name, 100) for name in _DNS_NAME.findall(certificate)][:NAMES_ASKED]
    with ThreadPoolExecutor(NAMES_ASKED) as pool:
        answers = pool.map(lambda name: run(["getent", "ahosts", name], TLS_SECONDS), names)
        return tuple(n for n, said in zip(names, answers, strict=True) if said.code == NO_SUCH_NAME)


def _is_shown(path: Path, port: int) -> bool | None:
    """Return whether who listens on *port* shows the first certificate of a file."""
    try:
        text = path.read_text(encoding="ascii")
        first, end, _ = text.partition("-----END CERTIFICATE-----")
        wanted = ssl.PEM_cert_to_DER_cert(f"{first}{end}".strip())
        shown = ssl.get_server_certificate(("127.0.0.1", port), timeout=TLS_SECONDS)
        return ssl.PEM_cert_to_DER_cert(shown) == wanted
    except (OSError, ValueError):
        return None
