"""Every setting of the product and the stack is explained in ``.env.example``, none is invented."""

from __future__ import annotations

import re
from pathlib import Path

from backend.contracts.settings import Settings
from console.runtimes.compose.environment import OWN_VARIABLES, known_variables

#: Read before the settings themselves, so no field of theirs.
LOADER_VARIABLES = {"SECRETS_DIR", "SETTINGS_FILE"}
#: Where the variables of the compose files begin.
MARK = "# --- The stack on Docker"
PRODUCT = {name.upper() for name in Settings.model_fields}


def example(project: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Return the variables of both parts of the file with their values."""
    text = (project / ".env.example").read_text(encoding="utf-8")
    parts = [dict(re.findall(r"^([A-Z_]+)=(.*)", part, re.MULTILINE)) for part in text.split(MARK)]
    assert len(parts) == 2
    return parts[0], parts[1]


def test_env_example_names_exactly_the_settings(project: Path) -> None:
    product, _ = example(project)
    assert product.keys() - LOADER_VARIABLES == PRODUCT


def test_env_example_names_exactly_what_the_compose_files_read(project: Path) -> None:
    _, stack = example(project)
    read = known_variables(project).keys() - PRODUCT
    assert stack.keys() == read | OWN_VARIABLES


def test_env_example_shows_the_defaults_of_the_compose_files(project: Path) -> None:
    _, stack = example(project)
    for name, default in known_variables(project).items():
        if default and stack.get(name):
            assert (name, stack[name]) == (name, default)
