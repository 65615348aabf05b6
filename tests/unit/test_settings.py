"""Settings and policy of one invocation."""

from __future__ import annotations

from pathlib import Path

import pytest

from console.errors import UsageError
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
        ("- a list", "a list"),
        ("a: [", "console.yaml"),
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
