"""The packaged models: whole, loadable without a network, and able to write a formula."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from backend.contracts.settings import Settings, SettingsError
from workers.llm.ensemble import load_ensemble
from workers.llm.packaged import PACKAGED_DIRECTORY, ModelUnusable, verify
from workers.llm.parser import parse_answer
from workers.llm.ports import GREEDY
from workers.llm.prompts import builtin_prompt

BUILTIN = ("qwen", "mistral", "llama")


@pytest.mark.parametrize("name", BUILTIN)
def test_one_small_inference_writes_a_formula(name: str) -> None:
    from workers.llm.model import HuggingFaceModel

    directory = PACKAGED_DIRECTORY / name
    model = HuggingFaceModel.load_directory(name, directory, digest=verify(directory))
    (text,) = model.generate(
        [builtin_prompt("a fresh citrus cologne with cedar")],
        max_new_tokens=256,
        sampling=GREEDY,
        is_abandoned=lambda _index: False,
    )
    assert sum(parse_answer(text).composition.values()) == pytest.approx(100.0)


def test_numbers_names_and_other_tongues_do_not_disturb_the_answer() -> None:
    from workers.llm.model import HuggingFaceModel

    model = HuggingFaceModel.load_directory("qwen", PACKAGED_DIRECTORY / "qwen", digest="0")
    briefs = [
        "EDP 2026, 50 ml, under €90: something like the sea after rain, please!",
        "My name is Chris; a fragrance for my wedding on 12/06/2027, with fig and tobacco",
        "spicy and incense with musk 58 0.38029885040614",
        "leder und rauch, bitte nicht süß",
        "1234567890",
    ]
    for text in model.generate(
        [builtin_prompt(brief) for brief in briefs],
        max_new_tokens=256,
        sampling=GREEDY,
        is_abandoned=lambda _index: False,
    ):
        assert sum(parse_answer(text).composition.values()) == pytest.approx(100.0)


def test_a_batch_answers_as_single_requests_do() -> None:
    from workers.llm.model import HuggingFaceModel

    model = HuggingFaceModel.load_directory("qwen", PACKAGED_DIRECTORY / "qwen", digest="0")
    prompts = [builtin_prompt(brief) for brief in ("rose", "a warm woody scent with smoke")]

    def ask(some: list[str]) -> list[str]:
        return model.generate(
            some, max_new_tokens=256, sampling=GREEDY, is_abandoned=lambda _index: False
        )

    assert ask(prompts) == ask(prompts[:1]) + ask(prompts[1:])


def test_an_abandoned_row_stops_early() -> None:
    from workers.llm.model import HuggingFaceModel

    model = HuggingFaceModel.load_directory("qwen", PACKAGED_DIRECTORY / "qwen", digest="0")
    prompts = [builtin_prompt("rose"), builtin_prompt("wood")]
    kept, dropped = model.generate(
        prompts, max_new_tokens=256, sampling=GREEDY, is_abandoned=lambda index: index == 1
    )
    parse_answer(kept)
    assert len(dropped) < 40


@pytest.mark.parametrize("damage", ["change", "remove", "add", "manifest"])
def test_a_damaged_model_directory_is_refused(tmp_path: Path, damage: str) -> None:
    copy = tmp_path / "qwen"
    shutil.copytree(PACKAGED_DIRECTORY / "qwen", copy)
    weights = copy / "model.safetensors"
    if damage == "change":
        content = bytearray(weights.read_bytes())
        content[-1] ^= 1
        weights.write_bytes(content)
    elif damage == "remove":
        weights.unlink()
    elif damage == "add":
        (copy / "pytorch_model.bin").write_bytes(b"pickle")
    else:
        (copy / "manifest.json").write_text("{")
    with pytest.raises(ModelUnusable):
        verify(copy)


def test_a_model_that_is_not_there_is_named(tmp_path: Path) -> None:
    from workers.llm.model import HuggingFaceModel

    with pytest.raises(ModelUnusable, match="does not load"):
        HuggingFaceModel.load_directory("qwen", tmp_path / "nowhere")


def test_development_runs_one_small_model_and_production_all_three() -> None:
    development = load_ensemble(Settings(app_env="dev"))
    assert [(model.name, model.max_new_tokens) for model in development.models] == [("qwen", 256)]
    production = load_ensemble(
        Settings.model_validate({"app_env": "prod", "secret_key": "k" * 32, "use_gpu": True})
    )
    assert [model.name for model in production.models] == list(BUILTIN)
    assert {model.max_new_tokens for model in production.models} == {1024}
    assert {model.device_map for model in production.models} == {"auto"}


def test_an_ensemble_without_a_model_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "ensemble.yaml"
    path.write_text(
        "default: {generation: {deadline_seconds: 1, batch_window_milliseconds: 1, attempts: 1,"
        " temperature: 1, top_p: 1}, models: {qwen: {enabled: false}}}"
    )
    monkeypatch.setenv("LLM_ENSEMBLE_FILE", str(path))
    with pytest.raises(SettingsError, match="enables no model"):
        load_ensemble(Settings())


def test_an_order_to_a_worker_loads_neither_torch_nor_transformers() -> None:
    code = (
        "import sys; from workers.__main__ import main; import workers.control, workers.base;"
        "sys.exit(sorted({'torch', 'transformers', 'numpy', 'sqlalchemy'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], timeout=60, capture_output=True, text=True, check=False
    )
    assert done.stderr.strip() == "[]"
