"""
Models through transformers; the one module here that knows torch.

Weights are read as safetensors from a local directory, code from the hub is never run.
A hub name is resolved in the local cache (``HF_HOME``) first and is fetched only when
the ensemble says so.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

# Read at import time by the libraries below.
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, StoppingCriteria
from transformers.utils import logging as transformers_logging

from workers.llm.packaged import ModelUnusable, sha256_of
from workers.llm.ports import Sampling

transformers_logging.disable_progress_bar()

ABANDONED_CHECK_TOKENS = 4
"""Between two looks at who still wants an answer; a token takes milliseconds."""


class HuggingFaceModel:
    """
    A causal language model with its tokenizer.

    Args:
        name: The ensemble entry's name.
        digest: Changes with the weights.
        tokenizer: Pads on the left.
        model: In evaluation mode, on its device.
    """

    def __init__(self, name: str, digest: str, tokenizer: Any, model: Any) -> None:
        self.name = name
        self.digest = digest
        self._tokenizer = tokenizer
        self._model = model

    @classmethod
    def load_directory(
        cls,
        name: str,
        source: Path | str,
        *,
        digest: str | None = None,
        device_map: str | None = None,
        quantize_4bit: bool = False,
        local_files_only: bool = True,
    ) -> HuggingFaceModel:
        """
        Load a model.

        Args:
            name: The ensemble entry's name.
            source: A local directory, or a hub name.
            digest: Known hash of the model; None computes one over its files.
            device_map: As transformers takes it; None is the CPU.
            quantize_4bit: Load in 4 bits; needs bitsandbytes and a GPU.
            local_files_only: False lets a hub name be downloaded.

        Raises:
            ModelUnusable: With the reason in one sentence.
        """
        common: dict[str, Any] = {
            "local_files_only": local_files_only,
            "trust_remote_code": False,
        }
        placement: dict[str, Any] = {}
        if device_map:
            placement["device_map"] = device_map
        if quantize_4bit:
            from transformers import BitsAndBytesConfig

            placement["quantization_config"] = BitsAndBytesConfig(load_in_4bit=True)
        try:
            tokenizer = AutoTokenizer.from_pretrained(str(source), padding_side="left", **common)
            model = AutoModelForCausalLM.from_pretrained(
                str(source),
                use_safetensors=True,
                dtype="auto" if placement else torch.float32,
                **common,
                **placement,
            )
        except (OSError, ValueError, ImportError, RuntimeError) as error:
            first_line = str(error).strip().splitlines()[0] if str(error).strip() else ""
            raise ModelUnusable(
                f"model {name} from {source} does not load: {first_line}"
            ) from error
        if tokenizer.pad_token_id is None:
            tokenizer.pad_token = tokenizer.eos_token
        model.eval()
        return cls(name, digest if digest is not None else _digest(source), tokenizer, model)

    @property
    def parameters(self) -> int:
        """Number of weights."""
        count: int = self._model.num_parameters()
        return count

    def chat(self, instruction: str) -> str:
        """Wrap an instruction as this model was trained to read one."""
        if self._tokenizer.chat_template is None:
            return instruction
        prompt: str = self._tokenizer.apply_chat_template(
            [{"role": "user", "content": instruction}], tokenize=False, add_generation_prompt=True
        )
        return prompt

    def generate(
        self,
        prompts: Sequence[str],
        *,
        max_new_tokens: int,
        sampling: Sampling,
        is_abandoned: Callable[[int], bool],
    ) -> list[str]:
        """Continue every prompt; see :class:`workers.llm.ports.TextModel`."""
        encoded = self._tokenizer(
            list(prompts), return_tensors="pt", padding=True, return_token_type_ids=False
        ).to(self._model.device)
        choice: dict[str, Any] = {"do_sample": False}
        if sampling.temperature > 0:
            choice = {
                "do_sample": True,
                "temperature": sampling.temperature,
                "top_p": sampling.top_p,
            }
        with torch.inference_mode():
            output = self._model.generate(
                **encoded,
                **choice,
                max_new_tokens=max_new_tokens,
                pad_token_id=self._tokenizer.pad_token_id,
                stopping_criteria=[_Abandoned(len(prompts), is_abandoned)],
            )
        width = encoded["input_ids"].shape[1]
        texts: list[str] = self._tokenizer.batch_decode(
            output[:, width:], skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return texts


class _Abandoned(StoppingCriteria):  # type: ignore[misc]  # transformers is untyped here
    """Stop the rows nobody waits for any more."""

    def __init__(self, rows: int, is_abandoned: Callable[[int], bool]) -> None:
        self._rows = rows
        self._is_abandoned = is_abandoned
        self._calls = 0
        self._stopped = [False] * rows

    def __call__(self, input_ids: Any, scores: Any, **kwargs: Any) -> Any:
        del scores, kwargs
        self._calls += 1
        if self._calls % ABANDONED_CHECK_TOKENS == 0:
            self._stopped = [self._is_abandoned(index) for index in range(self._rows)]
        return torch.tensor(self._stopped, device=input_ids.device)


def _digest(source: Path | str) -> str:
    """Hash the weights of a local directory; a hub name stands for itself."""
    directory = Path(source)
    if not directory.is_dir():
        return hashlib.sha256(str(source).encode()).hexdigest()
    digest = hashlib.sha256()
    for path in sorted(directory.glob("*")):
        if path.suffix in {".safetensors", ".json"}:
            digest.update(f"{path.name}:{sha256_of(path)}\n".encode())
    return digest.hexdigest()
