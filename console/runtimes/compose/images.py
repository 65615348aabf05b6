"""Images of the product that no release needs any more, and the builder's old cache."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from console.domain.leftovers import Leftover, superseded
from console.errors import ConsoleError, UsageError
from console.runtimes.compose.daemon import Daemon, Gone
from console.runtimes.compose.model import Model, ModelFile
from console.runtimes.compose.project import ComposeProject
from console.runtimes.files import write_json

IMAGES_FILE = "images.json"
LIST_SECONDS = 15.0
REMOVE_SECONDS = 120.0
CACHE_HOURS = 7 * 24
PREFIX = "fragrance-ai-"
#: On every image that was made here, named or not: see :mod:`.build` and
#: ``compose/engine/bases``.
SOURCE_LABEL = "console.source"
BUILD_LABELS = frozenset({SOURCE_LABEL, "fragrance.base.recipe"})


def removable_images(daemon: Daemon, model: Model, kept: int) -> list[Leftover]:
    """
    Return the images of older releases, and those of our builds that lost their name.

    Never one that a container has, whether it runs or not, of whatever project.

    Args:
        model: Says which release is the present one.
        kept: How many releases before it stay.
    """
    images: list[dict[str, Any]] = daemon.call(lambda c: c.images(), LIST_SECONDS)
    used = {c["ImageID"] for c in daemon.call(lambda c: c.containers(all=True), LIST_SECONDS)}
    tags = [tag for image in images for tag in image.get("RepoTags") or () if _is_ours(tag)]
    present = {_version(service.image) for service in model.services if _is_ours(service.image)}
    old = superseded({_version(tag) for tag in tags}, present, kept)
    found = []
    for image in images:
        if image["Id"] in used:
            continue
        names = [tag for tag in image.get("RepoTags") or () if tag != "<none>:<none>"]
        if not names and _is_of_a_build(image.get("Labels")):
            found.append(Leftover(image["Id"], image["Size"]))
        if names and all(_is_ours(tag) and _version(tag) in old for tag in names):
            found += [Leftover(tag, image["Size"] if tag == names[0] else 0) for tag in names]
    return sorted(found, key=lambda each: each.name)


def read_images(directory: Path) -> dict[str, dict[str, Any]]:
    """Return what is recorded of our images, by tag; empty when nothing is, or it is damaged."""
    try:
        decoded = msgspec.json.decode((directory / IMAGES_FILE).read_bytes())
        images: dict[str, dict[str, Any]] = decoded["images"]
    except (OSError, msgspec.MsgspecError, KeyError, TypeError):
        return {}
    return images


def image_exists(daemon: Daemon, name: str) -> bool:
    """Return whether there is such an image."""
    try:
        daemon.inspect_image(name)
    except Gone:
        return False
    return True


def remove_image(daemon: Daemon, name: str) -> None:
    """
    Remove an image; idempotent.  The engine declines for one that a container has.

    Raises:
        UsageError: If it is not one of the product's.
    """
    try:
        if not (_is_ours(name) or _is_nameless(daemon.inspect_image(name))):
            raise UsageError(
                f"{name!r} is no image of the product", unchanged="it was left as it is"
            )
        daemon.call(lambda c: c.remove_image(name, force=False), REMOVE_SECONDS)
    except Gone:
        return


def keep_own_image(daemon: Daemon, directory: Path, tag: str) -> bool:
    """
    Give *tag* back to the image that this stack was recorded with, where that is there.

    Another checkout on this host builds under the same names; what runs here stays ours.

    Args:
        directory: ``STATE/compose``.

    Returns:
        Whether *tag* had come to mean another image.
    """
    recorded = read_images(directory).get(tag, {}).get("id")
    if recorded is None or recorded == _id_of(daemon, tag) or _id_of(daemon, recorded) is None:
        return False
    repository, _, version = tag.rpartition(":")
    daemon.call(lambda c: c.tag(recorded, repository, version, force=True))
    return True


def is_another_build(daemon: Daemon, directory: Path, tag: str) -> bool:
    """Return whether *tag* means an image that this stack was not recorded with."""
    recorded = read_images(directory).get(tag, {}).get("id")
    return recorded is not None and recorded != _id_of(daemon, tag)


def record_images_of_others(daemon: Daemon, directory: Path, model: Model) -> None:
    """Write down which images of others the services run: id and digests by name."""
    recorded = read_images(directory)
    now = dict(recorded)
    for service in model.services:
        if not service.image or _is_ours(service.image):
            continue
        found = _inspected(daemon, service.image)
        if found is not None:
            now[service.image] = {
                "id": found["Id"],
                "digests": found.get("RepoDigests") or [],
                "size_bytes": found["Size"],
                "services": sorted(s.name for s in model.services if s.image == service.image),
            }
    if now != recorded:
        write_json(directory / IMAGES_FILE, {"schema_version": 1, "images": now})


def _inspected(daemon: Daemon, name: str) -> Mapping[str, Any] | None:
    try:
        return daemon.inspect_image(name)
    except Gone:
        return None


def _id_of(daemon: Daemon, name: str) -> str | None:
    found = _inspected(daemon, name)
    return found["Id"] if found is not None else None


def drop_nameless(daemon: Daemon) -> None:
    """Remove what was built here, has lost its name since, and that no container has."""
    filters = {"dangling": True}
    for image in daemon.call(lambda c: c.images(filters=filters), LIST_SECONDS):
        if _is_of_a_build(image.get("Labels")):
            with contextlib.suppress(ConsoleError):  # one that is in use is left alone
                remove_image(daemon, image["Id"])


def old_build_cache(daemon: Daemon) -> int:
    """Return the bytes of the builder's cache that nothing has used for a week."""
    limit = datetime.now(UTC) - timedelta(hours=CACHE_HOURS)
    entries: Sequence[dict[str, Any]] = (
        daemon.call(lambda c: c.df(), REMOVE_SECONDS).get("BuildCache") or ()
    )
    return sum(
        int(entry["Size"])
        for entry in entries
        if not entry.get("InUse") and _moment(entry.get("LastUsedAt")) < limit
    )


def remove_build_cache(daemon: Daemon) -> None:
    """Remove what nothing has used for a week from the builder's cache."""
    filters = {"until": f"{CACHE_HOURS}h"}
    daemon.call(lambda c: c.prune_builds(filters=filters, all=True), REMOVE_SECONDS)


def _is_ours(tag: str) -> bool:
    return tag.startswith(PREFIX) and "/" not in tag


def _is_nameless(image: Mapping[str, Any]) -> bool:
    return not image.get("RepoTags") and _is_of_a_build(image["Config"].get("Labels"))


def _is_of_a_build(labels: Mapping[str, str] | None) -> bool:
    return not BUILD_LABELS.isdisjoint(labels or {})


def _version(tag: str) -> str:
    return tag.rpartition(":")[2]


def _moment(text: str | None) -> datetime:
    if not text:
        return datetime.now(UTC)
    # The engine tells nanoseconds; six digits are understood.
    head, _, rest = text.partition(".")
    zone = "Z" if text.endswith("Z") else text[-6:]
    digits = "".join(c for c in rest[:6] if c.isdigit())
    return datetime.fromisoformat(f"{head.rstrip('Z')}.{digits:0<6}{zone}" if rest else text)


class ProductImages:
    """The capability of the compose runtime; another project's images are its own affair."""

    _daemon: Daemon
    _project: ComposeProject
    _model: ModelFile

    def removable_images(self, kept: int) -> list[Leftover]:
        """Return the product's images that nobody needs."""
        if not self._project.ours:
            return []
        return removable_images(self._daemon, self._model.read(), kept)

    def image_exists(self, image: str) -> bool:
        """Whether there is an image of that name or id."""
        return image_exists(self._daemon, image)

    def remove_image(self, image: str) -> None:
        """Remove it, unless a container has it."""
        remove_image(self._daemon, image)

    def old_build_cache(self) -> int:
        """Return the bytes of the builder's cache that nothing has used for a week."""
        return old_build_cache(self._daemon)

    def remove_build_cache(self) -> None:
        """Remove these."""
        remove_build_cache(self._daemon)
