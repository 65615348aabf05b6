"""Our three images: what is in them, what they prove of themselves, how they are built."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from console.errors import ConsoleError
from console.runtimes.compose import build
from console.runtimes.compose.build import (
    RECIPES,
    Recipe,
    build_images,
    built_elsewhere,
    read_images,
)
from console.runtimes.compose.daemon import Daemon
from console.runtimes.compose.images import (
    is_another_build,
    keep_own_image,
    record_images_of_others,
)
from console.runtimes.compose.model import Model, ServiceModel
from tests.compose_stack import PROJECT, VERSION, copy_tree, docker

pytestmark = [pytest.mark.docker, pytest.mark.timeout(1200)]

NAMES = [recipe.name for recipe in RECIPES]
SELF_CHECKS = {
    "app": ["python", "-m", "backend", "selfcheck", "--json"],
    "worker-llm": ["python", "-m", "workers", "selfcheck", "llm", "--json"],
    "worker-rl": ["python", "-m", "workers", "selfcheck", "rl", "--json"],
}
#: What an image of this name may not grow beyond, in MB.
LARGEST_MB = {"app": 350, "worker-llm": 1250, "worker-rl": 1150}
#: As strict as the compose file: nothing can be written but below /tmp, nothing reached.
SHUT = ["--rm", "--network", "none", "--read-only", "--cap-drop", "ALL", "--tmpfs", "/tmp"]


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a state directory in which the images of the tree are recorded."""
    directory = tmp_path_factory.mktemp("images")
    build_images(PROJECT, directory, VERSION, NAMES, print)
    return directory / "compose"


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def tag_of(name: str) -> str:
    return f"fragrance-ai-{name}:v{VERSION}"


def inspected(image: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(docker("image", "inspect", image))[0]
    return found


def self_check(name: str, *options: str) -> tuple[int, dict[str, Any]]:
    done = subprocess.run(
        ["docker", "run", *SHUT, *options, tag_of(name), *SELF_CHECKS[name]],
        capture_output=True, text=True, timeout=180, check=False,
    )  # fmt: skip
    return done.returncode, json.loads(done.stdout)


def failed_checks(name: str, *options: str) -> list[str]:
    code, said = self_check(name, *options)
    assert code == 1
    assert said["passed"] is False
    return [check["name"] for check in said["checks"] if not check["passed"]]


def test_an_image_says_what_it_is(state: Path, name: str) -> None:
    image = inspected(tag_of(name))
    labels, record = image["Config"]["Labels"], read_images(state)[tag_of(name)]
    assert labels["org.opencontainers.image.version"] == VERSION
    assert re.fullmatch(r"[0-9a-f]{40}(-dirty)?", labels["org.opencontainers.image.revision"])
    assert re.match(r"\d{4}-\d\d-\d\dT", labels["org.opencontainers.image.created"])
    assert record["commit"] == labels["org.opencontainers.image.revision"]
    assert record["id"] == image["Id"]
    environment = dict(line.split("=", 1) for line in image["Config"]["Env"])
    assert environment["VERSION"] == VERSION
    assert environment["VCS_REF"] == labels["org.opencontainers.image.revision"]


def test_an_image_runs_as_nobody_in_particular_and_without_a_shell(state: Path, name: str) -> None:
    config = inspected(tag_of(name))["Config"]
    assert config["User"] == "10001:10001"
    assert config["Cmd"][:2] == ["python", "-m"]
    assert not config.get("Entrypoint")


def test_an_image_proves_itself_with_nothing_around_it(state: Path, name: str) -> None:
    code, said = self_check(name)
    assert code == 0, said
    assert said["passed"] is True
    assert said["release"] == VERSION
    own = {"app": "migrations", "worker-llm": "models", "worker-rl": "environment"}[name]
    assert {"packages", "imports", own} <= {check["name"] for check in said["checks"]}


def test_a_self_check_notices_what_is_broken(state: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad"
    bad.write_text("not what it was")
    tmp_path.chmod(0o755)
    models = "/app/workers/llm/models/qwen/model.safetensors"
    assert failed_checks("worker-llm", "--volume", f"{bad}:{models}:ro") == ["models"]
    versions = "/app/backend/migrations/versions"
    assert failed_checks("app", "--tmpfs", versions) == ["migrations"]
    assert failed_checks("app", "--env", "VERSION=9.9.9") == ["versions"]
    library = "/venv/lib/python3.11/site-packages/starlette"
    assert "imports" in failed_checks("app", "--tmpfs", library)
    assert "environment" in failed_checks(
        "worker-rl", "--tmpfs", "/venv/lib/python3.11/site-packages/gymnasium"
    )


def test_an_image_holds_its_slice_and_nothing_else(state: Path, name: str) -> None:
    listing = "import importlib.util as u, pathlib; print([n for n in {names} if u.find_spec(n)])"
    asked = ("torch", "transformers", "stable_baselines3", "fastapi", "pip", "pytest", "textual")
    script = listing.replace("{names}", repr(asked))
    found = docker("run", *SHUT, tag_of(name), "python", "-c", script)
    expected = {
        "app": ["fastapi"],
        "worker-llm": ["torch", "transformers", "fastapi"],
        "worker-rl": ["torch", "stable_baselines3", "fastapi"],
    }
    assert found == repr(expected[name])
    files = docker("run", *SHUT, tag_of(name), "find", "/app", "-maxdepth", "2")
    parts = {line.removeprefix("/app/") for line in files.splitlines()}
    assert ("backend/api" in parts) == (name == "app")
    assert ("workers/llm" in parts) == (name == "worker-llm")
    assert ("workers/rl" in parts) == (name == "worker-rl")
    assert not {"console", "screens", "tests", "compose", ".git", ".env"} & parts


def test_an_image_is_small_and_the_workers_share_pytorch(state: Path) -> None:
    images = {name: inspected(tag_of(name)) for name in NAMES}
    for name, image in images.items():
        print(f"{name}: {image['Size'] / 1e6:.0f} MB")
        assert image["Size"] / 1e6 < LARGEST_MB[name]
    llm, rl = (images[name]["RootFS"]["Layers"] for name in ("worker-llm", "worker-rl"))
    assert llm[:2] == rl[:2], "base and PyTorch are the same layers"


def test_the_bill_of_materials_names_every_part_with_its_hash(state: Path, name: str) -> None:
    record = read_images(state)[tag_of(name)]
    raw = (state / record["sbom"]).read_bytes()
    assert hashlib.sha256(raw).hexdigest() == record["sbom_sha256"]
    bill = json.loads(raw)
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    assert bill["metadata"]["component"]["hashes"][0]["content"] in record["id"]
    parts = {part["purl"].split("@")[0]: part for part in bill["components"]}
    assert "pkg:deb/debian/libc6" in parts
    lock = (PROJECT / "requirements-lock.txt").read_text()
    python = {purl: part for purl, part in parts.items() if purl.startswith("pkg:pypi/")}
    assert ("pkg:pypi/torch" in python) == (name != "app")
    for part in python.values():
        (content,) = [each["content"] for each in part["hashes"]]
        assert content in lock


def test_what_has_not_changed_is_not_built_again(state: Path) -> None:
    before = [inspected(tag_of(name))["Id"] for name in NAMES]
    said: list[str] = []
    build_images(PROJECT, state.parent, VERSION, NAMES, said.append)
    assert [inspected(tag_of(name))["Id"] for name in NAMES] == before
    assert said == [f"{tag_of(name)}: nothing has changed" for name in NAMES]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Give a copy of what images are built from, to be changed."""
    return copy_tree(tmp_path / "tree")


@pytest.fixture
def scratch_version() -> Iterator[str]:
    """Give a version of which no image stays."""
    version = f"0.0.0-test{os.getpid()}"
    try:
        yield version
    finally:
        for name in NAMES:
            docker("image", "rm", "--force", f"fragrance-ai-{name}:v{version}", check=False)


def test_a_change_in_the_application_leaves_its_packages_alone(
    state: Path, tree: Path, tmp_path: Path, scratch_version: str
) -> None:
    (tree / "VERSION").write_text(f"{scratch_version}\n")
    build_images(tree, tmp_path / "state", scratch_version, ["app"], print)
    before = inspected(f"fragrance-ai-app:v{scratch_version}")
    with (tree / "backend" / "app.py").open("a") as file:
        file.write(f"\nCHANGED = {os.getpid()}\n")
    said: list[str] = []
    began = time.monotonic()
    build_images(tree, tmp_path / "state", scratch_version, ["app"], said.append)
    seconds = time.monotonic() - began
    built = inspected(f"fragrance-ai-app:v{scratch_version}")
    assert built["RootFS"]["Layers"][:2] == before["RootFS"]["Layers"][:2]
    assert built["RootFS"]["Layers"] != before["RootFS"]["Layers"]
    left = docker("image", "ls", "--all", "--quiet", "--no-trunc").split()
    assert before["Id"] not in left, "it has lost its name and nobody uses it"
    assert built["Config"]["Labels"]["org.opencontainers.image.version"] == scratch_version
    # No repository here: nothing is claimed about a commit.
    assert built["Config"]["Labels"]["org.opencontainers.image.revision"] == "unknown"
    assert seconds < 30, said


def test_another_checkouts_build_does_not_change_what_a_stack_runs(
    state: Path, tree: Path, tmp_path: Path, scratch_version: str
) -> None:
    (tree / "VERSION").write_text(f"{scratch_version}\n")
    tag = f"fragrance-ai-app:v{scratch_version}"
    build_images(tree, tmp_path / "one", scratch_version, ["app"], print)
    mine = inspected(tag)["Id"]
    project = f"fragrance-test-{os.getpid()}-one"
    label = f"com.docker.compose.project={project}"
    container = docker("create", "--label", label, tag)
    try:
        with (tree / "backend" / "app.py").open("a") as file:
            file.write(f"\nOTHER = {os.getpid()}\n")
        said: list[str] = []
        build_images(tree, tmp_path / "two", scratch_version, ["app"], said.append)
        assert any(f"project {project} has: it keeps that one" in line for line in said)
        theirs = inspected(tag)["Id"]
        assert theirs != mine

        daemon, one, two = Daemon(), tmp_path / "one" / "compose", tmp_path / "two" / "compose"
        assert not keep_own_image(daemon, two, tag)
        assert is_another_build(daemon, one, tag)
        assert keep_own_image(daemon, one, tag)
        assert inspected(tag)["Id"] == mine
        assert not keep_own_image(daemon, one, tag)
        assert not is_another_build(daemon, one, tag)
        assert docker("image", "inspect", "--format", "{{.Id}}", theirs) == theirs
    finally:
        docker("rm", container)
        docker("image", "rm", "--force", mine, theirs, check=False)
    assert not keep_own_image(daemon, one, tag), "what is gone cannot be kept"


def test_images_of_the_same_sources_are_taken_and_those_of_others_are_not(
    state: Path, tree: Path, tmp_path: Path
) -> None:
    services = ["app", "celery-exporter", "worker-rl", "nginx"]
    (tmp_path / "new" / "compose").mkdir(parents=True)
    assert built_elsewhere(PROJECT, tmp_path / "new", VERSION, services) == []
    recorded = read_images(tmp_path / "new" / "compose")
    assert recorded[tag_of("app")]["id"] == inspected(tag_of("app"))["Id"]
    (tmp_path / "other" / "compose").mkdir(parents=True)
    with (tree / "backend" / "app.py").open("a") as file:
        file.write("\nOTHER = True\n")
    found = built_elsewhere(tree, tmp_path / "other", VERSION, services)
    assert found == ["app", "celery-exporter"]
    assert recorded.keys() - read_images(tmp_path / "other" / "compose").keys() == {tag_of("app")}


def test_images_of_others_are_recorded_by_what_they_are(state: Path) -> None:
    base = "fragrance-base-services:local"
    services = tuple(
        ServiceModel(name=name, config_hash="", image=image)
        for name, image in (("redis", base), ("nginx", base), ("app", tag_of("app")), ("x", ""))
    )
    before = read_images(state)

    record_images_of_others(Daemon(), state, Model(name="test", services=services))

    recorded = read_images(state)
    found = recorded.pop(base)
    assert recorded == before
    assert found["id"] == inspected(base)["Id"]
    assert found["services"] == ["nginx", "redis"]
    assert found["size_bytes"] > 0
    assert found["digests"] == [], "it was made here, and is in no registry"


def test_a_wheel_that_is_not_the_locks_is_refused(
    state: Path, tree: Path, tmp_path: Path, scratch_version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = next((tree / ".wheelhouse").glob("structlog-*.whl"))
    content = bytearray(wheel.read_bytes())
    content[100] ^= 1
    wheel.unlink()
    wheel.write_bytes(content)
    # It would put the right one back.
    monkeypatch.setattr(build, "_fill_wheelhouse", lambda *_: None)
    with pytest.raises(ConsoleError, match="DO NOT MATCH THE HASHES") as refused:
        build_images(tree, tmp_path / "state", scratch_version, ["app"], lambda _: None)
    assert refused.value.unchanged
    assert not docker("image", "ls", "--quiet", f"fragrance-ai-app:v{scratch_version}")


def test_an_unknown_base_is_reported_in_the_builders_words(
    tree: Path, tmp_path: Path, scratch_version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "_fill_wheelhouse", lambda *_: None)
    monkeypatch.setattr(build, "RECIPES", (Recipe("app", ("backend",), ("backend",)),))
    (tmp_path / "state" / "compose").mkdir(parents=True)
    (tmp_path / "state/compose/env").write_text("PYTHON_BASE=nobody.invalid/none:1\n")
    with pytest.raises(ConsoleError, match="could not be built") as refused:
        build_images(tree, tmp_path / "state", scratch_version, ["app"], lambda _: None)
    assert "nobody.invalid" in str(refused.value)


def test_versions_are_shown_by_the_running_application(compose_stack: Any, state: Path) -> None:
    del state
    with compose_stack.client() as client:
        shown = client.get("/version").json()
    labels = inspected(compose_stack.containers("app")[0]["Image"])["Config"]["Labels"]
    assert shown["version"] == labels["org.opencontainers.image.version"]
    assert shown["commit"] == labels["org.opencontainers.image.revision"]
    assert shown["build_date"] == labels["org.opencontainers.image.created"]
