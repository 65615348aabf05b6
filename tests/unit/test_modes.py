"""Who may read what is written: decided by the directory, whatever the umask."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from console.modes import adopt_umask, file_mode, is_shared, make_directory, open_file
from console.runtimes.files import write_atomic


@pytest.fixture(params=[0, 0o022, 0o077], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    """Set the umask of the person at work."""
    before = os.umask(request.param)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o7777


@pytest.mark.parametrize(
    ("own", "directory", "file"), [(0o700, 0o700, 0o600), (0o2770, 0o2770, 0o660)]
)
@pytest.mark.usefixtures("umask")
def test_what_is_written_below_is_of_its_kind(
    tmp_path: Path, own: int, directory: int, file: int
) -> None:
    state = tmp_path / "state"
    state.mkdir()
    state.chmod(own)

    make_directory(state / "embedded" / "logs")
    os.close(open_file(state / "lock", os.O_RDWR))
    write_atomic(state / "embedded" / "note", b"x")

    assert mode(state / "embedded") == mode(state / "embedded" / "logs") == directory
    assert mode(state / "lock") == mode(state / "embedded" / "note") == file
    assert file_mode(state) == file


@pytest.mark.parametrize("own", [0o755, 0o770, 0o2750, 0o2755])
def test_half_a_shared_directory_is_none(tmp_path: Path, own: int) -> None:
    tmp_path.chmod(own)

    assert not is_shared(tmp_path)
    make_directory(tmp_path / "below")
    assert mode(tmp_path / "below") & 0o777 == 0o700


def test_a_file_of_ours_that_was_open_to_others_is_closed(tmp_path: Path) -> None:
    log = tmp_path / "agent.log"
    log.write_text("kept")
    log.chmod(0o644)

    os.close(open_file(log, os.O_WRONLY | os.O_APPEND))

    assert mode(log) == 0o600
    assert log.read_text() == "kept"


def test_a_file_in_the_way_is_said(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")

    with pytest.raises(OSError, match=r"[Nn]ot a directory|exists"):
        make_directory(tmp_path / "state" / "embedded")
    with pytest.raises(NotADirectoryError):
        make_directory(tmp_path / "state")


def test_the_umask_is_taken_over_only_for_a_shared_state(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        adopt_umask(tmp_path)
        assert os.umask(0o022) == 0o022
        tmp_path.chmod(0o2770)
        adopt_umask(tmp_path)
        assert os.umask(0o022) == 0o007
    finally:
        os.umask(before)
