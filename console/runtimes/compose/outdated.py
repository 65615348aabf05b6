"""Containers that do not run and would be started as they were made, not as they should be."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime

from console.runtimes.compose.containers import Container
from console.runtimes.compose.daemon import CHANGE_SECONDS, Daemon, Gone
from console.runtimes.compose.model import Model
from console.runtimes.compose.replicas import HASH_LABEL

#: What the engine has started again this often, the last time less than so many seconds
#: ago, crashes again and again; between two crashes it looks as if it ran.
CRASHES, SETTLED_SECONDS = 3, 10.0
_ANONYMOUS = re.compile("[0-9a-f]{64}")


def remove_outdated(daemon: Daemon, model: Model, containers: Sequence[Container]) -> list[str]:
    """
    Remove them, for compose to make anew; no volume goes with them.

    One with an anonymous volume stays: no other container would find that again.

    Returns:
        Names of those that were removed.
    """
    removed = []
    for container in containers:
        service = model.service(container.service)
        if service is None or service.one_shot or _runs(container):
            continue
        try:
            found = daemon.inspect(container.id)
            image = _image_id(daemon, service.image)
        except Gone:
            continue
        same = container.labels.get(HASH_LABEL) == service.config_hash
        volumes = [mount.get("Name") or "" for mount in found.get("Mounts") or ()]
        if (same and found["Image"] == image) or any(map(_ANONYMOUS.fullmatch, volumes)):
            continue
        _remove(daemon, container.id)
        removed.append(container.short_name(model.name))
    return removed


def _image_id(daemon: Daemon, image: str) -> str:
    return str(daemon.inspect_image(image)["Id"])


def _remove(daemon: Daemon, container: str) -> None:
    daemon.call(lambda c: c.remove_container(container, v=False, force=True), CHANGE_SECONDS)


def _runs(container: Container) -> bool:
    if container.state != "running":
        return container.state == "paused"
    since = container.started_at
    if container.restarts < CRASHES or since is None:
        return True
    return (datetime.now(UTC) - since).total_seconds() > SETTLED_SECONDS
