"""
Digests of how a container is made: what the file says, and what the engine was told.

Compose's own hash tells that something differs, and not what; and it differs too after
limits were changed on a container that runs, which is no difference.  So each part has a
digest of its own: short, so that nobody gets a secret back from it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

_DIGITS = 8


def file_marks(service: Mapping[str, Any]) -> dict[str, str]:
    """Return the digests of a service as ``docker compose config`` has it."""
    marks = {
        f"environment {name}": _digest(unescaped(str(value)))
        for name, value in (service.get("environment") or {}).items()
        if value is not None
    }
    marks |= {
        f"label {name}": _digest(unescaped(str(value)))
        for name, value in (service.get("labels") or {}).items()
    }
    for part in ("command", "entrypoint"):
        if service.get(part):
            marks[part] = _digest([unescaped(str(word)) for word in service[part]])
    for part in ("user", "working_dir"):
        if service.get(part):
            marks[part] = _digest(unescaped(str(service[part])))
    return marks


def container_marks(config: Mapping[str, Any]) -> dict[str, str]:
    """Return the digests of a container, from the ``Config`` of its inspection."""
    marks = {f"environment {n}": _digest(v) for n, v in environment_of(config).items()}
    marks |= {f"label {n}": _digest(str(v)) for n, v in (config.get("Labels") or {}).items()}
    for part, key in (("command", "Cmd"), ("entrypoint", "Entrypoint")):
        if config.get(key):
            marks[part] = _digest([str(word) for word in config[key]])
    for part, key in (("user", "User"), ("working_dir", "WorkingDir")):
        if config.get(key):
            marks[part] = _digest(str(config[key]))
    return marks


def differing(wanted: Mapping[str, str], present: Mapping[str, str]) -> list[str]:
    """Return the parts that *wanted* names and *present* has otherwise."""
    return [part for part, digest in wanted.items() if present.get(part) != digest]


def environment_of(config: Mapping[str, Any]) -> dict[str, str]:
    """Return the environment of a container by name."""
    variables: Sequence[str] = config.get("Env") or ()
    return dict(text.split("=", 1) for text in variables if "=" in text)


def unescaped(text: str) -> str:
    """Return a value of ``docker compose config``, which doubles each dollar, as it is meant."""
    return text.replace("$$", "$")


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:_DIGITS]
