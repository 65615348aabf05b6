"""
What it takes to start the agent after a reboot, and the line of cron that does.

Where systemd is pid 1 it is a unit instead: :mod:`.systemd`.  The line stands under a
comment that names the state; all other lines of the user's table stay as they are.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from console.domain.text import plain_text
from console.errors import ConsoleError
from console.settings import PROJECT

COMMAND_SECONDS = 30.0
#: There while cron runs; a table that nobody reads starts nothing.
CRON_RUNS = Path("/run/crond.pid")
#: How the engine is reached; who starts agents at boot knows nothing of the operator's shell.
KEPT_VARIABLES = ("HOME", "LANG", "DOCKER_HOST", "DOCKER_CONFIG", "DOCKER_CONTEXT")
SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def boot_name(state: Path) -> str:
    """Return what names the unit, or the line of cron, of *state*."""
    return f"fragrance-agent-{hashlib.sha256(os.path.realpath(state).encode()).hexdigest()[:12]}"


def boot_environment() -> list[str]:
    """Return ``NAME=value`` of what the agent needs to know; no secrets."""
    kept = [f"{name}={os.environ[name]}" for name in KEPT_VARIABLES if name in os.environ]
    docker = shutil.which("docker")
    first = f"{Path(docker).parent}:" if docker else ""
    return [f"PATH={first}{SEARCH_PATH}", *kept]


def set_cron(state: Path, keeper: Sequence[str] | None) -> bool:
    """
    Have the user's cron run *keeper* at boot, or nothing any more; return whether it does.

    Raises:
        ConsoleError: If the user's table cannot be read or written.
    """
    if shutil.which("crontab") is None or not (keeper is None or CRON_RUNS.exists()):
        return False
    before = _crontab()
    mark, lines = f"# {boot_name(state)}", before.splitlines()
    while mark in lines:
        del lines[lines.index(mark) : lines.index(mark) + 2]
    if keeper is not None:
        words = shlex.join(["env", *boot_environment(), *keeper])
        there, log = shlex.quote(str(PROJECT)), shlex.quote(str(state / "agent.log"))
        line = f"@reboot cd {there} && exec {words} >>{log} 2>&1"
        if not line.isprintable():
            raise ConsoleError("a path of it is not printable")
        lines += [mark, line.replace("%", r"\%")]
    after = "".join(f"{line}\n" for line in lines)
    if after != before:
        run(["crontab", "-"], after)
    return keeper is not None


def run(command: Sequence[str], text: str = "") -> str:
    """
    Run a command of the host and return what it printed.

    Raises:
        ConsoleError: With its last words; also if it does not end in time.
    """
    # Whoever became this user by su has not been told where the user's systemd listens.
    runtime = {"XDG_RUNTIME_DIR": f"/run/user/{os.geteuid()}"}
    try:
        done = subprocess.run(
            command, input=text.encode(errors="surrogateescape"), capture_output=True,
            timeout=COMMAND_SECONDS, check=False, env={**runtime, **os.environ, "LC_ALL": "C"},
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError) as error:
        raise ConsoleError(f"{' '.join(command)}: {error}") from error
    if done.returncode != 0:
        said = plain_text(done.stderr.decode(errors="replace").strip()[-300:], 300)
        raise ConsoleError(f"{' '.join(command)}: {said or f'exit code {done.returncode}'}")
    return done.stdout.decode(errors="surrogateescape")


def _crontab() -> str:
    try:
        return run(["crontab", "-l"])
    except ConsoleError as error:
        if "no crontab for" in error.message:
            return ""
        raise
