"""
Building our images from the tree, and keeping what is in them.

An image whose sources are those of last time is left as it is: another date in its
labels would make compose replace every container for nothing.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from console.domain.text import plain_text
from console.errors import ConsoleError, Unreachable
from console.install import requirements
from console.modes import make_directory
from console.runtimes.compose.bill_of_materials import bill_of_materials
from console.runtimes.compose.daemon import Daemon, Gone
from console.runtimes.compose.environment import python_base, read_env
from console.runtimes.compose.images import IMAGES_FILE, SOURCE_LABEL, drop_nameless
from console.runtimes.compose.images import read_images as read_images
from console.runtimes.compose.project import NAME_FILE
from console.runtimes.files import write_json

Progress = Callable[[str], None]

BUILD_SECONDS = 1800.0
WHEELHOUSE_SECONDS = 1800.0
COMMAND_SECONDS = 60.0
DEFAULT_BASE = "python:3.11-slim"
#: What a step of a build says, after its number and time.
_STEP_OUTPUT = re.compile(r"#\d+ \d+\.\d+ (.+)")


@dataclass(frozen=True, slots=True)
class Recipe:
    """
    What one image is made of.

    Args:
        name: Of the image, without ``fragrance-ai-``.
        extras: Of pyproject.toml, in the order of its layers.
        sources: Files and directories of the project that it holds.
    """

    name: str
    extras: tuple[str, ...]
    sources: tuple[str, ...]

    @property
    def repository(self) -> str:
        """Name of the image without its tag."""
        return f"fragrance-ai-{self.name}"

    @property
    def dockerfile(self) -> str:
        """Its Dockerfile, relative to the project."""
        return f"compose/Dockerfile.{self.name}"


_WORKER_SOURCES = ("backend/__init__.py", "backend/contracts", "backend/database", "workers")
RECIPES = (
    Recipe("app", ("backend",), ("backend",)),
    Recipe("worker-llm", ("worker", "worker-llm"), _WORKER_SOURCES),
    Recipe("worker-rl", ("worker", "worker-rl"), _WORKER_SOURCES),
)
#: Services that run the image of another one.
SHARED = {"migrate": "app", "celery-exporter": "app", "tensorboard": "worker-rl"}
_COMMON_SOURCES = (
    "VERSION",
    "compose/healthcheck.py",
    "compose/install-packages.sh",
    "compose/pip.txt",
)


def build_images(
    project: Path, state: Path, version: str, services: Sequence[str], progress: Progress
) -> None:
    """
    Build the images of some services and record digests and contents.

    Args:
        project: Directory of the sources, with ``.wheelhouse`` or the means to fill it.
        state: State directory; ``compose/images.json`` and ``compose/sbom/`` are written.
        version: Version that is built, ``0.1.0``; the tag is ``v0.1.0``.
        services: Names of services or of images; unknown ones are ignored.
        progress: Told each step.

    Raises:
        Unreachable: If engine, builder or package index do not answer.
        ConsoleError: If a build fails; images of before stay under their tags.
    """
    wanted = {SHARED.get(s, s) for s in services}
    recipes = [recipe for recipe in RECIPES if recipe.name in wanted]
    number = version.removeprefix("v")
    daemon = Daemon()
    base = python_base(read_env(state / "compose" / "env"), daemon) or DEFAULT_BASE
    sources = {r.name: _source_of(project, r, _image_id(daemon, base) or base) for r in recipes}
    changed = [
        r for r in recipes
        if _label(daemon, f"{r.repository}:v{number}") != sources[r.name]
    ]  # fmt: skip
    for recipe in recipes:
        if recipe not in changed:
            progress(f"{recipe.repository}:v{number}: nothing has changed")
    recorded = read_images(state / "compose")
    new = [r for r in recipes if "sbom" not in recorded.get(f"{r.repository}:v{number}", {})]
    if changed or new:
        # A bill of materials names each wheel by its hash, also of images that another
        # checkout has built.
        _fill_wheelhouse(project, progress)
    for recipe in changed:
        before = _image_id(daemon, f"{recipe.repository}:v{number}")
        _build(project, recipe, number, base, sources[recipe.name], progress)
        if before is not None:
            _tell_users(daemon, state / "compose", recipe, number, before, progress)
    if changed:
        drop_nameless(daemon)
    for recipe in recipes:
        _record(project, state / "compose", recipe, number, daemon, progress)


def built_elsewhere(project: Path, state: Path, version: str, services: Sequence[str]) -> list[str]:
    """
    Return which of *services* have an image that was built from other sources than these.

    Those of the present sources are noted down: from then on they are this stack's own.
    """
    number = version.removeprefix("v")
    daemon = Daemon()
    base = python_base(read_env(state / "compose" / "env"), daemon) or DEFAULT_BASE
    base_id = _image_id(daemon, base) or base
    recorded = read_images(state / "compose")
    other: set[str] = set()
    for recipe in RECIPES:
        tag = f"{recipe.repository}:v{number}"
        image = _inspect(daemon, tag)
        if image is None or tag in recorded:
            continue
        labels = image["Config"].get("Labels") or {}
        if labels.get(SOURCE_LABEL) == _source_of(project, recipe, base_id):
            recorded[tag] = {"id": image["Id"], "digests": image.get("RepoDigests") or []}
        else:
            other.add(recipe.name)
    write_json(state / "compose" / IMAGES_FILE, {"schema_version": 1, "images": recorded})
    return [name for name in services if SHARED.get(name, name) in other]


def _tell_users(
    daemon: Daemon, directory: Path, recipe: Recipe, version: str, image: str, progress: Progress
) -> None:
    """Say whose containers run the image that has just lost its name."""
    listed = daemon.call(lambda client: client.containers(all=True))
    projects = {
        c.get("Labels", {}).get("com.docker.compose.project", "") for c in listed
        if c["ImageID"] == image
    }  # fmt: skip
    try:
        own = (directory / NAME_FILE).read_text(encoding="utf-8").strip()
    except OSError:
        own = ""
    for project in sorted(projects - {own, ""}):
        progress(
            f"{recipe.repository}:v{version} was another build, which project "
            f"{plain_text(project, 60)} has: it keeps that one"
        )


def _fill_wheelhouse(project: Path, progress: Progress) -> None:
    script = project / "compose" / "engine" / "wheelhouse"
    command = [sys.executable, "-I", str(script)]
    _stream(command, project, WHEELHOUSE_SECONDS, progress, "the wheels could not be fetched")


def _build(
    project: Path, recipe: Recipe, version: str, base: str, source: str, progress: Progress
) -> None:
    tag = f"{recipe.repository}:v{version}"
    arguments = {
        "PYTHON_BASE": base,
        "VERSION": version,
        "VCS_REF": _commit(project, recipe),
        "BUILD_DATE": datetime.now(UTC).isoformat(timespec="seconds"),
        "SOURCE": source,
    }
    command = [
        *("docker", "buildx", "build", "--progress", "plain", "--load", "--provenance=false"),
        *("--file", recipe.dockerfile, "--tag", tag),
        *("--build-context", "wheelhouse=.wheelhouse"),
        *(f"--build-arg={name}={value}" for name, value in arguments.items()),
        ".",
    ]
    progress(f"building {tag}")
    began = time.monotonic()
    _stream(command, project, BUILD_SECONDS, _steps_only(progress), f"{tag} could not be built")
    progress(f"built {tag} in {time.monotonic() - began:.0f} s")


def _steps_only(progress: Progress) -> Progress:
    """Let through the steps of a Dockerfile, one line each; the rest is for a failure."""
    step = re.compile(r"^#\d+ \[(?!internal\]|context )[^]]*\] ?(.{0,100})")

    def take(line: str) -> None:
        if step.match(line):
            progress("  " + line.split(" ", 1)[1][:120])

    return take


def _stream(
    command: Sequence[str], project: Path, seconds: float, progress: Progress, failed: str
) -> None:
    """Run a command, handing on each line; raise with its last ones when it fails."""
    last: deque[str] = deque(maxlen=60)
    late = threading.Event()
    try:
        process = subprocess.Popen(
            command,
            cwd=project,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
    except OSError as error:
        raise Unreachable(
            f"{failed}: {command[0]}: {error.strerror or error}", remedy="compose/engine/setup"
        ) from error

    def give_up() -> None:
        late.set()
        process.kill()

    timer = threading.Timer(seconds, give_up)
    timer.start()
    try:
        with process:
            for raw in process.stdout or ():
                if line := plain_text(raw.decode(errors="replace"), 300):
                    last.append(line)
                    progress(line)
    except BaseException:
        process.kill()
        raise
    finally:
        timer.cancel()
    if process.returncode != 0:
        why = f"it did not end within {seconds:g} s" if late.is_set() else _reason(list(last))
        raise ConsoleError(
            f"{failed}:\n  {why}",
            unchanged="images of before are there under their tags",
            remedy="docker info; compose/engine/setup makes what is missing",
        )


def _reason(lines: Sequence[str]) -> str:
    """Return what the step that failed said; the builder itself ends by quoting the Dockerfile."""
    said = [found[1] for line in lines if (found := _STEP_OUTPUT.match(line))]
    return "\n  ".join([*(said or lines)[-8:], *([lines[-1]] if said else [])])


def _source_of(project: Path, recipe: Recipe, base: str) -> str:
    """Return a hash over everything an image is made of."""
    digest = hashlib.sha256(base.encode())
    digest.update(requirements(project, *recipe.extras).encode())
    for path in _files(project, (recipe.dockerfile, *_COMMON_SOURCES, *recipe.sources)):
        digest.update(f"{path.relative_to(project)}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _files(project: Path, names: Sequence[str]) -> Iterator[Path]:
    for name in names:
        place = project / name
        found = sorted(place.rglob("*")) if place.is_dir() else [place]
        yield from (p for p in found if p.is_file() and "__pycache__" not in p.parts)


def _commit(project: Path, recipe: Recipe) -> str:
    """Return the commit of the sources, marked when they differ from it."""
    commit = _output(["git", "rev-parse", "HEAD"], project)
    if not commit:
        return "unknown"
    places = [recipe.dockerfile, "requirements-lock.txt", *_COMMON_SOURCES, *recipe.sources]
    changed = _output(["git", "status", "--porcelain", "--", *places], project)
    return f"{commit}-dirty" if changed else commit


def _output(command: Sequence[str], directory: Path) -> str:
    """Return what a command says, empty when it fails."""
    try:
        done = subprocess.run(
            command,
            cwd=directory,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=COMMAND_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _inspect(daemon: Daemon, image: str) -> Mapping[str, Any] | None:
    try:
        return daemon.inspect_image(image)
    except Gone:
        return None


def _image_id(daemon: Daemon, image: str) -> str | None:
    found = _inspect(daemon, image)
    return found["Id"] if found is not None else None


def _label(daemon: Daemon, image: str) -> str | None:
    found = _inspect(daemon, image)
    return (found["Config"].get("Labels") or {}).get(SOURCE_LABEL) if found is not None else None


def _record(
    project: Path, directory: Path, recipe: Recipe, version: str, daemon: Daemon, progress: Progress
) -> None:
    """Write what the image is and holds, unless this very image is recorded."""
    tag = f"{recipe.repository}:v{version}"
    image = _inspect(daemon, tag)
    if image is None:
        raise ConsoleError(f"{tag} was built and is not there", remedy="docker images")
    recorded = read_images(directory)
    if recorded.get(tag, {}).get("id") == image["Id"] and "sbom" in recorded[tag]:
        return
    lock = requirements(project, *recipe.extras)
    bill = bill_of_materials(tag, image, lock, project / ".wheelhouse")
    make_directory(directory / "sbom")
    path = directory / "sbom" / f"{recipe.repository}-v{version}.cdx.json"
    write_json(path, bill)
    labels = image["Config"].get("Labels") or {}
    recorded[tag] = {
        "id": image["Id"],
        "digests": image.get("RepoDigests") or [],
        "version": labels.get("org.opencontainers.image.version"),
        "commit": labels.get("org.opencontainers.image.revision"),
        "built_at": labels.get("org.opencontainers.image.created"),
        "size_bytes": image["Size"],
        "sbom": str(path.relative_to(directory)),
        "sbom_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }
    write_json(directory / IMAGES_FILE, {"schema_version": 1, "images": recorded})
    progress(f"{tag}: {image['Size'] / 1e6:.0f} MB, {len(bill['components'])} parts recorded")
