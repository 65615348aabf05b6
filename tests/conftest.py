"""Options and fixtures of the whole suite."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import hypothesis
import pytest

from tests.compose_stack import compose_stack as compose_stack
from tests.stack import Stack

# How long an example takes says how busy the machine is, and nothing of what is tested.
hypothesis.settings.register_profile("any machine", deadline=None)
hypothesis.settings.load_profile("any machine")

#: Set in CI: a machine without an engine fails the tests that need one.
ENGINE_REQUIRED = "FRAGRANCE_ENGINE_REQUIRED"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--faults", action="store_true", help="run the long fault tests too")


@pytest.hookimpl(tryfirst=True)  # the groups, before they are read
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """
    Leave out what was not asked for, and say what may run side by side (``-n``).

    What was left out is deselected and counted, not skipped.  The tests of one engine,
    those of one stack and those of one file share what they start: each is a group that
    one process runs, in order; the longest groups begin first.
    """
    if not config.getoption("--faults"):
        left_out = [item for item in items if item.get_closest_marker("slow")]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
    groups = {item: group_of(item) for item in items}
    for item, group in groups.items():
        item.add_marker(pytest.mark.xdist_group(group))
    if config.getoption("numprocesses", None) or hasattr(config, "workerinput"):
        order = {"docker": 0, "stack": 1, "faults": 2, "integration": 3}
        items.sort(key=lambda item: order.get(groups[item].split("/")[0], 4))


def group_of(item: pytest.Item) -> str:
    """Name the group of a test: ``docker``, ``stack`` or its directory and file."""
    for marker in ("docker", "stack"):
        if item.get_closest_marker(marker):
            return marker
    return f"{item.path.parent.name}/{item.path.stem}"


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what needs Docker only where there is truly no engine, and never in CI."""
    if item.get_closest_marker("docker") is None or engine_answers():
        return
    words = "no Docker Engine answers; compose/engine/setup installs and starts one"
    if os.environ.get(ENGINE_REQUIRED):
        pytest.fail(words)
    pytest.skip(words)


@cache
def engine_answers() -> bool:
    """Tell whether a Docker Engine answers here."""
    if shutil.which("docker") is None:
        return False
    asked = subprocess.run(
        ["docker", "version", "--format", "{{.Server.Version}}"],
        capture_output=True, timeout=30, check=False,
    )  # fmt: skip
    return asked.returncode == 0


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Give the real stack on the embedded runtime, started once for the session."""
    running = Stack(tmp_path_factory.mktemp("stack") / "state")
    try:
        started = running.fragrance("start", "--detach", timeout=180)
        assert started.returncode == 0, started.stderr
        yield running
    finally:
        running.close()
        running.fragrance("stop", timeout=120)


@pytest.fixture
def project() -> Path:
    """Give the directory of the repository."""
    return Path(__file__).resolve().parent.parent
