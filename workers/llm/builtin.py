"""
Make the small built-in models.

Randomly initialised weights write rubbish, so a small model of the real architecture is
trained on the synthetic pairs of :mod:`workers.llm.corpus`: a tokenizer of its own, a
few minutes on two cores, a fixed seed.  What it can do is measured on briefs it has not
seen and written into its manifest.
"""

from __future__ import annotations

import itertools
import json
import math
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workers.llm.corpus import Example, examples
from workers.llm.packaged import PACKAGED_DIRECTORY, ModelUnusable, verify, write_manifest
from workers.llm.prompts import BRIEF_TOKEN, END_TOKEN, FORMULA_TOKEN, PAD_TOKEN, builtin_prompt
from workers.vectors import cosine

if TYPE_CHECKING:
    import torch

TRAINING_SEED, HELD_OUT_SEED = 20_260, 90_001
VOCABULARY_SIZE = 1024
TOKENIZER_EXAMPLES = 4000
HELD_OUT_EXAMPLES = 200


@dataclass(frozen=True, slots=True)
class Recipe:
    """Size and training of a built-in model."""

    hidden: int = 160
    layers: int = 3
    heads: int = 4
    key_value_heads: int = 2
    intermediate: int = 384
    max_positions: int = 1024
    batch: int = 48
    steps: int = 900
    learning_rate: float = 4e-3


ARCHITECTURES = {
    "qwen": ("Qwen2Config", "Qwen2ForCausalLM"),
    "mistral": ("MistralConfig", "MistralForCausalLM"),
    "llama": ("LlamaConfig", "LlamaForCausalLM"),
}
"""Built-in models by name: the classes of transformers they are made of."""


def build(name: str, directory: Path, recipe: Recipe | None = None) -> dict[str, Any]:
    """
    Train a model and put it into *directory*, replacing what is there.

    Args:
        name: One of :data:`ARCHITECTURES`.
        directory: Where the model goes; appears only when everything is done.
        recipe: Size and training; the default takes a few minutes on two cores.

    Returns:
        The measured figures, as in the manifest.
    """
    import torch

    recipe = recipe or Recipe()
    began = time.monotonic()
    torch.manual_seed(TRAINING_SEED)
    tokenizer = _train_tokenizer()
    model = _new_model(name, tokenizer, recipe)
    _train(model, tokenizer, recipe)
    directory.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{directory.name}-", dir=directory.parent))
    try:
        model.to(torch.bfloat16).save_pretrained(scratch, safe_serialization=True)
        tokenizer.save_pretrained(scratch)
        training_seconds = time.monotonic() - began
        figures = evaluate(name, scratch)
        for part in scratch.iterdir():
            part.chmod(0o644)
        write_manifest(
            scratch,
            {
                "name": name,
                "architecture": ARCHITECTURES[name][1],
                "parameters": sum(weights.numel() for weights in model.parameters()),
                "training": {
                    "pairs": recipe.batch * recipe.steps,
                    "seed": TRAINING_SEED,
                    "source": "workers.llm.corpus, synthetic",
                },
                "measured": figures,
            },
        )
        scratch.chmod(0o755)
        if directory.exists():
            shutil.rmtree(directory)
        scratch.rename(directory)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return figures | {"training_seconds": round(training_seconds, 1)}


def evaluate(name: str, directory: Path) -> dict[str, Any]:
    """
    Measure a model on briefs it has not seen.

    Args:
        name: The model's name.
        directory: A model directory, its manifest not needed yet.

    Returns:
        ``parsable_first_answers`` (share of greedy first answers that are a formula over
        the palette) and ``cosine_to_brief`` (mean over those, of the odour families asked
        for and got), beside ``cosine_of_shuffled_pairs`` for scale: the same answers held
        against other briefs.
    """
    from backend.contracts.embedding import family_target
    from backend.contracts.perfumery import family_profile
    from workers.llm.model import HuggingFaceModel
    from workers.llm.parser import Unparsable, parse_answer
    from workers.llm.ports import GREEDY

    model = HuggingFaceModel.load_directory(name, directory, digest="")
    held_out = list(itertools.islice(examples(HELD_OUT_SEED), HELD_OUT_EXAMPLES))
    answers: list[str] = []
    for start in range(0, len(held_out), 20):
        part = held_out[start : start + 20]
        answers += model.generate(
            [builtin_prompt(example.brief) for example in part],
            max_new_tokens=256,
            sampling=GREEDY,
            is_abandoned=lambda _index: False,
        )
    pairs: list[tuple[tuple[float, ...], tuple[float, ...]]] = []
    parsable = 0
    for example, answer in zip(held_out, answers, strict=True):
        try:
            draft = parse_answer(answer)
        except Unparsable:
            continue
        parsable += 1
        target = family_target(example.brief)
        if target is not None:
            pairs.append((target, family_profile(draft.composition)))
    shifted = [(pairs[index - 7][0], profile) for index, (_, profile) in enumerate(pairs)]
    return {
        "held_out_briefs": len(held_out),
        "parsable_first_answers": round(parsable / len(held_out), 4),
        "cosine_to_brief": round(_mean_cosine(pairs), 4),
        "cosine_of_shuffled_pairs": round(_mean_cosine(shifted), 4),
    }


def build_command(name: str, output: str | None, steps: int | None) -> int:
    """Carry out ``models build``; figures go to standard output as JSON."""
    directory = Path(output) if output else PACKAGED_DIRECTORY / name
    recipe = Recipe() if steps is None else Recipe(steps=steps)
    print(json.dumps(build(name, directory, recipe), indent=2))
    return 0


def prepare_command() -> int:
    """Carry out ``models prepare``: verify the packaged models, build what is missing."""
    for name in ARCHITECTURES:
        directory = PACKAGED_DIRECTORY / name
        try:
            digest = verify(directory)
        except ModelUnusable as error:
            if directory.exists():
                print(f"error: {error}; build it anew: models build {name}", file=sys.stderr)
                return 1
            build(name, directory)
            digest = verify(directory)
        print(json.dumps({"name": name, "path": str(directory), "digest": digest}))
    return 0


def _train_tokenizer() -> Any:
    """Learn a byte-pair vocabulary; words, numbers and runs of punctuation stay whole."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    pattern = Regex(r"\.[0-9]|[0-9]+| ?[A-Za-z]+(?:-[a-z0-9]+)*|[^A-Za-z0-9 ]+| ")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(pattern, behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_SIZE,
        special_tokens=[PAD_TOKEN, END_TOKEN, BRIEF_TOKEN, FORMULA_TOKEN],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    pairs = itertools.islice(examples(TRAINING_SEED), TOKENIZER_EXAMPLES)
    tokenizer.train_from_iterator(
        (text for pair in pairs for text in (pair.brief, pair.answer)), trainer
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD_TOKEN,
        eos_token=END_TOKEN,
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )


def _new_model(name: str, tokenizer: Any, recipe: Recipe) -> Any:
    import transformers

    config, model = (getattr(transformers, part) for part in ARCHITECTURES[name])
    return model(
        config(
            vocab_size=len(tokenizer),
            hidden_size=recipe.hidden,
            num_hidden_layers=recipe.layers,
            num_attention_heads=recipe.heads,
            num_key_value_heads=recipe.key_value_heads,
            intermediate_size=recipe.intermediate,
            max_position_embeddings=recipe.max_positions,
            tie_word_embeddings=True,
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=tokenizer.eos_token_id,
            bos_token_id=None,
        )
    )


def _train(model: Any, tokenizer: Any, recipe: Recipe) -> None:
    import torch

    optimizer = torch.optim.AdamW(
        model.parameters(), lr=recipe.learning_rate, betas=(0.9, 0.98), weight_decay=0.01
    )
    source = examples(TRAINING_SEED)
    model.train()
    for step in range(recipe.steps):
        for group in optimizer.param_groups:
            group["lr"] = recipe.learning_rate * _schedule(step, recipe.steps)
        batch = _batch(list(itertools.islice(source, recipe.batch)), tokenizer)
        loss = model(**batch).loss
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % 50 == 0 or step == recipe.steps - 1:
            print(f"step {step} loss {loss.item():.4f}", file=sys.stderr, flush=True)
    model.eval()


def _schedule(step: int, steps: int) -> float:
    """Warm up over a twentieth of the steps, then fall along a cosine to a fiftieth."""
    warm_up = max(1, steps // 20)
    if step < warm_up:
        return (step + 1) / warm_up
    return max(0.02, 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(1, steps - warm_up))))


def _batch(pairs: list[Example], tokenizer: Any) -> dict[str, torch.Tensor]:
    """Pad on the right; only the answer counts towards the loss."""
    import torch

    rows = []
    for pair in pairs:
        prompt = tokenizer.encode(builtin_prompt(pair.brief))
        answer = tokenizer.encode(pair.answer + END_TOKEN)
        rows.append((prompt + answer, [-100] * len(prompt) + answer))
    width = max(len(ids) for ids, _ in rows)
    pad = tokenizer.pad_token_id
    return {
        "input_ids": torch.tensor([ids + [pad] * (width - len(ids)) for ids, _ in rows]),
        "attention_mask": torch.tensor(
            [[1] * len(ids) + [0] * (width - len(ids)) for ids, _ in rows]
        ),
        "labels": torch.tensor([labels + [-100] * (width - len(labels)) for _, labels in rows]),
    }


def _mean_cosine(pairs: list[tuple[tuple[float, ...], tuple[float, ...]]]) -> float:
    return math.fsum(cosine(*pair) for pair in pairs) / len(pairs) if pairs else 0.0
