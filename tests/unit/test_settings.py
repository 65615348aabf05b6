"""Settings and policy of one invocation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from console.domain.policy import Policy
from console.domain.services import Role
from console.errors import UsageError
from console.policy_file import policy_schema
from console.settings import load_policy, load_settings, record_environment


def test_the_state_is_taken_from_the_option_before_the_variable(tmp_path: Path) -> None:
    by_variable = load_settings(environ={"FRAGRANCE_STATE": str(tmp_path / "a")})
    by_option = load_settings(
        state=str(tmp_path / "b"), environ={"FRAGRANCE_STATE": str(tmp_path / "a")}
    )

    assert by_variable.state == tmp_path / "a"
    assert by_option.state == tmp_path / "b"


@pytest.mark.parametrize(
    ("started_in", "asked", "is_"),
    [
        (None, None, "dev"),
        (None, "staging", "staging"),
        ("staging", None, "staging"),
        ("prod", None, "prod"),
        ("prod", "dev", "prod"),
        ("dev", "prod", "prod"),
    ],
)
def test_production_wins_over_a_shell_that_says_otherwise(
    tmp_path: Path, started_in: str | None, asked: str | None, is_: str
) -> None:
    if started_in:
        record_environment(load_settings(state=str(tmp_path), environ={"APP_ENV": started_in}))

    settings = load_settings(state=str(tmp_path), environ={"APP_ENV": asked} if asked else {})

    assert settings.environment == is_
    assert settings.production == (is_ == "prod")


def test_the_shipped_policy_is_valid_and_bounds_the_scalable_services(project: Path) -> None:
    policy = load_policy(project / "compose" / "console.yaml")

    assert policy.scale["app"].maximum >= 5
    assert policy.scale["worker-llm"].maximum >= 10
    assert policy.scale["worker-rl"].maximum >= 4


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("scale: {app: {maximum: many}}", "maximum"),
        ("scael: {}", "scael"),
        ("- a list", "Expected `object`"),
        ("a: [", "console.yaml"),
        ("scale: {app: {maximun: 3}}", "$.scale.app.maximun"),
        ("scale: {app: {triggers: {cpu: 3}}}", "$.scale.app.triggers.cpu"),
        ("scale: {app: {triggers: {cpu_ratio: -1}}}", "cpu_ratio"),
        ("scale: {app: {minimum: 3, maximum: 2}}", "minimum 3"),
        ("scale_others: {maximal: 3}", "$.scale_others.maximal"),
        ("autoscale: {up_after: 3}", "$.autoscale.up_after"),
        ("settle_minutes: 0", "settle_minutes"),
        ("maintenance: {windows: [sunday]}", "sunday 02:00-04:00"),
    ],
)
def test_a_wrong_policy_is_one_clear_error(tmp_path: Path, text: str, names: str) -> None:
    path = tmp_path / "console.yaml"
    path.write_text(text)

    with pytest.raises(UsageError) as caught:
        load_policy(path)

    assert names in str(caught.value)


def test_a_missing_policy_means_all_defaults(tmp_path: Path) -> None:
    assert load_policy(tmp_path / "none.yaml").scale["app"].maximum == 5


def fits(value: Any, schema: dict[str, Any], kinds: dict[str, Any]) -> bool:
    """Tell whether *value* is as *schema* says, by the few words our schema uses."""
    if "anyOf" in schema:
        return any(fits(value, choice, kinds) for choice in schema["anyOf"])
    if "$ref" in schema:
        return fits(value, kinds[schema["$ref"].rpartition("/")[2]], kinds)
    types: dict[str, type | tuple[type, ...]] = {"object": dict, "array": list, "string": str}
    types |= {"integer": int, "number": (int, float), "boolean": bool, "null": type(None)}
    if not isinstance(value, types[schema["type"]]):
        return False
    if not isinstance(value, dict):
        return True
    others = schema.get("additionalProperties", True)
    return all(
        fits(inner, schema["properties"][key], kinds)
        if key in schema.get("properties", {})
        else isinstance(others, dict) and fits(inner, others, kinds)
        for key, inner in value.items()
    )


def test_the_schema_beside_the_policy_is_up_to_date_and_the_policy_fits_it(project: Path) -> None:
    written = json.loads((project / "compose" / "console.schema.json").read_text())
    text = (project / "compose" / "console.yaml").read_text()
    policy = yaml.safe_load(text)

    assert written == policy_schema(), (
        "write it anew: python -m console.policy_file > compose/console.schema.json"
    )
    assert "$schema=./console.schema.json" in text
    assert fits(policy, written, written["$defs"])
    assert not fits(policy | {"scael": {}}, written, written["$defs"])


@pytest.mark.parametrize(
    ("service", "role"),
    [("app", Role.APP), ("worker-llm", Role.WORKER), ("worker-rl", Role.WORKER)],
)
def test_the_shipped_policy_and_the_defaults_say_the_same(
    project: Path, service: str, role: Role
) -> None:
    shipped, default = load_policy(project / "compose" / "console.yaml"), Policy()

    assert shipped.triggers(service, role) == default.triggers(service, role)
    assert shipped.autoscale == default.autoscale
    assert shipped.settle_minutes == default.settle_minutes
