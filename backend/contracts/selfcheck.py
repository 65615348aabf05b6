"""
The frame of the self-checks: what an image can prove of itself without any server.

Run from a release's image before it gets traffic, with no network, no settings and no
secrets: ``python -m backend selfcheck`` and ``python -m workers selfcheck llm|rl``.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from backend.contracts.settings import load_settings

PYTHON = (3, 11)

Check = Callable[[], str]
"""Returns what it found in a few words; raises anything when something is wrong."""


def run_checks(checks: Mapping[str, Check], *, as_json: bool = False) -> int:
    """
    Run every check, whatever the others say, and print what came of it.

    Args:
        checks: By name, in the order of running.
        as_json: One JSON object instead of lines.

    Returns:
        Exit code: 0 when all passed, else 1.
    """
    rows = []
    for name, check in checks.items():
        began = time.monotonic()
        try:
            passed, found = True, check()
        except Exception as error:  # a check may fail in any way; that is its answer
            passed, found = False, " ".join(f"{type(error).__name__}: {error}".split())[:500]
        seconds = round(time.monotonic() - began, 3)
        rows.append({"name": name, "passed": passed, "found": found, "seconds": seconds})
    failed = [row["name"] for row in rows if not row["passed"]]
    if as_json:
        print(json.dumps({"release": _release(), "passed": not failed, "checks": rows}))
    else:
        for row in rows:
            print(f"{'ok' if row['passed'] else 'FAILED':6} {row['name']:14} {row['found']}")
    if failed:
        print(f"self-check failed: {', '.join(map(str, failed))}", file=sys.stderr)
    return 1 if failed else 0


def common_checks(modules: Sequence[str]) -> dict[str, Check]:
    """
    Return the checks of every image.

    Args:
        modules: To be imported: what the processes of this image load.
    """
    return {
        "python": _check_python,
        "versions": _check_versions,
        "packages": _check_packages,
        "imports": lambda: _check_imports(modules),
        "settings": _check_settings,
    }


def expect(condition: object, otherwise: str) -> None:
    """Raise ValueError unless *condition* holds."""
    if not condition:
        raise ValueError(otherwise)


def _check_python() -> str:
    expect(sys.version_info[:2] == PYTHON, f"Python {sys.version.split()[0]}, 3.11 is needed")
    return sys.version.split()[0]


def _check_versions() -> str:
    """The image says one version: that of the file which was built into it."""
    from backend.contracts.settings import packaged_version

    settings = load_settings()
    file = packaged_version()
    expect(settings.release == file, f"VERSION is {settings.release}, its file says {file}")
    return f"{settings.release}, commit {settings.vcs_ref}, built {settings.build_date}"


def _check_packages() -> str:
    """Every package has what it asks for, in a version it takes."""
    installed = {canonicalize_name(d.name): d.version for d in metadata.distributions()}
    problems = []
    for distribution in metadata.distributions():
        for line in distribution.requires or ():
            wanted = Requirement(line)
            if wanted.marker is not None and not wanted.marker.evaluate({"extra": ""}):
                continue
            version = installed.get(canonicalize_name(wanted.name))
            if version is None or not wanted.specifier.contains(version, prereleases=True):
                problems.append(f"{distribution.name} wants {wanted}, there is {version}")
    expect(not problems, "; ".join(problems))
    return f"{len(installed)} packages fit together"


def _check_imports(modules: Sequence[str]) -> str:
    for name in modules:
        importlib.import_module(name)
    return f"{len(modules)} modules"


def _check_settings() -> str:
    settings = load_settings()
    return f"{settings.app_env}, log level {settings.log_level}"


def _release() -> str:
    try:
        return load_settings().release
    except ValueError:
        return "unknown"
