"""Which models answer, read from ``llm_ensemble.yaml`` for the environment at hand."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from backend.contracts.settings import Settings, SettingsError

ENSEMBLE_FILE_VARIABLE = "LLM_ENSEMBLE_FILE"
PACKAGED_FILE = Path(__file__).parent.parent / "configs" / "llm_ensemble.yaml"
BUILTIN_PREFIX = "builtin:"


@dataclass(frozen=True, slots=True)
class Generation:
    """How answers are asked for; see the file for the meaning of each."""

    deadline_seconds: float
    batch_window_milliseconds: float
    attempts: int
    temperature: float
    top_p: float


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """
    One model of the ensemble.

    ``device_map`` and ``load_in_4bit`` are already what applies here: None and false
    without a GPU.
    """

    name: str
    source: str
    max_new_tokens: int
    device_map: str | None
    load_in_4bit: bool
    download: bool

    @property
    def builtin(self) -> str | None:
        """The name of the packaged model, None for any other source."""
        return self.source.removeprefix(BUILTIN_PREFIX) if self._is_builtin() else None

    def _is_builtin(self) -> bool:
        return self.source.startswith(BUILTIN_PREFIX)


@dataclass(frozen=True, slots=True)
class Ensemble:
    """The enabled models, in the order of the file, and how they are asked."""

    models: tuple[ModelEntry, ...]
    generation: Generation


def load_ensemble(settings: Settings) -> Ensemble:
    """
    Read the ensemble of the environment.

    Args:
        settings: ``app_env`` chooses the section; GPU and quantization apply to all.

    Returns:
        At least one enabled model.

    Raises:
        SettingsError: If the file cannot be read, a key is unknown or missing, or no
            model is enabled.
    """
    path = Path(os.environ.get(ENSEMBLE_FILE_VARIABLE) or PACKAGED_FILE)
    try:
        sections = yaml.safe_load(path.read_text())
        merged = _overlay(sections["default"], sections.get(settings.app_env) or {})
        generation = Generation(**merged["generation"])
        models = tuple(
            _entry(name, values, settings)
            for name, values in merged["models"].items()
            if values["enabled"]
        )
    except (OSError, yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise SettingsError(f"model ensemble {path} cannot be read: {error!r}") from error
    if not models:
        raise SettingsError(f"model ensemble {path} enables no model for {settings.app_env}")
    return Ensemble(models, generation)


def _entry(name: str, values: Mapping[str, Any], settings: Settings) -> ModelEntry:
    rest = {key: value for key, value in values.items() if key != "enabled"}
    entry = ModelEntry(name=name, **rest)
    gpu = settings.llm.use_gpu
    return ModelEntry(
        name=entry.name,
        source=str(entry.source),
        max_new_tokens=int(entry.max_new_tokens),
        device_map=entry.device_map if gpu else None,
        load_in_4bit=entry.load_in_4bit and gpu and settings.llm.enable_quantization,
        download=bool(entry.download),
    )


def _overlay(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Lay *above* over *below*, mapping by mapping."""
    merged = dict(below)
    for key, value in above.items():
        under = merged.get(key)
        if isinstance(under, Mapping) and isinstance(value, Mapping):
            merged[key] = _overlay(under, value)
        else:
            merged[key] = value
    return merged
