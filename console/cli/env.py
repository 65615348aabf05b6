"""``env``: the private settings of the stack on Docker, made to fit this host and checked."""

from __future__ import annotations

import json
import stat
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from console.cli.main import Commands, Invocation, add_command
from console.domain.checks import CheckStatus
from console.errors import ConsoleError, Refused, Unreachable, UsageError
from console.modes import is_shared, make_directory
from console.settings import ENVIRONMENT_FILE, PROJECT, record_environment, unwritable

if TYPE_CHECKING:
    from console.checks.env_file import EnvFacts

RIGHT, WRONG, NOTHING_READ = 0, 1, 5
PROFILES = ("dev", "staging", "prod")


def register(commands: Commands) -> None:
    """Add ``env init|check``."""
    command = add_command(commands, "env", "settings of the stack on Docker: made, checked")
    actions = command.add_subparsers(metavar="ACTION", required=True)
    init = add_command(actions, "init", "make secrets, and settings that fit this host")
    init.add_argument(
        "--profile", choices=PROFILES, help="of .env.NAME (default: APP_ENV, else dev)"
    )
    init.set_defaults(run=run_init)
    check = add_command(actions, "check", "are the settings right")
    check.add_argument("env_file", metavar="FILE", nargs="?", help="another one, as .env.prod")
    check.set_defaults(run=run_check)


def run_init(call: Invocation) -> int:
    """Make what is missing; what is there stays as it is."""
    from console.runtimes.compose.environment import prepare

    _require_own(call)
    settings = call.settings
    recorded = (settings.state / ENVIRONMENT_FILE).exists()
    wanted = call.args.profile or settings.environment
    if recorded and wanted != settings.environment:
        raise Refused(
            f"this stack is {settings.environment}, not {wanted}",
            unchanged="nothing was made or changed",
            remedy=f"choose another --state DIR for {wanted}",
        )
    directory = settings.state / "compose"
    there = (directory / "env").exists()
    try:
        make_directory(settings.state)
        prepare(settings.state, PROJECT, _say, wanted)
        if not recorded:
            record_environment(replace(settings, environment=wanted))
    except OSError as error:
        raise unwritable(settings.state, error) from error
    if call.json:
        print(json.dumps({"env_file": str(directory / "env"), "made": not there}))
        return 0
    print(f"{directory / 'env'}: {'there already, left as it is' if there else 'made'}")
    print("next: fragrance env check, fragrance start --runtime compose")
    return 0


def run_check(call: Invocation) -> int:
    """
    Print one line per check.

    Returns:
        1 when one fails, else 0.
    """
    from console.checks.env_file import judge_env

    _require_own(call)
    results = judge_env(_read(call))
    code = WRONG if any(r.status is CheckStatus.FAIL for r in results) else RIGHT
    if call.json:
        checks = [
            {"id": r.id, "status": r.status.value, "summary": r.summary, "remedy": r.remedy}
            for r in results
        ]
        print(json.dumps({"schema_version": 1, "passed": code == RIGHT, "checks": checks}))
        return code
    for r in results:
        print(f"{r.status.value:8}{r.id:10}{r.summary}")
        if r.remedy:
            print(f"{'':18}next: {r.remedy}")
    return code


def _read(call: Invocation) -> EnvFacts:
    from console.checks.env_file import EnvFacts
    from console.runtimes.compose import environment as made
    from console.runtimes.compose.limits import cores_of_limits, memory_of_limits
    from console.runtimes.compose.variables import SECRETS

    directory = call.settings.state / "compose"
    own = directory / "env"
    path = Path(call.args.env_file) if call.args.env_file else own
    if not path.is_file():
        raise Unreachable(
            f"there is no env file {path}",
            unchanged="nothing was read or changed",
            remedy="fragrance env init",
        )
    try:
        variables = made.read_env(path)
    except (OSError, UnicodeDecodeError) as error:
        raise Unreachable(f"{path} cannot be read: {error}", remedy=f"ls -l {path}") from error
    mine = path.resolve() == own.resolve()
    cores, memory = made.host_size()
    return EnvFacts(
        path=str(path),
        private=_is_private(path) if mine else None,
        variables=variables,
        known=made.known_variables(PROJECT).keys() | made.OWN_VARIABLES,
        secret_names=SECRETS,
        secrets=_secrets(directory / "secrets") if mine else {},
        needed=made.needed_secrets(variables) if mine else (),
        cores=cores,
        memory_mib=memory,
        memory_wanted_mib=memory_of_limits(variables),
        cores_wanted=cores_of_limits(variables),
        refused=_refused(call, variables),
    )


def _refused(call: Invocation, variables: Mapping[str, str]) -> str | None:
    """Return what compose says against our files with *variables*, None without compose."""
    from console.runtimes.compose.runtime import project_of

    project = project_of(replace(call.settings, file=None))
    trial = {"VERSION": "0.0.0", "FRAGRANCE_COMPOSE_STATE": str(project.state), **variables}
    try:
        project.run("config", "--quiet", variables=trial, env_file=Path("/dev/null"))
    except Unreachable:
        return None
    except ConsoleError as error:
        return error.message
    return ""


def _secrets(directory: Path) -> dict[str, str] | None:
    try:
        return {p.name: p.read_text(encoding="utf-8").strip() for p in directory.iterdir()}
    except (OSError, UnicodeDecodeError):
        return None


def _is_private(path: Path) -> bool:
    forbidden = stat.S_IRWXO if is_shared(path.parent) else stat.S_IRWXG | stat.S_IRWXO
    return not stat.S_IMODE(path.stat().st_mode) & forbidden


def _require_own(call: Invocation) -> None:
    if call.settings.file is not None:
        raise UsageError(
            "another project's settings are its own affair",
            unchanged="nothing was made or changed",
            remedy="fragrance env check (without --file)",
        )


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
