"""What ``.env.example`` says of each variable."""

from __future__ import annotations

from pathlib import Path


def explanations(path: Path) -> dict[str, tuple[str, str]]:
    """Return the comment above each variable of an example, and its usual value."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    found: dict[str, tuple[str, str]] = {}
    block: list[str] = []
    after_variable = False
    for line in lines:
        if line.startswith("#"):
            block = [] if after_variable else block
            block.append(line.lstrip("# ").strip())
            after_variable = False
        elif "=" in line:
            name, _, value = line.partition("=")
            found[name] = (" ".join(block), value)
            after_variable = True
        else:
            block, after_variable = [], False
    return found
