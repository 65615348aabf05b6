"""
The unit by which systemd keeps the agent of one state and starts it after a reboot.

Named after the state's path, so that several stacks share a machine.  Where systemd
is not pid 1, or is not to be had, see :mod:`.boot`.
"""

from __future__ import annotations

import json
import os
import pwd
from collections.abc import Sequence
from pathlib import Path

from console.errors import ConsoleError
from console.runtimes.compose.boot import boot_environment, boot_name, run
from console.runtimes.files import write_atomic
from console.settings import PROJECT

SYSTEM_UNITS = Path("/etc/systemd/system")
#: There only where systemd is pid 1.
SYSTEMD_RUNS = Path("/run/systemd/system")
#: Of the system's systemd only: that of a user may not make mount namespaces.
HARDENING = "ProtectSystem=full\nProtectKernelModules=yes\nProtectKernelTunables=yes\n"


def unit_file(state: Path) -> Path | None:
    """Return the unit that keeps the agent of *state*, None when it is not kept by one."""
    found = [d / f"{boot_name(state)}.service" for d in (SYSTEM_UNITS, _user_units())]
    return next((path for path in found if path.is_file() and SYSTEMD_RUNS.is_dir()), None)


def unit_place(state: Path) -> tuple[Path | None, str]:
    """
    Return where a unit of *state* belongs, None where it would not outlive a reboot.

    The second is then what would change that; empty if nothing that we know of would.
    """
    if not SYSTEMD_RUNS.is_dir():
        return None, ""
    if present := unit_file(state):
        return present, ""
    if os.geteuid() == 0:
        return SYSTEM_UNITS / f"{boot_name(state)}.service", ""
    user = pwd.getpwuid(os.geteuid()).pw_name
    try:
        run(["systemctl", "--user", "show-environment"])
        if not Path("/var/lib/systemd/linger", user).exists():
            run(["loginctl", "--no-ask-password", "enable-linger"])
    except ConsoleError:
        return None, f"sudo loginctl enable-linger {user}"
    return _user_units() / f"{boot_name(state)}.service", ""


def unit_text(unit: Path, state: Path, agent: Sequence[str]) -> str:
    """
    Return what *unit* says; *agent* is its command.

    Raises:
        ConsoleError: If a path has what a line of a unit cannot hold.
    """
    hardening = ""
    if unit.parent == SYSTEM_UNITS:
        hardening = f"{HARDENING}ReadWritePaths={_quoted([f'-{state}'])}\n"
    if not all(text.isprintable() for text in (*agent, str(PROJECT), *boot_environment())):
        raise ConsoleError("a path of it is not printable")
    wanted = ["/bin/grep", "-qxF", "up", str(state / "compose" / "wanted")]
    return (
        f"[Unit]\nDescription=Agent of {_escaped(state)}\n"
        f"After=docker.service\nRequiresMountsFor={_quoted([state, PROJECT])}\n"
        "StartLimitIntervalSec=0\n\n[Service]\n"
        # Whoever stops the stack, and may not touch this unit, ends the agent all the same.
        f"ExecCondition={_quoted(wanted, command=True)}\n"
        f"ExecStart={_quoted(agent, command=True)}\nWorkingDirectory={_escaped(PROJECT)}\n"
        f"Environment={_quoted(boot_environment())}\n"
        "Restart=always\nRestartSec=1\nTimeoutStopSec=10\nNoNewPrivileges=yes\n"
        f"{hardening}"
        f"\n[Install]\nWantedBy={'multi-user' if hardening else 'default'}.target\n"
    )


def write_unit(unit: Path, text: str) -> bool:
    """
    Write *unit* and let systemd know, unless it says that already.

    Raises:
        ConsoleError: If systemd does not read it.
        OSError: If it cannot be written.
    """
    if unit.is_file() and unit.read_text(encoding="utf-8") == text:
        return False
    unit.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(unit, text.encode(), mode=0o644)
    systemctl(unit, "daemon-reload")
    return True


def runs_in(unit: Path, pid: int | None) -> bool:
    """Whether process *pid* is one of those of *unit*."""
    try:
        return unit.name in Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8")
    except OSError:
        return False


def systemctl(unit: Path, *words: str) -> str:
    """Run systemctl, the user's where *unit* is one of the user's."""
    return run(["systemctl", *(() if unit.parent == SYSTEM_UNITS else ("--user",)), *words])


def remove_unit(unit: Path) -> None:
    """
    Stop, disable and delete *unit*.

    Raises:
        ConsoleError: If that is not ours to do, or fails.
    """
    if not is_ours(unit):
        raise ConsoleError(
            f"the agent is kept by {unit}, which is not yours",
            unchanged="the stack runs on, and so does its agent",
            remedy="sudo fragrance stop",
        )
    systemctl(unit, "disable", "--now", "--quiet", unit.name)
    unit.unlink(missing_ok=True)
    systemctl(unit, "daemon-reload")


def is_ours(unit: Path) -> bool:
    """Whether *unit* is the caller's to change."""
    return unit.parent != SYSTEM_UNITS or os.access(SYSTEM_UNITS, os.W_OK)


def _user_units() -> Path:
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config", "systemd", "user")


def _quoted(words: Sequence[str | Path], *, command: bool = False) -> str:
    """Return *words* for a unit, in which only a command knows variables."""
    quoted = " ".join(json.dumps(_escaped(word), ensure_ascii=False) for word in words)
    return quoted.replace("$", "$$") if command else quoted


def _escaped(word: str | Path) -> str:
    return str(word).replace("%", "%%")
