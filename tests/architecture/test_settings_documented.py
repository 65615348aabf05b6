"""Every setting of the product is explained in ``.env.example``, and none is invented."""

from __future__ import annotations

import re
from pathlib import Path

from backend.contracts.settings import Settings

#: Read before the settings themselves, so no field of theirs.
LOADER_VARIABLES = {"SECRETS_DIR", "SETTINGS_FILE"}


def test_env_example_names_exactly_the_settings(project: Path) -> None:
    text = (project / ".env.example").read_text(encoding="utf-8")
    named = set(re.findall(r"^([A-Z_]+)=", text, re.MULTILINE))

    assert named - LOADER_VARIABLES == {name.upper() for name in Settings.model_fields}
