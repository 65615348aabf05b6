"""The disk is cleaned up on the product as it runs; and images on a real engine."""

from __future__ import annotations

import json
import os
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from console.domain.leftovers import Leftover
from console.errors import ConsoleError, UsageError
from console.runtimes.compose import images
from console.runtimes.compose.daemon import Daemon
from console.runtimes.compose.model import Model, ServiceModel
from tests.compose_stack import docker
from tests.stack import Stack


@pytest.mark.stack
@pytest.mark.timeout(300)
def test_old_logs_go_and_old_checkpoints_are_packed_away(stack: Stack) -> None:
    month_ago = time.time() - 30 * 86400
    kept = stack.state / "embedded" / "checkpoints"
    names = [f"cleanup-{n}/step-{n:012d}" for n in range(1, 6)]
    for age, name in enumerate(names):
        (kept / name).mkdir(parents=True)
        (kept / name / "manifest.json").write_text("{}")
        os.utime(kept / name, (month_ago + age, month_ago + age))
    log = stack.state / "embedded" / "logs" / "app-1.log.3"
    log.write_text("long ago")
    os.utime(log, (month_ago, month_ago))

    shown = stack.fragrance("cleanup", "--dry-run", "--json", timeout=60)
    assert shown.returncode == 0, shown.stderr
    plan = json.loads(shown.stdout)
    assert {"remove-logs", "archive-checkpoints"} <= {s["name"] for s in plan["steps"]}
    assert log.exists()

    done = stack.fragrance("cleanup", "--yes", "--reason", "disk", "--json", timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    end = json.loads(done.stdout.splitlines()[-1])
    assert (end["outcome"], end["verified"]) == ("done", True)
    assert not log.exists()
    there = {name for name in names if (kept / name).exists()}
    assert len(there) <= 3, "only the newest of all stay"
    assert there.isdisjoint(names[:2])
    assert (kept / "archive" / f"{names[0].replace('/', '.')}.tar.gz.sha256").exists()
    again = stack.fragrance("cleanup", "--dry-run", "--json", timeout=60)
    assert json.loads(again.stdout)["steps"] == []

    undone = stack.fragrance("operations", "undo", end["operation_id"], "--yes", timeout=120)
    assert undone.returncode == 0, undone.stdout + undone.stderr
    assert all((kept / name / "manifest.json").exists() for name in names)


@pytest.fixture
def made(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Give the ids of tiny images by name: older releases, another's, and one without a name."""
    archive = tmp_path / "empty.tar"
    with tarfile.open(archive, "w") as tar:
        tar.add(__file__, "file")
    label = f"LABEL {images.SOURCE_LABEL}=test-{os.getpid()}"
    names = ["fragrance-ai-test:v0.0.1", "fragrance-ai-test:v0.0.2", "fragrance-ai-test:mine", ""]
    found = {}
    for name in names:
        words = [name] if name else []
        change = f"{label}-{name or 'nameless'}"
        found[name] = docker("import", "--change", change, str(archive), *words)
    yield found
    for identity in found.values():
        docker("rmi", "--force", identity, check=False)


@pytest.mark.docker
def test_only_images_that_nobody_needs_are_removed(made: dict[str, str]) -> None:
    daemon = Daemon()
    first, second, mine, nameless = made
    service = ServiceModel(
        name="app", config_hash="", replicas=1, profiles=(), image="fragrance-ai-app:v0.0.3"
    )
    model = Model(name="test", services=(service,))

    def removable(kept: int) -> set[str]:
        found: list[Leftover] = images.removable_images(daemon, model, kept)
        assert all(each.size_bytes > 0 for each in found)
        return {each.name for each in found} & {*made, *made.values()}

    assert removable(2) == {made[nameless]}
    assert removable(1) == {first, made[nameless]}
    assert removable(0) == {first, second, made[nameless]}
    container = docker("create", first, "/file")
    try:
        assert removable(0) == {second, made[nameless]}, "a container has it, though it is stopped"
        with pytest.raises(ConsoleError, match="declined"):
            images.remove_image(daemon, first)
    finally:
        docker("rm", container)
    for name in (first, first, made[nameless], made[nameless]):
        images.remove_image(daemon, name)
    assert not images.image_exists(daemon, first)
    assert images.image_exists(daemon, second)
    assert removable(0) == {second}
    with pytest.raises(UsageError):
        images.remove_image(daemon, "fragrance-base-python:local")
    assert mine not in removable(0)
    assert images.old_build_cache(daemon) >= 0
