"""Options and fixtures of the whole suite."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stack import Stack


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--faults", action="store_true", help="run the long fault tests too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what was not asked for; it is deselected and counted, not skipped."""
    if config.getoption("--faults"):
        return
    left_out = [item for item in items if item.get_closest_marker("slow")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


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
