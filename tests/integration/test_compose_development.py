"""The development override: what one types is what runs."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.compose_stack import SMALL, ComposeStack, copy_tree, own_environment
from tests.servers import wait_until

pytestmark = [pytest.mark.docker, pytest.mark.timeout(600)]


@pytest.fixture
def development(tmp_path: Path) -> Iterator[ComposeStack]:
    """Give the application and its stores, with the source of a copy of the tree."""
    tree = copy_tree(tmp_path / "tree")
    files = [tree / "compose" / f"docker-compose.{n}.yml" for n in ("production", "development")]
    stack = ComposeStack(
        tmp_path / "state", f"fragrance-test-dev-{os.getpid()}", files=tuple(files)
    )
    try:
        stack.prepare()
        stack.up("app")
        yield stack
    finally:
        stack.close()


def test_a_change_of_the_source_is_served_without_a_build(
    development: ComposeStack, tmp_path: Path
) -> None:
    address = f"http://127.0.0.1:{development.env['APP_PORT']}"
    before = httpx.get(f"{address}/openapi.json", timeout=10).json()["info"]["title"]
    assert before == "Fragrance AI"
    watching = tmp_path / "watch.log"
    with watching.open("wb") as log:
        watcher = subprocess.Popen(
            development.command("watch", "--no-up", "app"),
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=own_environment(),
        )  # fmt: skip
    try:
        wait_until(lambda: "enabled" in watching.read_text(), 30, f"it watches, see {watching}")
        source = tmp_path / "tree/backend/app.py"
        source.write_text(source.read_text().replace('title="Fragrance AI"', 'title="Changed"'))

        def changed() -> bool:
            try:
                shown = httpx.get(f"{address}/openapi.json", timeout=5).json()
            except httpx.HTTPError:
                return False
            return bool(shown["info"]["title"] == "Changed")

        wait_until(changed, 60, f"the change is served: {watching.read_text()}")
    finally:
        watcher.terminate()
        watcher.wait(timeout=30)
    (container,) = development.containers("app")
    assert container["Config"]["Env"]
    environment = dict(line.split("=", 1) for line in container["Config"]["Env"])
    assert (environment["APP_ENV"], environment["LOG_LEVEL"]) == ("dev", SMALL["LOG_LEVEL"])
