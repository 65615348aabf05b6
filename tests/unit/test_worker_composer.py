"""The rules of composing, with models whose answers are written out."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import pytest

from workers.llm.composer import Composer, NoFormula, Voice
from workers.llm.constraints import Constraints
from workers.llm.engine import MicroBatchEngine
from workers.llm.ensemble import Generation
from workers.llm.ports import Sampling

ROSE = json.dumps(
    {"name": "Rose", "top": {"linalool": 10}, "heart": {"geraniol": 60}, "base": {"galaxolide": 30}}
)
WOOD = json.dumps(
    {
        "name": "Wood",
        "top": {"linalool": 10},
        "heart": {"hedione": 10},
        "base": {"cedarwood-oil": 80},
    }
)
HOW = Generation(
    deadline_seconds=10, batch_window_milliseconds=1, attempts=3, temperature=0.8, top_p=0.9
)


class WrittenModel:
    """Gives its answers one after the other, then the last for ever."""

    digest = "0"

    def __init__(self, name: str, *answers: str) -> None:
        self.name = name
        self.answers = list(answers)
        self.asked: list[Sampling] = []

    def generate(
        self,
        prompts: Sequence[str],
        *,
        max_new_tokens: int,
        sampling: Sampling,
        is_abandoned: Callable[[int], bool],
    ) -> list[str]:
        self.asked.append(sampling)
        return [self.answers.pop(0) if len(self.answers) > 1 else self.answers[0] for _ in prompts]


def composer_of(*models: WrittenModel) -> Composer:
    voices = [
        Voice(
            model.name,
            [MicroBatchEngine(model, max_batch_size=1, max_new_tokens=8, window_seconds=0.0)],
            lambda brief: brief,
        )
        for model in models
    ]
    return Composer(voices, HOW, cache=None)


def still_wanted(_progress: float, _stage: str) -> None:
    return None


def test_a_text_that_is_no_formula_is_asked_for_again_by_sampling() -> None:
    model = WrittenModel("qwen", "sorry", ROSE)
    answer = composer_of(model).compose("a rose", Constraints(), still_wanted)
    assert answer.formula.name == "Rose"
    assert answer.origin["answers"] == 2
    assert [sampling.temperature for sampling in model.asked] == [0.0, 0.8]


def test_without_a_usable_answer_there_is_no_formula_but_a_reason() -> None:
    model = WrittenModel("qwen", "sorry")
    with pytest.raises(NoFormula, match=r"qwen: no usable formula in 3 answers; .*JSON"):
        composer_of(model).compose("a rose", Constraints(), still_wanted)
    assert len(model.asked) == 3


def test_of_several_models_the_one_closest_to_the_brief_is_taken() -> None:
    composer = composer_of(WrittenModel("qwen", ROSE), WrittenModel("llama", WOOD))
    answer = composer.compose("cedar wood", Constraints(), still_wanted)
    assert answer.origin["model"] == "llama"
    assert answer.verdict.legal


def test_one_model_that_fails_does_not_stop_the_other() -> None:
    composer = composer_of(WrittenModel("qwen", "sorry"), WrittenModel("llama", WOOD))
    answer = composer.compose("a rose", Constraints(), still_wanted)
    assert answer.origin["model"] == "llama"
