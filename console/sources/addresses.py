"""Where a database or broker is, and its host name resolved within a bounded time."""

from __future__ import annotations

import ipaddress
import socket
import threading

from console.capabilities import HasExternalStores
from console.domain.services import ReplicaState, Role, Topology
from console.errors import NotSupported, Unreachable
from console.ports import Runtime


def running_url(runtime: Runtime, topology: Topology | None, role: Role) -> str:
    """
    Return the connection URL of the first service of *role* whose address is known, else
    that of somebody else's server.

    Raises:
        NotSupported: If there is none, or it is not known yet what runs.
        Unreachable: If none of its replicas runs.
    """
    if topology is None:
        raise NotSupported("it is not known yet what runs")
    for service in topology.services:
        url = runtime.connection_url(service.name) if service.role is role else None
        if url is None:
            continue
        if not any(r.state is ReplicaState.RUNNING for r in service.replicas):
            raise Unreachable(f"{service.name} does not run")
        return url
    # Only where none is ours: what runs here is what is meant.
    if isinstance(runtime, HasExternalStores) and (url := runtime.external_url(role)):
        return url
    raise NotSupported(f"no {role.value} service with a known address")


def resolve(host: str, timeout_seconds: float) -> str:
    """
    Return an address of *host*.

    The resolver of the system has no timeout and drivers call it in the open; so
    it runs in a thread of its own, and whoever waits gives up in time.

    Raises:
        Unreachable: If the name does not resolve, or not in time.
    """
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        pass
    found: list[str] = []
    failed: list[str] = []

    def ask() -> None:
        try:
            found.append(str(socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0][4][0]))
        except OSError as error:
            failed.append(error.strerror or str(error))

    thread = threading.Thread(target=ask, name=f"resolve-{host}", daemon=True)
    thread.start()
    thread.join(timeout_seconds)
    if found:
        return found[0]
    if failed:
        raise Unreachable(f"the name {host!r} does not resolve: {failed[0]}")
    raise Unreachable(f"the name {host!r} does not resolve within {timeout_seconds:g} s")
