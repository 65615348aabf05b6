"""Whether this host can run the stack: system, cores, memory, disk, namespaces."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

from console.domain.checks import CheckResult, CheckStatus
from console.settings import Settings

GIB = 1024**3
#: What the embedded stack needs at least: two app processes, two torch workers.
MEMORY_NEEDED_BYTES = 4 * GIB
DISK_NEEDED_BYTES = 5 * GIB
CORES_WANTED = 2


def check_host(settings: Settings) -> list[CheckResult]:
    """Return the answers of all host checks, in the order they are shown."""
    return [_system(), _python(), _git(), _cores(), _memory(), _disk(settings), _namespaces()]


def _result(name: str, ok: bool, summary: str, remedy: str, *, hard: bool = True) -> CheckResult:
    status = CheckStatus.PASS if ok else CheckStatus.FAIL if hard else CheckStatus.WARN
    return CheckResult(name, status, summary, "" if ok else remedy)


def _system() -> CheckResult:
    ok = sys.platform == "linux" and platform.machine() in {"x86_64", "aarch64"}
    return _result(
        "system", ok, f"{platform.system()} {platform.release()} {platform.machine()}", "use Linux"
    )


def _python() -> CheckResult:
    ok = sys.version_info[:2] == (3, 11)
    return _result("python", ok, platform.python_version(), "install Python 3.11")


def _git() -> CheckResult:
    if shutil.which("git") is None:
        return CheckResult("git", CheckStatus.FAIL, "not found", "apt-get install git")
    out = subprocess.run(
        ["git", "--version"], capture_output=True, text=True, timeout=10, check=False
    ).stdout.split()
    version = out[2] if len(out) > 2 else ""
    numbers = [int(n) for n in version.split(".")[:2] if n.isdigit()]
    return _result("git", numbers >= [2, 30], version or "unknown", "install git 2.30 or newer")


def _cores() -> CheckResult:
    cores = len(os.sched_getaffinity(0))
    return _result(
        "cores",
        cores >= CORES_WANTED,
        f"{cores} usable",
        f"give this host {CORES_WANTED} cores",
        hard=False,
    )


def _memory() -> CheckResult:
    import psutil

    free = psutil.virtual_memory().available
    return _result(
        "memory",
        free >= MEMORY_NEEDED_BYTES,
        f"{free / GIB:.1f} GiB available",
        f"free memory: the embedded stack needs {MEMORY_NEEDED_BYTES // GIB} GiB",
        hard=False,
    )


def _disk(settings: Settings) -> CheckResult:
    place = settings.state
    while not place.exists() and place != place.parent:
        place = place.parent
    free = shutil.disk_usage(place).free
    return _result(
        "disk",
        free >= DISK_NEEDED_BYTES,
        f"{free / GIB:.1f} GiB free where the state lies",
        f"free disk: {DISK_NEEDED_BYTES // GIB} GiB are needed",
    )


def _namespaces() -> CheckResult:
    """PostgreSQL refuses to run as root; a user namespace gives it another identity."""
    if os.geteuid() != 0:
        return CheckResult("postgres", CheckStatus.PASS, "runs as this user")
    if not Path("/proc/self/ns/user").exists() or shutil.which("unshare") is None:
        ok = False
    else:
        ok = (
            subprocess.run(
                ["unshare", "--user", "--map-user=1000", "--map-group=1000", "true"],
                capture_output=True,
                timeout=10,
                check=False,
            ).returncode
            == 0
        )
    # Without them PostgreSQL runs as `nobody`, with its data outside the state.
    return _result(
        "postgres",
        ok,
        "user namespaces work" if ok else "user namespaces are refused to root",
        "run as an ordinary user, to keep the database below the state directory",
        hard=False,
    )
