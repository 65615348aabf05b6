"""The house: where packages lie, what imports what, what the documents promise."""

from __future__ import annotations

import importlib
import os
import re
import shlex
import subprocess
import sys
from argparse import ArgumentParser
from importlib import import_module
from pathlib import Path

import pytest

from console.cli.main import COMMAND_MODULES, build_parser
from console.domain.policy import Policy
from console.errors import UsageError
from console.operations.table import OPERATIONS

DOCUMENTS = ("README.md", "RUNBOOK.md", "DEPLOYMENT_GUIDE.md", ".github/CONTRIBUTING.md")


@pytest.mark.parametrize("package", ["console", "screens", "backend", "workers"])
def test_a_package_resolves_into_this_repository(package: str, project: Path) -> None:
    module = importlib.import_module(package)

    assert module.__file__ is not None
    assert Path(module.__file__).resolve().is_relative_to(project)


def test_imports_keep_the_contracts(project: Path) -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=project,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == 0, done.stdout


@pytest.mark.timeout(1500)  # half a minute of work, whatever else the machine does meanwhile
def test_the_code_is_linted_formatted_and_typed(project: Path) -> None:
    tools = Path(sys.executable).parent
    packages = ["console", "screens", "backend", "workers", "tests"]
    commands: list[list[Path | str]] = [
        [tools / "ruff", "check", "--no-cache", *packages],
        [tools / "ruff", "format", "--no-cache", "--check", *packages],
        [tools / "mypy", *packages],
    ]
    for command in commands:
        done = subprocess.run(
            command, cwd=project, capture_output=True, text=True, timeout=700, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_each_command_is_registered_by_the_module_that_is_loaded_for_it() -> None:
    for module, names in COMMAND_MODULES.items():
        commands = ArgumentParser().add_subparsers()
        import_module(f"console.cli.{module}").register(commands)

        assert tuple(commands.choices) == names


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["--help"],
        ["frobnicate"],
        ["--stat", "x", "status"],
        ["--state", "scale", "status"],
        ["--state=scale", "status", "--json"],
        ["status", "--help"],
        ["--low-bandwidth"],
        ["operations", "frobnicate"],
        ["scale", "--file"],
        ["-x"],
    ],
)
def test_what_is_left_out_of_the_parser_is_never_missed(
    argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    said = []
    for parser in (build_parser(), build_parser(argv)):
        try:
            outcome = str(parser.parse_args(argv))
        except (SystemExit, UsageError) as end:
            outcome = f"{type(end).__name__}: {end}"
        said.append((outcome, capsys.readouterr()))

    assert said[0] == said[1]


def test_a_command_line_loads_no_vendor_that_it_does_not_need(project: Path) -> None:
    heavy = ["textual", "docker", "redis", "psycopg", "httpx", "backend", "workers"]
    code = (
        "import sys, console.cli.main as m, console.bootstrap; m.build_parser();"
        f"print([n for n in {heavy} if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=project,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert done.stdout.strip() == "[]"


def documented_commands(project: Path) -> list[tuple[str, str]]:
    found = []
    for document in DOCUMENTS:
        text = (project / document).read_text(encoding="utf-8")
        for block in re.findall(r"```(?:sh|console)?\n(.*?)```", text, re.DOTALL):
            found += [
                (document, match.group(1))
                for line in block.splitlines()
                if (match := re.match(r"\s*(?:\$ )?(?:\./)?fragrance\b(.*)", line))
            ]
        found += [(document, match) for match in re.findall(r"`(?:\./)?fragrance ([^`]+)`", text)]
    return found


def test_every_documented_command_parses(project: Path) -> None:
    commands = documented_commands(project)
    assert len(commands) > 20

    wrong = []
    for document, command in commands:
        words = shlex.split(command.split(" #")[0].split(" | ")[0])
        if words in (["--help"], ["--version"]):
            continue
        try:
            build_parser().parse_args(words)
        except UsageError as error:
            wrong.append(f"{document}: fragrance {command}: {error}")
    assert wrong == []


def test_every_link_inside_the_documents_leads_somewhere(project: Path) -> None:
    broken = []
    for document in DOCUMENTS:
        path = project / document
        for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", path.read_text("utf-8")):
            if not (path.parent / target).exists():
                broken.append(f"{document}: {target}")
    assert broken == []


def test_every_alert_and_check_has_its_runbook_section(project: Path) -> None:
    text = (project / "RUNBOOK.md").read_text(encoding="utf-8")
    anchors = set(re.findall(r'<a id="([^"]+)">', text))

    assert {name.lower() for name in Policy().alerts} <= anchors
    assert set(OPERATIONS) <= anchors


def test_the_project_names_no_registry_and_no_path_of_a_machine(project: Path) -> None:
    names = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=project,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    ).stdout.splitlines()
    # Written in pieces, so that this file does not name them itself.
    registries = [
        "pypi" + r"\.org",
        "python" + "hosted",
        "deb" + r"\.debian",
        r"registry\." + "npm",
    ]
    forbidden = re.compile("|".join([*registries, re.escape(os.sep + "work" + os.sep)]))
    hits = [
        name
        for name in names
        if (path := project / name).is_file()
        and path.stat().st_size < 2_000_000
        and forbidden.search(path.read_text(encoding="utf-8", errors="ignore"))
    ]
    assert hits == []
