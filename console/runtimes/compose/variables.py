"""
The settings of a compose project: the variables of its files, and where they are set.

Our own are set in ``STATE/compose/env``, those of another project in its ``.env``, where
compose looks for them.  Only the named lines are changed, the others are the operator's.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from console.domain.secrecy import is_secret
from console.domain.tunables import LimitSettings, Setting
from console.errors import ConsoleError, Refused, Unreachable, UsageError
from console.runtimes.compose.environment import OWN_VARIABLES, known_variables, read_env
from console.runtimes.compose.project import ComposeProject
from console.runtimes.explanations import explanations
from console.runtimes.files import write_atomic
from console.settings import PROJECT

_VARIABLE = re.compile(r"(?<!\$)\$\{?([A-Za-z_][A-Za-z0-9_]*)(?::?-([^${}]*)\})?")
_ALONE = re.compile(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)(?::?-[^${}]*)?\}?")
#: Of the product; each is a file in ``STATE/compose/secrets``.
SECRETS = ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "SENTRY_DSN")
_FIRST_START = frozenset(
    {"APP_ENV", "COMPOSE_PROJECT_NAME", "COMPOSE_OVERRIDES", "FRAGRANCE_COMPOSE_STATE"}
)
_RELEASE = re.compile(r"VERSION|.*_IMAGE|.*_PROGRAM|.*_PROBE|PYTHON_BASE")
_OWN = OWN_VARIABLES - {"PYTHON_BASE"}


class Variables:
    """
    The variables of one project.

    Args:
        project: Whose.
    """

    def __init__(self, project: ComposeProject) -> None:
        self._project = project
        self._read: tuple[object, dict[str, str]] | None = None
        self._kept_names: tuple[object, dict[str, str]] | None = None

    @property
    def file(self) -> Path:
        """Where values are set."""
        return self._project.env_file or self._project.directory / ".env"

    def values(self) -> dict[str, str]:
        """Return what is set, without secrets; read again only when a file changed."""
        names = self._names()
        stamp = _stamp(self.file)
        if self._read is None or self._read[0] != stamp:
            self._read = (stamp, self._read_file())
        present = self._read[1]
        return {
            name: value
            for name, value in present.items()
            if name in names and value and not self._is_secret(name, value)
        }

    def known(self) -> tuple[Setting, ...]:
        """Return every setting, explained where the product explains it."""
        values = self.values()
        present = {n for n, v in self._read_file().items() if v}
        texts = explanations(PROJECT / ".env.example") if self._project.ours else {}
        elsewhere = self._elsewhere()
        found = []
        for name, default in sorted(self._names().items()):
            text, usual = texts.get(name, ("", ""))
            secret = self._is_secret(name, default) or (name in present and name not in values)
            found.append(
                Setting(
                    name=name,
                    value=None if secret else values.get(name) or None,
                    default="" if secret else default or usual,
                    explanation=text,
                    secret=secret,
                    instead=elsewhere.get(name, ""),
                )
            )
        if self._project.ours:
            place = self._project.state / "secrets"
            found += [
                Setting(name, secret=True, explanation=f"the file {place / name.lower()}")
                for name in SECRETS
            ]
        return tuple(found)

    def concerned(self, values: Mapping[str, str | None]) -> tuple[str, ...]:
        """
        Return the services whose configuration is another one with *values*.

        Raises:
            UsageError: If compose does not accept the files with them.
            Unreachable: If compose cannot be run.
        """
        hidden = [n for n in values if not self._project.ours and n in os.environ]
        if hidden:
            raise UsageError(
                f"{hidden[0]} is set in this shell, which counts before {self.file}",
                unchanged="nothing was changed",
                remedy=f"unset {hidden[0]}",
            )
        # By the environment, which counts before any file, and is seen by nobody else.
        trial = {name: value or "" for name, value in values.items()}
        now = self._hashes({})
        try:
            then = self._hashes(trial)
        except Unreachable:
            raise
        except ConsoleError as error:
            raise UsageError(
                f"compose does not accept it: {error.message}",
                unchanged="nothing was changed",
                remedy="fragrance settings list",
            ) from error
        return tuple(name for name in sorted(then) if now.get(name) != then[name])

    def write(self, values: Mapping[str, str | None]) -> None:
        """
        Set *values* in the file and leave its other lines alone.

        Raises:
            Refused: If it cannot be read or written.
        """
        try:
            file = self.file.resolve()  # a link stays one
            before = file.stat() if file.exists() else None
            old = file.read_text(encoding="utf-8") if before is not None else ""
            text = changed_lines(old, values)
            if text == old:
                return
            mode = None if before is None else before.st_mode & 0o777
            write_atomic(file, text.encode(), mode=mode)
            if before is not None:
                with contextlib.suppress(PermissionError):  # only root gives a file away
                    os.chown(file, before.st_uid, before.st_gid)
        except (OSError, UnicodeDecodeError) as error:
            raise Refused(
                f"{self.file} cannot be changed: {error}",
                unchanged="the settings are as they were",
                remedy="mend its permissions",
            ) from error

    def limit_settings(self, service: str) -> LimitSettings:
        """Return the variables that give *service* its limits."""
        return _limit_settings(self._raw().get(service) or {})

    # -------------------------------------------------------------------------

    def _read_file(self) -> dict[str, str]:
        """Return all that is set; nothing where it may not be read, as by a mere onlooker."""
        try:
            return read_env(self.file)
        except (OSError, UnicodeDecodeError):
            return {}

    def _names(self) -> dict[str, str]:
        """Return the variables that something reads, with the default of each."""
        stamp = tuple(_stamp(file) for file in self._project.files)
        if self._kept_names is None or self._kept_names[0] != stamp:
            if self._project.ours:
                names = known_variables(PROJECT) | dict.fromkeys(_OWN, "")
            else:
                names = {}
                for file in self._project.files:
                    for found in _VARIABLE.finditer(file.read_text(errors="replace")):
                        names[found[1]] = names.get(found[1]) or found[2] or ""
                names.pop("FRAGRANCE_COMPOSE_STATE", None)
            self._kept_names = (stamp, names)
        return self._kept_names[1]

    def _is_secret(self, name: str, value: str = "") -> bool:
        if self._project.ours:
            return name in SECRETS
        return is_secret(name, value)

    def _elsewhere(self) -> dict[str, str]:
        """Return what changes those variables that are no settings of their own."""
        found: dict[str, str] = {}
        if self._project.ours:
            for name in self._names():
                if name in _FIRST_START:
                    found[name] = "it is chosen at the first start"
                elif name == "AUTO_SCALING":
                    found[name] = "fragrance autoscale on|off SERVICE"
                elif _RELEASE.fullmatch(name):
                    found[name] = "it belongs to a release"
        for service, raw in self._raw().items():
            deploy = raw.get("deploy") or {}
            for replicas in _VARIABLE.finditer(str(deploy.get("replicas", ""))):
                found[replicas[1]] = f"fragrance scale {service}=N"
            names = _limit_settings(raw)
            for option, limit in (
                ("--cpus CORES", names.cpu_cores),
                ("--memory SIZE", names.memory_bytes),
                ("--reserve-cpus CORES", names.cpu_reserved_cores),
                ("--reserve-memory SIZE", names.memory_reserved_bytes),
            ):
                if limit is not None:
                    found[limit] = f"fragrance resize {service} {option}"
        return found

    def _raw(self) -> Mapping[str, Mapping[str, Any]]:
        """Return the services with variables instead of their values."""
        said = self._project.run("config", "--no-interpolate", "--format", "json")
        services: Mapping[str, Mapping[str, Any]] = msgspec.json.decode(said)["services"]
        return services

    def _hashes(self, trial: Mapping[str, str]) -> dict[str, str]:
        said = self._project.run("config", "--hash", "*", variables=trial)
        return dict(line.split(maxsplit=1) for line in said.splitlines() if line.strip())


def changed_lines(text: str, values: Mapping[str, str | None]) -> str:
    """Return an env file with *values* set, None taken out, and all else as it was."""
    left = dict(values)
    lines = []
    for line in text.splitlines(keepends=True):
        written, equals, _ = line.partition("=")
        name = written.strip()
        if not equals or name not in values:
            lines.append(line if line.endswith("\n") else f"{line}\n")
            continue
        value = left.pop(name, None)
        if value is not None:
            lines.append(f"{name}={value}\n")
    lines += [f"{name}={value}\n" for name, value in left.items() if value is not None]
    return "".join(lines)


def _limit_settings(service: Mapping[str, Any]) -> LimitSettings:
    resources = (service.get("deploy") or {}).get("resources") or {}
    most, kept = resources.get("limits") or {}, resources.get("reservations") or {}
    return LimitSettings(
        cpu_cores=_name_in(most.get("cpus") or service.get("cpus")),
        memory_bytes=_name_in(most.get("memory") or service.get("mem_limit")),
        cpu_reserved_cores=_name_in(kept.get("cpus")),
        memory_reserved_bytes=_name_in(kept.get("memory") or service.get("mem_reservation")),
    )


def _name_in(value: object) -> str | None:
    """Return the variable that a value consists of, None where it is anything else."""
    found = _ALONE.fullmatch(value) if isinstance(value, str) else None
    return found[1] if found else None


def _stamp(path: Path) -> object:
    try:
        stat = path.stat()
    except OSError:
        return None
    return (str(path), stat.st_mtime_ns, stat.st_size, stat.st_ino)
