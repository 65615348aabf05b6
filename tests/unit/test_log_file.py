"""The copy of a log that outlives its container."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from backend.contracts.log_file import KEPT_SECONDS, keep_log


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    logger = logging.getLogger()
    before, level = logger.handlers[:], logger.level
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("<%(message)s>"))
    logger.handlers[:] = [handler]
    logger.setLevel("INFO")
    yield logger
    for each in logger.handlers:
        each.close()
    logger.handlers[:] = before
    logger.setLevel(level)


def test_lines_go_into_the_file_as_they_are_shown(root: logging.Logger, tmp_path: Path) -> None:
    keep_log(tmp_path, "app-1")
    root.info("hello")
    assert (tmp_path / "app-1.log").read_text() == "<hello>\n"


def test_logs_of_replicas_that_are_no_more_go_after_a_week(
    root: logging.Logger, tmp_path: Path
) -> None:
    week = KEPT_SECONDS + 60
    for name, age in (("old.log", week), ("old.log.1", week), ("new.log", 60)):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (time.time() - age, time.time() - age))
    (tmp_path / "something.else").touch()
    keep_log(tmp_path, "app-1")
    assert {path.name for path in tmp_path.iterdir()} == {"new.log", "app-1.log", "something.else"}


def test_a_directory_that_cannot_be_written_is_said_and_stops_nothing(
    root: logging.Logger, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root.addHandler(caplog.handler)
    before = root.handlers[:]
    keep_log(tmp_path / "missing", "app-1")
    assert "log_not_kept" in caplog.text
    assert root.handlers == before


def test_without_a_directory_there_is_no_file(root: logging.Logger) -> None:
    before = root.handlers[:]
    keep_log(None, "app-1")
    assert root.handlers == before
