"""Checkpoints: whole or not there, and a search that goes on from one as if nothing happened."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from backend.contracts.formula import Formula
from backend.contracts.payloads import Method
from workers.rl.checkpoint import KEPT, STATE_NAME, Checkpoint, CheckpointStore
from workers.rl.optimizer import Improved, optimise

FORMULA = Formula.from_composition(
    "Start", {"lemon-oil": 20.0, "hedione": 30.0, "galaxolide": 30.0, "rose-absolute": 20.0}
)


def some(step: int) -> Checkpoint:
    tensors = {"weights": np.arange(step, step + 4, dtype=np.float32), "count": np.array(step)}
    return Checkpoint(step, tensors, {"note": f"at {step}"})


class Recorder:
    """An observer that remembers every checkpoint."""

    def __init__(self) -> None:
        self.kept: list[Checkpoint] = []
        self.curves: list[Mapping[str, float]] = []

    def progress(self, step: int, figures: Mapping[str, float]) -> None:
        pass

    def keep(self, checkpoint: Checkpoint, figures: Mapping[str, float], *, last: bool) -> None:
        self.kept.append(checkpoint)

    def scalars(self, step: int, figures: Mapping[str, float]) -> None:
        self.curves.append(figures)

    def episodes(self, count: int) -> None:
        pass


def test_what_was_saved_is_read_back(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path / "job")
    path = store.save(some(7))
    found = store.newest()
    assert found is not None
    assert (found.step, found.facts, found.path) == (7, {"note": "at 7"}, path)
    assert found.tensors["count"].shape == ()
    np.testing.assert_array_equal(found.tensors["weights"], some(7).tensors["weights"])


def test_without_a_checkpoint_there_is_none(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path / "job")
    store.sweep()
    assert store.newest() is None


def test_only_the_newest_are_kept(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    for step in range(5):
        store.save(some(step))
    assert len(list(tmp_path.iterdir())) == KEPT
    newest = store.newest()
    assert newest is not None
    assert newest.step == 4


@pytest.mark.parametrize("damage", ["truncated", "flipped", "no manifest", "empty manifest"])
def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(
    tmp_path: Path, damage: str
) -> None:
    store = CheckpointStore(tmp_path)
    store.save(some(1))
    newest = store.save(some(2))
    state, manifest = newest / STATE_NAME, newest / "manifest.json"
    if damage == "truncated":
        os.truncate(state, state.stat().st_size // 2)
    elif damage == "flipped":
        content = bytearray(state.read_bytes())
        content[-1] ^= 1
        state.write_bytes(content)
    elif damage == "no manifest":
        manifest.unlink()
    else:
        manifest.write_text("")
    found = store.newest()
    assert found is not None
    assert found.step == 1
    store.save(some(2))
    repaired = store.newest()
    assert repaired is not None
    assert repaired.step == 2


@pytest.mark.parametrize("moment", ["fsync", "rename"])
def test_a_save_that_is_cut_off_leaves_the_earlier_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    store = CheckpointStore(tmp_path)
    store.save(some(1))

    def cut_off(*_: object) -> None:
        raise OSError("no space left on device")

    with monkeypatch.context() as patch:
        if moment == "fsync":
            patch.setattr("workers.rl.checkpoint.os.fsync", cut_off)
        else:
            patch.setattr(Path, "rename", cut_off)
        with pytest.raises(OSError, match="no space"):
            store.save(some(2))
    found = store.newest()
    assert found is not None
    assert found.step == 1


def test_what_a_crash_left_behind_is_swept(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    store.save(some(1))
    (tmp_path / ".writing-abc").mkdir()
    (tmp_path / ".writing-abc" / STATE_NAME).write_bytes(b"half")
    store.sweep()
    assert [path.name for path in tmp_path.iterdir()] == ["step-000000000001"]


@pytest.mark.parametrize(("method", "steps", "batch"), [("ppo", 1024, 8), ("genetic", 12, 16)])
def test_a_resumed_search_ends_exactly_as_an_uninterrupted_one(
    tmp_path: Path, method: str, steps: int, batch: int
) -> None:
    def search(observer: Recorder, resume: Checkpoint | None) -> Improved:
        return optimise(
            FORMULA,
            "a woody rose",
            method=Method(method),
            steps=steps,
            batch=batch,
            seed=5,
            observer=observer,
            resume=resume,
        )

    straight, resumed = Recorder(), Recorder()
    expected = search(straight, None)
    store = CheckpointStore(tmp_path)
    store.save(straight.kept[len(straight.kept) // 2 - 1])
    outcome = search(resumed, store.newest())
    assert outcome == expected
    assert len(resumed.kept) < len(straight.kept)
    last, again = straight.kept[-1], resumed.kept[-1]
    assert last.step == again.step
    assert json.dumps(last.facts) == json.dumps(again.facts)
    for name, tensor in last.tensors.items():
        np.testing.assert_array_equal(tensor, again.tensors[name], err_msg=name)
    assert straight.curves


def test_an_optimised_formula_is_legal_and_not_worse() -> None:
    improved = optimise(
        FORMULA,
        "a woody rose",
        method=Method.GENETIC,
        steps=30,
        batch=32,
        seed=1,
        observer=Recorder(),
        resume=None,
    )
    assert improved.verdict.legal
    assert improved.origin["score_after"] > improved.origin["score_before"]
