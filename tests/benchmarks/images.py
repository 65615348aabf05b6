"""Building the three images: again with nothing changed, and after a change in the application."""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from pathlib import Path

from console.runtimes.compose.build import RECIPES, build_images
from tests.benchmarks.figures import Figure
from tests.compose_stack import VERSION, copy_tree, docker

RUNS = 3
#: Of the builds here, so that nobody's images change.
TAG = f"{VERSION}-bench"
ALL = [recipe.name for recipe in RECIPES]


def measure() -> list[Figure]:
    """Build in a copy of the sources, change the copy, and remove what was built."""
    with tempfile.TemporaryDirectory(prefix="fragrance-bench-") as directory:
        sources, state = Path(directory) / "sources", Path(directory) / "state"
        copy_tree(sources)
        try:
            _build(sources, state)
            unchanged = [_build(sources, state) for _ in range(RUNS)]
            changed = []
            for number in range(RUNS):
                code = sources / "backend" / "app.py"
                code.write_text(f"{code.read_text()}\n# change {number}\n")
                changed.append(_build(sources, state))
            images = json.loads((state / "compose" / "images.json").read_text())["images"]
            sizes = {tag.partition(":")[0]: image["size_bytes"] for tag, image in images.items()}
        finally:
            for recipe in RECIPES:
                docker("image", "rm", "--force", f"{recipe.repository}:v{TAG}", check=False)
    return [
        Figure("build, nothing changed", statistics.median(unchanged), "s", RUNS),
        Figure("build, application changed", statistics.median(changed), "s", RUNS),
        *(Figure(f"size of {name}", size / 1e6, "MB", 1) for name, size in sizes.items()),
    ]


def _build(sources: Path, state: Path) -> float:
    began = time.perf_counter()
    build_images(sources, state, TAG, ALL, lambda _: None)
    return time.perf_counter() - began
