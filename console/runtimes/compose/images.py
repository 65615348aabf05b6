"""Images of the product that no release needs any more, and the builder's old cache."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from console.domain.leftovers import Leftover, superseded
from console.errors import UsageError
from console.runtimes.compose.daemon import Daemon, Gone
from console.runtimes.compose.model import Model, ModelFile
from console.runtimes.compose.project import ComposeProject

LIST_SECONDS = 15.0
REMOVE_SECONDS = 120.0
CACHE_HOURS = 7 * 24
PREFIX = "fragrance-ai-"
#: On every image of ours, named or not; see :mod:`.build`.
SOURCE_LABEL = "console.source"


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
        if not names and SOURCE_LABEL in (image.get("Labels") or {}):
            found.append(Leftover(image["Id"], image["Size"]))
        if names and all(_is_ours(tag) and _version(tag) in old for tag in names):
            found += [Leftover(tag, image["Size"] if tag == names[0] else 0) for tag in names]
    return sorted(found, key=lambda each: each.name)


def image_exists(daemon: Daemon, name: str) -> bool:
    """Return whether there is such an image."""
    try:
        daemon.call(lambda c: c.inspect_image(name))
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
        if not (_is_ours(name) or _is_nameless(daemon.call(lambda c: c.inspect_image(name)))):
            raise UsageError(
                f"{name!r} is no image of the product", unchanged="it was left as it is"
            )
        daemon.call(lambda c: c.remove_image(name, force=False), REMOVE_SECONDS)
    except Gone:
        return


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


def _is_nameless(image: dict[str, Any]) -> bool:
    return not image.get("RepoTags") and SOURCE_LABEL in (image["Config"].get("Labels") or {})


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
