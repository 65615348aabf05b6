"""State directories that cannot be: said in one error, nothing started, reading goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.stack import Stack


@pytest.fixture
def nowhere(tmp_path: Path) -> Stack:
    """Give a stack whose state directory cannot be made, not even by root."""
    (tmp_path / "file").write_text("not a directory")
    return Stack(tmp_path / "file" / "state")


def test_start_is_refused_and_says_what_to_do(nowhere: Stack) -> None:
    done = nowhere.fragrance("start", "--detach")

    assert done.returncode == 3
    assert "cannot be written" in done.stderr
    assert "unchanged: nothing was started" in done.stderr
    assert "--state DIR" in done.stderr
    assert "Traceback" not in done.stderr


def test_reading_goes_on(nowhere: Stack) -> None:
    status = nowhere.status()

    assert status["overall"] == "unknown"
    assert status["services"] == []


def test_a_change_is_refused(nowhere: Stack) -> None:
    done = nowhere.fragrance("scale", "app=3", "--yes", "--reason", "test")

    assert done.returncode == 3
    assert "fragrance start" in done.stderr


def test_a_damaged_journal_is_named_and_reading_goes_on(tmp_path: Path) -> None:
    stack = Stack(tmp_path / "state")
    assert stack.fragrance("operations", "list").returncode == 0
    stack.state.mkdir(mode=0o700, exist_ok=True)
    (stack.state / "journal.db").write_bytes(b"this is no database" * 500)

    changed = stack.fragrance("elevate", "--minutes", "5", "--reason", "test", "--yes")

    assert changed.returncode in {3, 5}
    assert "journal" in changed.stderr
    assert "Traceback" not in changed.stderr
    assert stack.fragrance("status").returncode == 0
