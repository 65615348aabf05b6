"""What one user chose: theirs alone, and never in the way."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from screens.coarse import coarse
from screens.preferences import Preferences
from tests.fakes import pictures

STATE = Path("/srv/stack/.fragrance")


def of(home: Path, state: Path = STATE) -> Preferences:
    return Preferences.of_user({"XDG_STATE_HOME": str(home)}, state)


def test_what_is_kept_is_found_again_for_the_same_stack(tmp_path: Path) -> None:
    mine = of(tmp_path)
    mine.theme, mine.mouse, mine.screens = "light", True, {"logs": {"level": "error"}}
    mine.save()
    again = of(tmp_path)
    assert (again.theme, again.mouse, again.screens) == ("light", True, mine.screens)
    other = of(tmp_path, Path("/another"))
    assert (other.theme, other.screens) == ("light", {})
    other.save()
    assert of(tmp_path).screens == mine.screens


@pytest.mark.parametrize(
    "text",
    ["", "{half", "[]", '{"a": ' * 100_000, "\x00" * 300_000, '{"theme": 1e999, "stacks": 3}'],
)
def test_a_damaged_file_gives_the_defaults_and_is_replaced(tmp_path: Path, text: str) -> None:
    path = of(tmp_path).path
    assert path is not None
    path.parent.mkdir()
    path.write_text(text)
    found = of(tmp_path)
    assert (found.theme, found.mouse, found.screens) == (None, False, {})
    found.theme = "light"
    found.save()
    assert of(tmp_path).theme == "light"
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_pipe_in_its_place_does_not_hold_it_up(tmp_path: Path) -> None:
    (tmp_path / "fragrance").mkdir()
    os.mkfifo(tmp_path / "fragrance" / "console.json")
    assert "damaged" in of(tmp_path).complaint


def test_without_a_home_of_their_own_nothing_is_kept(tmp_path: Path) -> None:
    assert Preferences.of_user({}, STATE).path is None
    if os.geteuid() == 0:
        theirs = tmp_path / "theirs"
        theirs.mkdir()
        os.chown(theirs, 12345, 12345)
        found = Preferences.of_user({"HOME": str(theirs)}, STATE)
        assert found.path is None
        found.save()
        assert not list(theirs.iterdir())


def test_only_the_newest_stacks_are_kept(tmp_path: Path) -> None:
    for number in range(30):
        of(tmp_path, Path(f"/stack-{number}")).save()
    path = of(tmp_path).path
    assert path is not None
    assert next(iter(json.loads(path.read_text())["stacks"])) == "/stack-10"


def test_coarse_figures_stand_still_far_from_alarms_and_are_exact_near_them() -> None:
    picture = pictures.failed()
    drawn = coarse(picture)
    assert drawn.metrics.error_ratio == picture.metrics.error_ratio
    assert drawn.metrics.p95_seconds == picture.metrics.p95_seconds
    assert drawn.metrics.p50_seconds == 0.04
    assert [s.ready_words for s in drawn.services] == [s.ready_words for s in picture.services]
    crashing = picture.services[1].replicas[0]
    assert drawn.services[1].replicas[0].cpu_ratio == crashing.cpu_ratio == 0.97
    assert coarse(drawn) == drawn
