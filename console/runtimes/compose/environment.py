"""
What our compose file asks for, made on first use in ``STATE/compose``.

The env file and the secrets are the operator's from then on: what is there is never
changed, only what is missing is added.  No secret stands in the env file.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import quote

from console.errors import ConsoleError, Refused
from console.modes import make_directory
from console.runtimes.compose.daemon import Daemon
from console.runtimes.compose.edge import prepare_edge
from console.runtimes.compose.elsewhere import POSTGRES, REDIS, asked_for, elsewhere
from console.runtimes.compose.env_file import read_env as read_env
from console.runtimes.compose.images import image_exists
from console.runtimes.compose.limits import fitted_limits
from console.runtimes.compose.project import OVERRIDES
from console.runtimes.compose.secret_command import ask_command
from console.runtimes.files import write_atomic
from console.settings import ENVIRONMENT_FILE, PRODUCTION

Progress = Callable[[str], None]

PROJECT_NAME = "fragrance-ai"
SERVICES_BASE = "fragrance-base-services:local"
PYTHON_BASE = "fragrance-base-python:local"
#: Published by nginx on every address, the others on loopback: usual port by variable.
PUBLIC_PORTS = {"HTTP_PORT": 80, "HTTPS_PORT": 443}
LOOPBACK_PORTS = {
    "POSTGRES_PORT": 5432,
    "REDIS_PORT": 6379,
    "PROMETHEUS_PORT": 9090,
    "ALERTMANAGER_PORT": 9093,
    "GRAFANA_PORT": 3000,
    "TENSORBOARD_PORT": 6006,
}
#: Where to look when a privileged port is taken, and how far.
INSTEAD = {80: 8080, 443: 8443}
PORT_RANGE = 100

GENERATED = ("postgres_password", "redis_password", "secret_key", "grafana_admin_password")
EMPTY = (
    *("sentry_dsn", "log_store_url"),
    *("alert_webhook_url", "alert_slack_url", "alert_pagerduty_key"),
)
#: What stands in these: Swarm takes no secret without a byte.
NOTHING = "\n"

#: Read by ourselves: for nginx, for the builds of images, for the first start.
OWN_VARIABLES = frozenset(
    {
        *("EDGE_RATE_PER_KEY", "EDGE_RATE_PER_ADDRESS", "PYTHON_BASE"),
        *("AUTO_SCALING", "COMPOSE_OVERRIDES", "SECRETS_COMMAND"),
    }
)

#: Other names of environments, by the one that files are named after.
SHORT_NAMES = {"development": "dev", "production": "prod"}

HEADER = """\
# Settings of this stack on Docker, explained in .env.example.  Made once to fit this host
# and never changed by itself again: `fragrance settings set` and `fragrance resize` change
# it for what runs too; or edit it while the stack is stopped.  Secrets are in the directory
# beside this file, not here.
"""
_VARIABLE = re.compile(r"\$\{([A-Z_]+)")
#: Chosen by whoever prepares, or by a release; a shell's own value would be an accident.
_NOT_FROM_SHELL = {"VERSION", "FRAGRANCE_COMPOSE_STATE"}


def prepare(state: Path, project: Path, progress: Progress, environment: str | None = None) -> None:
    """
    Make what is missing below ``state/compose``; idempotent, safe to interrupt.

    Args:
        state: State directory of the stack; exists, 0700.
        project: Directory of the product's files.
        progress: Told what was made, and what differs from the usual.
        environment: Whose profile counts the first time; None for the one that the state
            or ``APP_ENV`` names.

    Raises:
        Refused: If a secret is gone that the data was made with, or the limits do not fit.
        Unreachable: If the engine does not answer.
        ConsoleError: If no certificate can be made.
    """
    directory = state / "compose"
    make_directory(directory)
    env_file = directory / "env"
    present = read_env(env_file)
    first = not present
    daemon = Daemon()
    variables = present or _first_variables(directory, project, daemon, environment, progress)
    variables |= _local_images(project, variables, daemon)
    name = _project_name(directory, variables)
    make_directory(directory / "secrets")
    _ask_for_missing(directory / "secrets", variables, progress)
    others = elsewhere(directory / "secrets", variables, os.environ)
    variables |= others.variables
    _follow(directory / "secrets", others.secrets)
    _ensure_secrets(directory / "secrets", name, daemon, first=first, progress=progress)
    prepare_edge(directory / "nginx", variables, name, progress)
    if variables != present:
        # Last: while it is missing, everything else is as for the first time.
        lines = [f"{key}={value}\n" for key, value in variables.items()]
        write_atomic(env_file, (HEADER + "".join(lines)).encode())
        progress(f"wrote {env_file}")
    elif not first:
        _tell_ignored(project, variables, progress)


def known_variables(project: Path) -> dict[str, str]:
    """Return the variables that our compose files read, with the default of each."""
    text = "".join(
        path.read_text(encoding="utf-8")
        for path in sorted((project / "compose").glob("docker-compose.*.yml"))
    )
    found = dict.fromkeys(_VARIABLE.findall(text), "")
    found |= {match[1]: match[2] for match in re.finditer(r"\$\{([A-Z_]+):-([^${}]*)\}", text)}
    return found


def host_size() -> tuple[int | None, int | None]:
    """Return cores and memory (MiB) of the engine's host; None where it does not answer."""
    try:
        host: Mapping[str, object] = Daemon().call(lambda client: client.info())
        return int(str(host["NCPU"])), int(str(host["MemTotal"])) // 1024**2
    except (ConsoleError, KeyError, ValueError):
        return None, None


def needed_secrets(variables: Mapping[str, str]) -> tuple[str, ...]:
    """Return the secrets without which nothing works; others' passwords are their affair."""
    chosen = variables.get(OVERRIDES, "")
    theirs = {POSTGRES: "postgres_password", REDIS: "redis_password"}
    left_out = {secret for override, secret in theirs.items() if override in chosen}
    return (*(s for s in GENERATED if s not in left_out), "database_url", "redis_url")


def profile_file(project: Path, environment: str) -> Path:
    """Return where the profile of an environment is: ``.env.prod``; it need not be there."""
    return project / f".env.{SHORT_NAMES.get(environment, environment)}"


def _first_variables(
    directory: Path, project: Path, daemon: Daemon, environment: str | None, progress: Progress
) -> dict[str, str]:
    known = (known_variables(project).keys() | OWN_VARIABLES) - _NOT_FROM_SHELL
    given = {name: os.environ[name] for name in sorted(known) if os.environ.get(name)}
    recorded = directory.parent / ENVIRONMENT_FILE
    if environment is not None:
        given["APP_ENV"] = environment
    elif recorded.exists() and given.get("APP_ENV") not in PRODUCTION:
        given["APP_ENV"] = recorded.read_text(encoding="utf-8").strip()
    given.setdefault("APP_ENV", "dev")
    host: Mapping[str, object] = daemon.call(lambda client: client.info())
    cores, memory = int(str(host["NCPU"])), int(str(host["MemTotal"])) // 1024**2
    given = _with_profile(project, given, host, progress)
    variables = {
        "FRAGRANCE_COMPOSE_STATE": str(directory),
        "VERSION": (project / "VERSION").read_text(encoding="utf-8").strip(),
        "USE_GPU": "false",
    }
    variables |= _free_ports(given, progress)
    variables |= fitted_limits(cores, memory, given, progress)
    return variables | given


def _with_profile(
    project: Path, given: Mapping[str, str], host: Mapping[str, object], progress: Progress
) -> dict[str, str]:
    """Return what is given over the profile of its environment, as far as this host can follow."""
    file = profile_file(project, given["APP_ENV"])
    found = {**read_env(file), **given}
    if file.exists():
        progress(f"settings of {file.name}, changed where this host or the shell says otherwise")
    if found.get("USE_GPU") != "true":
        return found
    overrides = found.get(OVERRIDES, "").replace(",", " ").split()
    if "nvidia" in (host.get("Runtimes") or ()):  # type: ignore[operator]  # the SDK's answer
        return found | {OVERRIDES: " ".join(dict.fromkeys(["gpu", *overrides]))}
    if "USE_GPU" not in given:
        progress("no container can use a GPU here: USE_GPU is false")
        return found | {"USE_GPU": "false", "ENABLE_QUANTIZATION": "false"}
    return found


def _free_ports(given: Mapping[str, str], progress: Progress) -> dict[str, str]:
    chosen: dict[str, str] = {}
    for variable, usual in (PUBLIC_PORTS | LOOPBACK_PORTS).items():
        if variable in given:
            continue
        address = "" if variable in PUBLIC_PORTS else "127.0.0.1"
        first = INSTEAD.get(usual, usual + 1)
        candidates = [usual, *range(first, first + PORT_RANGE)]
        taken = {*chosen.values(), *given.values()}
        port = next((p for p in candidates if str(p) not in taken and _is_free(address, p)), None)
        if port is None:
            raise Refused(
                f"no port is free for {variable}: {usual} and the next {PORT_RANGE} are all taken",
                unchanged="nothing was started",
                remedy=f"{variable}=PORT fragrance start --runtime compose",
            )
        if port != usual:
            progress(f"port {usual} is in use by another program: {variable} is {port}")
        chosen[variable] = str(port)
    return chosen


def _is_free(address: str, port: int) -> bool:
    """
    Return whether *port* can be published.

    A port below 1024 that only this user may not bind is the engine's to bind.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except PermissionError:
            return True
        except OSError:
            return False
    return True


def _local_images(project: Path, variables: Mapping[str, str], daemon: Daemon) -> dict[str, str]:
    """Return the images to take instead of upstream's where those are not there and ours are."""
    chosen: dict[str, str] = {}
    defaults = known_variables(project)
    wanted = [n for n in defaults if n.endswith("_IMAGE") and n != "GRAFANA_IMAGE"]
    missing = [name for name in wanted if name not in variables]
    if missing and image_exists(daemon, SERVICES_BASE):
        chosen |= {n: SERVICES_BASE for n in missing if not image_exists(daemon, defaults[n])}
        if "NGINX_EXPORTER_IMAGE" in chosen:
            chosen |= {
                "NGINX_EXPORTER_PROGRAM": "prometheus-nginx-exporter",
                "NGINX_EXPORTER_PROBE": "CMD",
            }
    return chosen


def python_base(variables: Mapping[str, str], daemon: Daemon) -> str | None:
    """Return the base of our own images where it is not the Dockerfiles' default."""
    if chosen := variables.get("PYTHON_BASE"):
        return chosen
    return PYTHON_BASE if image_exists(daemon, PYTHON_BASE) else None


def _project_name(directory: Path, variables: Mapping[str, str]) -> str:
    try:
        recorded = (directory / "project").read_text(encoding="utf-8").strip()
    except OSError:
        recorded = ""
    return recorded or variables.get("COMPOSE_PROJECT_NAME") or PROJECT_NAME


def _ask_for_missing(directory: Path, variables: Mapping[str, str], progress: Progress) -> None:
    """Ask the operator's own keeper of secrets for those that are not there."""
    command = variables.get("SECRETS_COMMAND")
    if not command:
        return
    wanted = [*GENERATED, *(name for name, _ in asked_for(variables))]
    for name in wanted:
        if not (directory / name).exists():
            _write_secret(directory / name, ask_command(command, name))
            progress(f"{name}: from SECRETS_COMMAND")


def _follow(directory: Path, secrets_there: Mapping[str, str]) -> None:
    """Have the secrets that belong to others' servers be what their addresses say."""
    for name, value in secrets_there.items():
        path = directory / name
        if not path.exists() or path.read_text(encoding="utf-8").strip() != value:
            _write_secret(path, value)


def _ensure_secrets(
    directory: Path, project: str, daemon: Daemon, *, first: bool, progress: Progress
) -> None:
    """Make the missing secrets; containers of any user read them by a mount of the file."""
    missing = [name for name in GENERATED if not (directory / name).exists()]
    if "postgres_password" in missing:
        _refuse_lost_password(directory, project, daemon, first=first)
    for name in missing:
        _write_secret(directory / name, secrets.token_urlsafe(36))
    for name in EMPTY:
        if not (directory / name).exists():
            _write_secret(directory / name, NOTHING)
    postgres = (directory / "postgres_password").read_text(encoding="utf-8").strip()
    redis = (directory / "redis_password").read_text(encoding="utf-8").strip()
    word, hush = quote(postgres, safe=""), quote(redis, safe="")
    derived = {
        "database_url": f"postgresql+psycopg://fragrance:{word}@postgres:5432/fragrance",
        "redis_url": f"redis://:{hush}@redis:6379/0",
        "redis_exporter_passwords": json.dumps({"redis://redis:6379": redis}),
    }
    for name, value in derived.items():
        if not (directory / name).exists():
            _write_secret(directory / name, value)
    if missing:
        progress(f"made secrets in {directory}")


def _write_secret(path: Path, value: str) -> None:
    write_atomic(path, value.encode())
    path.chmod(0o444)


def _refuse_lost_password(directory: Path, project: str, daemon: Daemon, *, first: bool) -> None:
    """A new password would not open the data that is there."""
    volume = f"{project}_postgres-data"
    names = daemon.call(lambda client: client.volumes(filters={"name": volume}))["Volumes"] or []
    there = any(found["Name"] == volume for found in names)
    if there or not first:
        raise Refused(
            f"the secret postgres_password is gone from {directory}"
            + (f", and the volume {volume} was made with it" if there else ""),
            unchanged="no data was touched and nothing was started",
            remedy="put the file back from your backup; or, to begin anew without the old data: "
            f"docker volume rm {volume}",
        )


def _tell_ignored(project: Path, variables: Mapping[str, str], progress: Progress) -> None:
    """Say where the shell and the env file differ: the file is what counts."""
    for name in sorted(known_variables(project).keys() - _NOT_FROM_SHELL):
        shell = os.environ.get(name)
        if shell and shell != variables.get(name, shell):
            progress(f"{name} is {variables[name]} in the env file; the shell's is not used")
