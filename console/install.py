"""
Install what a command needs: ``python3.11 -I console/install.py SLICE``.

``--requirements EXTRA…`` instead prints the part of the lock that extras of the product
need, with its hashes and without the console's own packages: image builds use it.

Run by the launcher before anything is installed, hence the standard library only
and nothing of this package.  A slice is the part of ``requirements-lock.txt`` that
one extra of ``pyproject.toml`` needs; every file that is installed is checked
against the hash in the lock.

Safe to interrupt and to run twice at once: a lock lets one work at a time, an
environment is made under another name and renamed when it is whole, a slice
counts as installed when the lock's copy beside it says so.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parent.parent
#: Extra of pyproject.toml by slice; None is what the console itself depends on.
SLICES: dict[str, str | None] = {"console": None, "embedded": "embedded", "dev": "dev"}
#: Disk space for downloads and files, rounded up from what was measured.
NEEDED_MIB = {"console": 250, "embedded": 2500, "dev": 2800}
PROGRESS_SECONDS = 5.0

REFUSED, UNREACHABLE = 3, 5


class InstallError(Exception):
    """
    The installation cannot go on.

    Args:
        message: What happened.
        remedy: What to do.
        exit_code: As in the console's contract.
    """

    def __init__(self, message: str, remedy: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.remedy = remedy
        self.exit_code = exit_code


@dataclass(frozen=True)
class Locked:
    """One package of the lock: its lines, hashes included, and who wants it."""

    text: str
    wanted_by: frozenset[str]


def normalized(requirement: str) -> str:
    """Return the name in a requirement in the form in which names are compared."""
    found = re.match(r"[A-Za-z0-9._-]+", requirement.strip())
    return re.sub(r"[-_.]+", "-", found[0]).lower() if found else ""


def read_lock(text: str) -> dict[str, Locked]:
    """Return the packages of a lock by name; its ``# via`` comments say who wants them."""
    packages: dict[str, Locked] = {}
    for block in re.split(r"\n(?=[A-Za-z0-9])", text):
        lines = [line for line in block.splitlines() if line.strip()]
        if not lines or lines[0].startswith("#"):
            continue
        comments = [line.strip()[1:].strip() for line in lines if line.strip().startswith("#")]
        wanted_by = {normalized(c.removeprefix("via")) for c in comments} - {""}
        body = [line for line in lines if not line.strip().startswith("#")]
        packages[normalized(lines[0])] = Locked("\n".join(body), frozenset(wanted_by))
    return packages


def slice_names(lock: dict[str, Locked], pyproject: str, name: str) -> list[str]:
    """
    Return the packages of one slice, sorted.

    Raises:
        InstallError: If the lock lacks what pyproject.toml asks for.
    """
    project = tomllib.loads(pyproject)["project"]
    extras: dict[str, list[str]] = project["optional-dependencies"]
    return _needed(lock, project, [*project["dependencies"], *extras.get(SLICES[name] or "", [])])


def extra_names(lock: dict[str, Locked], pyproject: str, *wanted: str) -> list[str]:
    """
    Return the packages that some extras need, without the console's own; sorted.

    Raises:
        InstallError: If there is no such extra, or the lock lacks what it asks for.
    """
    project = tomllib.loads(pyproject)["project"]
    extras: dict[str, list[str]] = project["optional-dependencies"]
    if unknown := [extra for extra in wanted if extra not in extras]:
        raise InstallError(
            f"pyproject.toml has no extra {', '.join(unknown)}", f"one of {', '.join(extras)}", 2
        )
    return _needed(lock, project, [item for extra in wanted for item in extras[extra]])


def _needed(lock: dict[str, Locked], project: dict[str, Any], wanted: list[str]) -> list[str]:
    """Return what *wanted* needs, extras of this project resolved, down to the leaves."""
    extras: dict[str, list[str]] = project["optional-dependencies"]
    this = normalized(project["name"])
    names: set[str] = set()
    waiting = list(wanted)
    while waiting:
        requirement = waiting.pop()
        if normalized(requirement) != this:
            names.add(normalized(requirement))
            continue
        inside = re.search(r"\[([^]]*)]", requirement)
        for extra in (inside[1] if inside else "").split(","):
            waiting += extras[extra.strip()]
    if missing := names - lock.keys():
        raise InstallError(
            f"requirements-lock.txt lacks {', '.join(sorted(missing))}", "make the lock anew"
        )
    grown = True
    while grown:
        more = {n for n, p in lock.items() if n not in names and p.wanted_by & names}
        names |= more
        grown = bool(more)
    return sorted(names)


class Environment:
    """
    The virtual environment of this project.

    Args:
        project: Directory of the lock and of ``.venv``.
    """

    def __init__(self, project: Path) -> None:
        self.project = project
        self.path = project / ".venv"
        self.python = self.path / "bin" / "python"
        self.notes = self.path / "fragrance"
        self.lock = project / "requirements-lock.txt"

    def installed(self, name: str) -> bool:
        """Return whether *name* was installed from the present lock."""
        try:
            return (self.notes / f"{name}.lock").read_bytes() == self.lock.read_bytes()
        except OSError:
            return False

    def make(self) -> None:
        """Make the environment unless there is one that works."""
        if not self._works():
            unfinished = self.project / ".venv.unfinished"
            shutil.rmtree(unfinished, ignore_errors=True)
            _say(f"making an environment in {self.path}")
            done = subprocess.run(
                [sys.executable, "-I", "-m", "venv", "--prompt", "fragrance", str(unfinished)],
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode != 0:
                raise InstallError(
                    "python could not make an environment: "
                    + _last_lines((done.stdout + done.stderr).splitlines()),
                    "install its venv module (Debian, Ubuntu: apt-get install python3.11-venv)",
                    UNREACHABLE,
                )
            _rename_inside(unfinished, self.path)
            shutil.rmtree(self.path, ignore_errors=True)
            unfinished.rename(self.path)
        self.notes.mkdir(exist_ok=True)
        # The packages of this project lie where they are; python finds them by this.
        for packages in self.path.glob("lib/python3.*/site-packages"):
            (packages / "fragrance.pth").write_text(f"{self.project}\n", encoding="utf-8")

    def _works(self) -> bool:
        check = "import pip, sys; sys.exit(sys.version_info[:2] != (3, 11))"
        try:
            done = subprocess.run(
                [str(self.python), "-I", "-c", check], capture_output=True, check=False, timeout=60
            )
        except (OSError, subprocess.TimeoutExpired):
            return False
        return done.returncode == 0

    def install(self, name: str) -> None:
        """Install one slice."""
        packages = read_lock(self.lock.read_text(encoding="utf-8"))
        pyproject = (self.project / "pyproject.toml").read_text(encoding="utf-8")
        names = slice_names(packages, pyproject, name)
        self._check_disk(name)
        wanted = self.lock.read_bytes()
        requirements = self.notes / f"{name}.requirements.txt"
        requirements.write_text("".join(packages[n].text + "\n" for n in names), encoding="utf-8")
        # Left behind by an installation that was cut short: its last package may be half there.
        unfinished = self.notes / f"{name}.unfinished"
        options = ["--force-reinstall"] if unfinished.exists() else []
        if name != "console":
            # The console shall start fast the first time too; of the rest, most is never loaded.
            options.append("--no-compile")
        unfinished.touch()
        self._pip(name, len(names), requirements, options)
        (self.notes / f"{name}.lock.new").write_bytes(wanted)
        (self.notes / f"{name}.lock.new").replace(self.notes / f"{name}.lock")
        unfinished.unlink()

    def _check_disk(self, name: str) -> None:
        free = shutil.disk_usage(self.project).free // 1024**2
        if free < NEEDED_MIB[name]:
            raise InstallError(
                f"{NEEDED_MIB[name]} MiB are needed below {self.project}, {free} MiB are free",
                "free some space and try again",
                REFUSED,
            )

    def _pip(self, name: str, count: int, requirements: Path, options: list[str]) -> None:
        command = [
            *(str(self.python), "-I", "-m", "pip", "install", "--no-input"),
            *("--disable-pip-version-check", "--progress-bar", "off", "--no-color"),
            *("--require-hashes", "--no-deps", *options, "-r", str(requirements)),
        ]
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        progress = Progress(name, count)
        with process:
            try:
                for line in process.stdout or ():
                    progress.take(line.rstrip())
            except BaseException:
                process.terminate()
                raise
        progress.end()
        if process.returncode != 0:
            raise InstallError(
                f"pip could not install the packages of {name}:\n  " + "\n  ".join(progress.last),
                "check the network, then try again: what is downloaded is kept. Behind a mirror, "
                "or without a network, pip reads PIP_INDEX_URL, PIP_EXTRA_INDEX_URL and "
                "PIP_FIND_LINKS (a folder of wheels). The CPU build of torch lies on an index of "
                "its own: name it in one of them (DEPLOYMENT_GUIDE.md)",
                UNREACHABLE,
            )


class Progress:
    """
    Says how far pip is: on a terminal in one line, else now and then.

    Args:
        name: The slice.
        count: Packages in it.
    """

    def __init__(self, name: str, count: int) -> None:
        self.last: deque[str] = deque(maxlen=6)
        self._name = name
        self._count = count
        self._seen = 0
        self._mib = 0.0
        self._began = time.monotonic()
        self._told_at = self._began if name != "console" else self._began - PROGRESS_SECONDS
        self._terminal = sys.stderr.isatty()
        _say(f"installing {name}: {count} packages")

    def take(self, line: str) -> None:
        """Take one line of pip's output."""
        if line.strip():
            self.last.append(line.strip())
        if line.startswith(("Collecting ", "Processing ", "Requirement already satisfied: ")):
            self._seen += 1
        if (size := re.search(r"Downloading .*\(([\d.]+) (kB|MB|GB)\)", line)) is not None:
            self._mib += float(size[1]) * {"kB": 0.001, "MB": 1.0, "GB": 1000.0}[size[2]]
        now = time.monotonic()
        doing = "unpacking" if line.startswith("Installing collected") else "fetching"
        text = (
            f"  {doing} {self._seen}/{self._count}, {self._mib:.0f} MB, {now - self._began:.0f} s"
        )
        if self._terminal:
            print(f"\r{text}\033[K", end="", file=sys.stderr, flush=True)
        elif now - self._told_at >= PROGRESS_SECONDS or doing == "unpacking":
            self._told_at = now
            _say(text)

    def end(self) -> None:
        """Finish the line."""
        if self._terminal:
            print(file=sys.stderr)
        _say(f"  {self._name} took {time.monotonic() - self._began:.0f} s")


def _rename_inside(environment: Path, final: Path) -> None:
    """Correct the path in the few scripts that carry it, before the directory is renamed."""
    for script in [*(environment / "bin").iterdir(), environment / "pyvenv.cfg"]:
        if script.is_file() and not script.is_symlink():
            with contextlib.suppress(UnicodeDecodeError):
                text = script.read_text(encoding="utf-8")
                script.write_text(text.replace(str(environment), str(final)), encoding="utf-8")


def _last_lines(lines: list[str]) -> str:
    return " / ".join(line.strip() for line in lines[-3:])


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


@contextlib.contextmanager
def _alone(project: Path) -> Iterator[None]:
    """Let one installation of this project run at a time; the kernel forgets dead ones."""
    descriptor = os.open(project, os.O_RDONLY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say("another installation is at work: waiting for it")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def install(project: Path, name: str) -> None:
    """
    Make sure that a slice of *project* is installed, the console's first.

    Raises:
        InstallError: With a remedy.
    """
    environment = Environment(project)
    try:
        with _alone(project):
            for wanted in dict.fromkeys(("console", name)):
                if not environment.installed(wanted):
                    environment.make()
                    environment.install(wanted)
    except OSError as error:
        raise InstallError(
            f"cannot write below {project}: {error.strerror or error}",
            "let the owner of the project run this once, or copy the project to a place of yours",
        ) from error


def requirements(project: Path, *extras: str) -> str:
    """Return the lock's lines for some extras of the product, as pip reads them."""
    lock = read_lock((project / "requirements-lock.txt").read_text(encoding="utf-8"))
    pyproject = (project / "pyproject.toml").read_text(encoding="utf-8")
    return "".join(lock[name].text + "\n" for name in extra_names(lock, pyproject, *extras))


def main(arguments: list[str]) -> int:
    """Install the slice that is named; the exit code follows the console's contract."""
    printing = len(arguments) > 1 and arguments[0] == "--requirements"
    if not printing and (len(arguments) != 1 or arguments[0] not in SLICES):
        _say(f"usage: python3.11 -I console/install.py {'|'.join(SLICES)} | --requirements EXTRA…")
        return 2
    try:
        if printing:
            print(requirements(PROJECT, *arguments[1:]), end="")
            return 0
        install(PROJECT, arguments[0])
    except InstallError as error:
        _say(f"fragrance: {error}")
        _say(f"  next: {error.remedy}")
        return error.exit_code
    except KeyboardInterrupt:
        _say("\ninterrupted; the next start goes on from here")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
