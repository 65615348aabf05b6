"""
Where things are and how this stack is to be run.

One loader: command line over environment over ``compose/console.yaml`` over the
defaults in :mod:`console.domain.policy`.  Nothing here touches a server.
"""

from __future__ import annotations

import grp
import os
import pwd
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from console.domain.policy import Policy, ScalePolicy
from console.domain.runbook import Runbook, parse_runbook
from console.errors import Refused, Unreachable, UsageError
from console.modes import is_shared, make_directory, open_file
from console.policy_file import load_policy as load_policy

#: The directory that holds the launcher, the packages and ``compose/``.
PROJECT = Path(__file__).resolve().parent.parent

#: Names of the environment that starts read-only.
PRODUCTION = frozenset({"prod", "production"})
#: File of the state directory that says in which environment the stack was started.
ENVIRONMENT_FILE = "environment"
#: File of the state directory that says what runs the replicas.
RUNTIME_FILE = "runtime"
#: Names that a compose file is looked for by in a directory, as compose does.
COMPOSE_FILES = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")


@dataclass(frozen=True, slots=True)
class Settings:
    """
    Settings of one invocation.

    Args:
        project: Directory of the stack's files.
        state: Directory of journal, audit, history and embedded data; see
            :mod:`console.modes` for who may read it.
        environment: ``APP_ENV``; ``prod`` and ``production`` start read-only.
        policy: Thresholds and bounds.
        runtime: Runtime asked for; None to use the one recorded in the state.
        file: Compose file of another project; None for the product's own.
        low_bandwidth: Whether the console is to spare the line it is drawn over.
    """

    project: Path
    state: Path
    environment: str = "dev"
    policy: Policy = field(default_factory=Policy)
    runtime: str | None = None
    file: Path | None = None
    low_bandwidth: bool = False

    @property
    def production(self) -> bool:
        """Whether changing anything needs elevation first."""
        return self.environment in PRODUCTION


def load_settings(
    *,
    state: str | None = None,
    file: str | None = None,
    low_bandwidth: bool = False,
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """
    Build the settings of this invocation.

    Args:
        state: ``--state``; else ``FRAGRANCE_STATE``; else ``.fragrance`` beside
            the project.
        file: ``--file``, a compose file or the directory of one; that directory
            is the project.
        low_bandwidth: ``--low-bandwidth``.
        environ: Environment variables; ``os.environ`` when None.

    Raises:
        UsageError: If there is no such compose file, or the policy file cannot be
            read or has a wrong value.
        Unreachable: If the state is there and not for this user.
    """
    env = os.environ if environ is None else environ
    compose_file = _find_compose_file(Path(file).expanduser()) if file else None
    project = compose_file.parent if compose_file else PROJECT
    chosen = state or env.get("FRAGRANCE_STATE")
    directory = Path(chosen).expanduser().absolute() if chosen else project / ".fragrance"
    _check_access(directory)
    return Settings(
        project=project,
        state=directory,
        environment=_environment(directory, env.get("APP_ENV")),
        policy=_policy_beside(compose_file),
        runtime=_recorded(directory / RUNTIME_FILE) or None,
        file=compose_file,
        low_bandwidth=low_bandwidth,
    )


def _check_access(state: Path) -> None:
    """Say once and clearly that a state is not for this user; one that is not there is."""
    try:
        if not stat.S_ISDIR(state.stat().st_mode):
            return  # nothing can be kept there, which whoever writes is told; watching needs none
        allowed = os.access(state, os.R_OK | os.X_OK)
    except PermissionError:
        allowed = False
    except OSError:
        return
    if not allowed:
        raise Unreachable(
            f"the state {state} is not for {_name_of_user(os.geteuid())}",
            unchanged="nothing was read or changed",
            remedy=_way_in(state),
        )


def _way_in(state: Path) -> str:
    me = _name_of_user(os.geteuid())
    try:
        found = state.stat()
        if is_shared(state):
            group = grp.getgrgid(found.st_gid).gr_name
            return f"sudo gpasswd --add {me} {group}, then log in again"
        return f"it belongs to {_name_of_user(found.st_uid)}; or choose another with --state DIR"
    except (OSError, KeyError):
        return "choose another with --state DIR"


def _name_of_user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def record_environment(settings: Settings) -> None:
    """Keep the environment that a stack was started in, for whoever comes later."""
    _keep(settings.state / ENVIRONMENT_FILE, settings.environment)


def _environment(state: Path, asked: str | None) -> str:
    """
    Return the environment: production when either the stack or the caller says so.

    A shell that lacks ``APP_ENV`` must not make a production stack writable.
    """
    recorded = _recorded(state / ENVIRONMENT_FILE)
    if asked in PRODUCTION and recorded not in PRODUCTION:
        return asked or "dev"
    return recorded or asked or "dev"


def record_runtime(settings: Settings, name: str) -> None:
    """
    Keep what runs the replicas, for whoever comes later.

    Raises:
        Refused: If the state directory cannot be made or written.
    """
    try:
        make_directory(settings.state)
        _keep(settings.state / RUNTIME_FILE, name)
    except OSError as error:
        raise unwritable(settings.state, error) from error


def unwritable(state: Path, error: OSError) -> Refused:
    """Return the refusal to start in a state directory that cannot be written."""
    return Refused(
        f"the state directory {state} cannot be written: {error.strerror}",
        unchanged="nothing was started",
        remedy="choose another with --state DIR, or mend its permissions",
    )


def _keep(path: Path, word: str) -> None:
    with os.fdopen(open_file(path, os.O_WRONLY | os.O_TRUNC), "w", encoding="utf-8") as file:
        file.write(f"{word}\n")


def _recorded(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def _find_compose_file(path: Path) -> Path:
    """Return the compose file at *path* or, where that is a directory, in it."""
    candidates = [path / name for name in COMPOSE_FILES] if path.is_dir() else [path]
    for candidate in candidates:
        if candidate.is_file():
            return candidate.resolve()
    raise UsageError(
        f"there is no compose file at {path}",
        unchanged="nothing was started or changed",
        remedy="fragrance --file DIRECTORY/compose.yaml",
    )


def policy_path(compose_file: Path | None) -> Path:
    """Return where the product's policy is, or that of another project's file."""
    directory = PROJECT / "compose" if compose_file is None else compose_file.parent
    return directory / "console.yaml"


def read_runbook(project: Path) -> Runbook:
    """
    Return the procedures in the RUNBOOK.md of *project*.

    Raises:
        Unreachable: If there is none, or it cannot be read.
    """
    path = project / "RUNBOOK.md"
    try:
        return parse_runbook(path.read_text(encoding="utf-8", errors="replace"))
    except OSError as error:
        raise Unreachable(
            f"{path} cannot be read: {error.strerror}",
            remedy="write the procedures there, one section for each alert",
        ) from error


def _policy_beside(compose_file: Path | None) -> Policy:
    """Return the product's policy, or the one beside another project's file if it has one."""
    path = policy_path(compose_file)
    if compose_file is None or path.exists():
        return load_policy(path)
    return Policy(scale={}, scale_others=ScalePolicy())
