"""Where containers differ from what compose file and recorded state say; pure, nothing is asked."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

from console.domain.amounts import size_text
from console.domain.description import grouped
from console.domain.services import Drift, Limits
from console.runtimes.compose.containers import Container
from console.runtimes.compose.desired import Desired
from console.runtimes.compose.marks import differing
from console.runtimes.compose.model import Model, ServiceModel
from console.runtimes.compose.observe import desired_names
from console.runtimes.compose.project import ComposeProject

HASH_LABEL = "com.docker.compose.config-hash"
_ID = re.compile(r"(sha256:)?[0-9a-f]{12,64}")
#: Parts named one by one; more are counted.
MOST_PARTS = 4


def drifts(
    project: ComposeProject, model: Model, desired: Desired, containers: Sequence[Container]
) -> dict[str, tuple[Drift, ...]]:
    """Return the differences by service, of those that the file has."""
    own: dict[str, list[Container]] = {service.name: [] for service in model.services}
    for container in containers:
        own.setdefault(container.service, []).append(container)
    return {
        service.name: drift_of(project, model, service, desired, own[service.name])
        for service in model.services
    }


def drift_of(
    project: ComposeProject,
    model: Model,
    service: ServiceModel,
    desired: Desired,
    containers: Sequence[Container],
) -> tuple[Drift, ...]:
    """
    Return the differences of one service.

    What is on its way out, a one-shot service and what the file no longer has are left
    out, and a service that nobody started is no difference.

    Args:
        containers: Those of the service.
    """
    staying = [c for c in containers if c.short_name(model.name) not in desired.leaving]
    staying.sort(key=lambda container: container.number)
    if service.one_shot or not staying or not service.config_hash:
        return ()
    names = [c.short_name(model.name) for c in staying]
    up = up_command(project, service.name, len(names))
    found: list[tuple[str, str, str]] = []
    for name, container in zip(names, staying, strict=True):
        if what := other_image(service, container):
            found.append((name, what, up))
        if container.labels.get(HASH_LABEL) != service.config_hash:
            parts = differing(service.marks, container.marks)
            if parts:
                found.append((name, f"made with another {_parts(parts)}", up))
        if container.alive and (what := _other_limits(service.limits, container.limits)):
            found.append((name, what, resize_command(service)))
    return (*grouped(found), *_other_replicas(service, desired, names))


def other_image(service: ServiceModel, container: Container) -> str:
    """Return how the image of *container* differs from the file's, "" when it does not."""
    if not container.image or not service.image or container.image == service.image:
        return ""
    if _ID.fullmatch(container.image):
        return f"runs an image that {service.image} no longer means: another one was made since"
    return f"runs {container.image}, the compose file says {service.image}"


def up_command(project: ComposeProject, service: str, replicas: int) -> str:
    """Return the command that has compose make the containers of *service* anew."""
    words = project.command(
        "up", "--detach", "--no-deps", "--scale", f"{service}={replicas}", service
    )
    state = f"FRAGRANCE_COMPOSE_STATE={shlex.quote(str(project.state))} " if project.ours else ""
    return state + shlex.join(words)


def resize_command(service: ServiceModel) -> str:
    """Return the command that gives running replicas the limits that are written down."""
    wanted, words = service.limits, [f"fragrance resize {service.name}"]
    if wanted.cpu_cores is not None:
        words.append(f"--cpus {wanted.cpu_cores:g}")
    if wanted.memory_bytes is not None:
        words.append(f"--memory {size_text(wanted.memory_bytes)}")
    if wanted.memory_reserved_bytes is not None:
        words.append(f"--reserve-memory {size_text(wanted.memory_reserved_bytes)}")
    return " ".join(words)


def limit_words(limits: Limits) -> str:
    """Return ``2 cores, 2G of memory``."""
    cores = "cores unlimited" if limits.cpu_cores is None else f"{limits.cpu_cores:g} cores"
    memory = (
        "memory unlimited"
        if limits.memory_bytes is None
        else f"{size_text(limits.memory_bytes)} of memory"
    )
    kept = limits.memory_reserved_bytes
    return f"{cores}, {memory}" + (f", {size_text(kept)} reserved" if kept is not None else "")


def _other_limits(wanted: Limits, present: Limits | None) -> str:
    if present is None or present.meets(wanted):
        return ""
    return f"has {limit_words(present)}; written down are {limit_words(wanted)}"


def _other_replicas(
    service: ServiceModel, desired: Desired, names: Sequence[str]
) -> tuple[Drift, ...]:
    if service.profiles and service.name not in desired.replicas:
        return ()
    wanted = desired_names(service, desired, names)
    extra = [name for name in names if name not in wanted]
    missing = [name for name in wanted if name not in names]
    found = []
    if extra:
        what = f"{len(names)} replicas, {len(wanted)} are recorded: {', '.join(extra)} is not"
        found.append(Drift(what, f"fragrance scale {service.name}={len(wanted)}"))
    if missing:
        what = f"{', '.join(missing)} is recorded and is not there"
        found.append(Drift(what, "fragrance start --detach"))
    return tuple(found)


def _parts(parts: Sequence[str]) -> str:
    left = len(parts) - MOST_PARTS
    return ", ".join(parts[:MOST_PARTS]) + (f" and {left} more" if left > 0 else "")
