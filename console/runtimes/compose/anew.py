"""Whether a container can be taken away and made anew: what would not come back with it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from console.domain.services import Role
from console.runtimes.compose.containers import Container
from console.runtimes.compose.daemon import Daemon, Gone
from console.runtimes.compose.model import ServiceModel

#: The engine gives a volume without a name such a one.
_ANONYMOUS = re.compile("[0-9a-f]{64}")
_KEEPS_DATA = {Role.DATABASE, Role.BROKER}


def why_not_anew(daemon: Daemon, service: ServiceModel, containers: Sequence[Container]) -> str:
    """
    Return why the container of *service* is not to be removed; empty where it may be.

    Args:
        daemon: Asked what each container has mounted.
        service: As the compose file has it now.
        containers: All of the project.
    """
    if service.container_name:
        return f"its compose file gives it the container name {service.container_name}"
    for container in containers:
        if container.service != service.name:
            continue
        try:
            found = daemon.inspect(container.id)
        except Gone:
            continue
        mounts = found.get("Mounts") or ()
        for mount in mounts:
            if _ANONYMOUS.fullmatch(mount.get("Name") or ""):
                return f"what it has in {mount.get('Destination')} is in a volume without a name"
        if service.role in _KEEPS_DATA and not any(mount.get("RW") for mount in mounts):
            return "its data is in the container itself"
        networks = (found.get("NetworkSettings") or {}).get("Networks") or {}
        for name, endpoint in networks.items():
            if (endpoint.get("IPAMConfig") or {}).get("IPv4Address"):
                return f"it has a fixed address on {name}"
    return ""
