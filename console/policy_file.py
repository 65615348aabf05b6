"""
The policy file: read, checked with the place of every mistake, and its JSON schema.

``python -m console.policy_file > compose/console.schema.json`` writes the schema that
editors use; it is made from the dataclasses of :mod:`console.domain.policy`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from console.domain.policy import Policy
from console.errors import UsageError


def load_policy(path: Path) -> Policy:
    """
    Read the policy file; defaults for what it leaves out.

    Args:
        path: YAML file; a missing one means all defaults.

    Raises:
        UsageError: If it is not YAML, or a key or value is not known; names the
            place (``$.scale.app.maximum``).
    """
    import msgspec
    import yaml

    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Policy()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    try:
        raw = yaml.safe_load(text)
        raw = {} if raw is None else raw
        schema = policy_schema()
        for place, known in unknown_keys(raw, schema, schema["$defs"]):
            raise _wrong(path, f"unknown key {place}", f"use only {', '.join(known)}")
        return msgspec.convert(raw, Policy)
    except (yaml.YAMLError, msgspec.ValidationError) as error:
        raise _wrong(path, str(error), f"mend {path.name} and try again") from error


def policy_schema() -> dict[str, Any]:
    """Return the JSON schema of the policy file; it allows no key that is not known."""
    import msgspec

    schema: dict[str, Any] = json.loads(msgspec.json.encode(msgspec.json.schema(Policy)))
    for kind in schema["$defs"].values():
        kind.setdefault("additionalProperties", False)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | schema


def unknown_keys(
    value: object, schema: dict[str, Any], kinds: dict[str, Any], place: str = "$"
) -> Iterator[tuple[str, list[str]]]:
    """
    Yield the place of each key that *schema* does not know, with those it does.

    Values are not looked at: converting them says what is wrong with them.
    """
    for choice in schema.get("anyOf", ()):
        yield from unknown_keys(value, choice, kinds, place)
    if "$ref" in schema:
        schema = kinds[schema["$ref"].rpartition("/")[2]]
    if not isinstance(value, dict):
        return
    properties: dict[str, Any] = schema.get("properties", {})
    others = schema.get("additionalProperties", True)
    for key, inner in value.items():
        if key in properties:
            yield from unknown_keys(inner, properties[key], kinds, f"{place}.{key}")
        elif isinstance(others, dict):
            yield from unknown_keys(inner, others, kinds, f"{place}.{key}")
        elif not others:
            yield f"{place}.{key}", sorted(properties)


def _wrong(path: Path, what: str, remedy: str) -> UsageError:
    return UsageError(f"{path}: {what}", unchanged="nothing was started or changed", remedy=remedy)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(policy_schema(), indent=2, ensure_ascii=False) + "\n")
