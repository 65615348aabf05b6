"""
Whether this host can run the stack at all, and what only the embedded runtime needs.

What only containers need is in :mod:`console.checks.docker_host`.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
from pathlib import Path

from console.checks.clock import judge_clock, read_clock
from console.checks.reading import run
from console.domain.checks import CheckResult, CheckStatus
from console.domain.text import plain_text
from console.settings import Settings

GIB = 1024**3
#: What the stack needs at least: two app processes, two torch workers.
MEMORY_NEEDED_BYTES = 4 * GIB
DISK_NEEDED_BYTES = 5 * GIB
CORES_WANTED = 2
#: Older kernels lack what supervisor and containers use (pidfd, cgroup v2 as a whole).
KERNEL_WANTED = (5, 10)


def check_host(settings: Settings) -> list[CheckResult]:
    """Return what every runtime needs, in the order it is shown."""
    return [
        _system(),
        _python(),
        _git(),
        _cores(),
        _memory(),
        _disk(settings),
        judge_disk_kind(rotational(_existing(settings.state))),
        judge_clock(read_clock()),
        judge_overcommit(_read_overcommit()),
    ]


def check_embedded() -> list[CheckResult]:
    """Return what only the embedded runtime needs."""
    return [_namespaces()]


def _result(name: str, ok: bool, summary: str, remedy: str, *, hard: bool = True) -> CheckResult:
    status = CheckStatus.PASS if ok else CheckStatus.FAIL if hard else CheckStatus.WARN
    return CheckResult(name, status, summary, "" if ok else remedy)


def _system() -> CheckResult:
    return judge_system(sys.platform, platform.machine(), _distribution(), platform.release())


def judge_system(system: str, machine: str, distribution: str, kernel: str) -> CheckResult:
    """
    Judge what this host runs.

    Args:
        system: As ``sys.platform``.
        machine: As ``uname -m``.
        distribution: Its own name and version, "" when it gives none.
        kernel: Release of the kernel, ``6.1.0-37-amd64``.
    """
    if system != "linux" or machine not in {"x86_64", "aarch64"}:
        return CheckResult(
            "system", CheckStatus.FAIL, f"{system} {machine}", "use Linux on x86-64 or ARM64"
        )
    words = f"{distribution or 'Linux'}, kernel {kernel}, {machine}"
    numbers = tuple(int(n) for n in kernel.split("-")[0].split(".")[:2] if n.isdigit())
    wanted = ".".join(map(str, KERNEL_WANTED))
    ok = len(numbers) == 2 and numbers >= KERNEL_WANTED
    return _result("system", ok, words, f"upgrade to kernel {wanted} or newer", hard=False)


def _distribution() -> str:
    try:
        return plain_text(platform.freedesktop_os_release().get("PRETTY_NAME", ""), 60)
    except OSError:
        return ""


def _python() -> CheckResult:
    ok = sys.version_info[:2] == (3, 11)
    return _result("python", ok, platform.python_version(), "install Python 3.11")


def _git() -> CheckResult:
    said = run(["git", "--version"])
    if not said.found:
        return CheckResult("git", CheckStatus.FAIL, "not found", "apt-get install git")
    words = said.out.split()
    version = words[2] if len(words) > 2 else ""
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
        f"free memory: the stack needs {MEMORY_NEEDED_BYTES // GIB} GiB",
        hard=False,
    )


def _disk(settings: Settings) -> CheckResult:
    free = shutil.disk_usage(_existing(settings.state)).free
    return _result(
        "disk",
        free >= DISK_NEEDED_BYTES,
        f"{free / GIB:.1f} GiB free where the state lies",
        f"free disk: {DISK_NEEDED_BYTES // GIB} GiB are needed",
    )


def _existing(place: Path) -> Path:
    """Return *place* or the nearest directory above that exists."""
    while not place.exists() and place != place.parent:
        place = place.parent
    return place


def rotational(place: Path, devices: Path = Path("/sys/dev/block")) -> bool | None:
    """
    Return whether the disk that holds *place* rotates; None when the kernel does not tell.

    A partition has no queue of its own, its disk does; a filesystem that spans disks
    or layers has no device at all.  A virtual disk rotates by default, whatever is below.
    """
    device = place.stat().st_dev
    entry = devices / f"{os.major(device)}:{os.minor(device)}"
    try:
        where = entry.resolve(strict=True)
        queue = next(p / "queue" for p in (where, where.parent) if (p / "queue").is_dir())
        rotates = (queue / "rotational").read_text(encoding="ascii").strip() == "1"
    except (OSError, StopIteration):
        return None
    virtual = any(part.startswith("virtio") for part in where.parts)
    return None if rotates and virtual else rotates


def judge_disk_kind(rotates: bool | None) -> CheckResult:
    """Judge the kind of disk: one that rotates makes the database slow."""
    if rotates is None:
        return CheckResult(
            "disk_kind", CheckStatus.UNKNOWN, "the kernel cannot tell", "lsblk --output NAME,ROTA"
        )
    words = "a rotating disk" if rotates else "solid state"
    return _result(
        "disk_kind", not rotates, words, "keep the state on a solid-state disk", hard=False
    )


def _read_overcommit(file: Path = Path("/proc/sys/vm/overcommit_memory")) -> str | None:
    try:
        return file.read_text(encoding="ascii").strip()
    except OSError:
        return None


def judge_overcommit(mode: str | None) -> CheckResult:
    """
    Judge whether Redis can save itself: it forks, and the kernel may refuse a fork.

    Args:
        mode: Of the kernel: ``0`` guesses, ``1`` never refuses, ``2`` counts; None unread.

    Source: Redis, "Redis administration", on ``vm.overcommit_memory``.
    """
    if mode is None:
        remedy = "sysctl vm.overcommit_memory"
        return CheckResult("overcommit", CheckStatus.UNKNOWN, "the kernel does not tell", remedy)
    words = {"0": "the kernel guesses what fits", "1": "allowed", "2": "memory is counted"}
    told = f"vm.overcommit_memory = {plain_text(mode, 10)}: {words.get(mode, 'not known here')}"
    remedy = "sysctl -w vm.overcommit_memory=1 (a large Redis could not save itself otherwise)"
    return _result("overcommit", mode == "1", told, remedy, hard=False)


def _namespaces() -> CheckResult:
    """PostgreSQL refuses to run as root; a user namespace gives it another identity."""
    if os.geteuid() != 0:
        return CheckResult("postgres", CheckStatus.PASS, "runs as this user")
    if not Path("/proc/self/ns/user").exists() or shutil.which("unshare") is None:
        ok = False
    else:
        ok = run(["unshare", "--user", "--map-user=1000", "--map-group=1000", "true"]).ok
    # Without them PostgreSQL runs as `nobody`, with its data outside the state.
    return _result(
        "postgres",
        ok,
        "user namespaces work" if ok else "user namespaces are refused to root",
        "run as an ordinary user, to keep the database below the state directory",
        hard=False,
    )
