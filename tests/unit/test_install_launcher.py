"""The launcher: found through links, thrifty, plain when Python is missing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.stack import PROJECT

ECHO = """#!/bin/sh
echo "$@"
echo "at $(pwd)"
echo "path ${PYTHONPATH-none}"
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Give a project whose installed python only says how it was called."""
    project = tmp_path / "a project"
    (project / ".venv/bin").mkdir(parents=True)
    (project / ".venv/fragrance").mkdir()
    (project / "console").mkdir()
    shutil.copy(PROJECT / "fragrance", project / "fragrance")
    (project / "requirements-lock.txt").write_text("lock\n")
    (project / ".venv/fragrance/console.lock").write_text("lock\n")
    python = project / ".venv/bin/python"
    python.write_text(ECHO)
    python.chmod(0o755)
    (project / "console/install.py").write_text(
        "import sys; print('install', *sys.argv[1:]); sys.exit(0)"
    )
    return project


def launch(
    script: Path, *arguments: str, cwd: Path | None = None, **environ: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(script), *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env={"PATH": os.environ["PATH"], "FRAGRANCE_PYTHON": sys.executable} | environ,
        timeout=30,
    )


def test_it_runs_the_console_where_the_user_stands(place: Path, tmp_path: Path) -> None:
    done = launch(place / "fragrance", "status", "--json", cwd=tmp_path, PYTHONPATH="/evil")
    assert done.stdout.splitlines() == [
        "-P -m console status --json",
        f"at {tmp_path}",
        "path none",
    ]


def test_it_is_found_through_links(place: Path, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "f").symlink_to("../link")
    (tmp_path / "link").symlink_to(place / "fragrance")
    assert launch(tmp_path / "bin" / "f", cwd=tmp_path).stdout.startswith("-P -m console\n")


@pytest.mark.parametrize(
    ("arguments", "slices"),
    [
        (["status"], []),
        (["--help"], []),
        (["logs", "start"], []),
        (["start", "--detach"], []),
        (["--state", "test", "start"], []),
        (["--state", "bench", "test"], ["install dev"]),
        (["test", "-q"], ["install dev"]),
        (["bench"], ["install dev"]),
    ],
)
def test_a_command_installs_what_it_needs_and_no_more(
    place: Path, arguments: list[str], slices: list[str]
) -> None:
    done = launch(place / "fragrance", *arguments)
    told = [line for line in done.stdout.splitlines() if line.startswith("install")]
    assert told == slices
    assert "-P -m console " + " ".join(arguments) in done.stdout


def test_a_changed_lock_is_installed(place: Path) -> None:
    (place / "requirements-lock.txt").write_text("another lock\n")
    assert "install console" in launch(place / "fragrance", "status").stdout


def test_a_failed_installation_ends_it_with_its_code(place: Path) -> None:
    (place / "requirements-lock.txt").write_text("another lock\n")
    (place / "console/install.py").write_text("import sys; sys.exit(5)")
    done = launch(place / "fragrance", "status")
    assert done.returncode == 5
    assert "-m console" not in done.stdout


def test_without_python_it_says_what_to_install(place: Path, tmp_path: Path) -> None:
    (place / "requirements-lock.txt").write_text("another lock\n")
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("sh", "cmp", "dirname", "readlink"):
        (tools / name).symlink_to(str(shutil.which(name)))
    done = launch(place / "fragrance", "status", PATH=str(tools), FRAGRANCE_PYTHON="/none")
    assert done.returncode == 5
    assert "Python 3.11 was not found" in done.stderr
    assert "python3.11-venv" in done.stderr


def test_it_is_posix_shell() -> None:
    for shell in ("dash", "sh"):
        if found := shutil.which(shell):
            subprocess.run([found, "-n", str(PROJECT / "fragrance")], check=True, timeout=10)
