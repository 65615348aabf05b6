"""
Serve on inherited sockets or a port of our own, and stop without cutting anybody off.

On SIGTERM the replica stops accepting at once, goes on answering for a moment with
``Connection: close`` so that clients with a kept connection move to another replica, and
then waits for requests in flight.  Closing idle kept connections at once, as uvicorn
does by itself, loses the request that is just arriving on one.
"""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Sequence

import uvicorn

from backend.app import create_app
from backend.logs import configure_logging, get_logger
from backend.settings import Settings
from backend.state import Services

GRACEFUL_SECONDS = 30
LINGER_SECONDS = 2.0
KEEP_ALIVE_SECONDS = 80
"""Above the 75 s of nginx's kept upstream connections, so that nginx closes first."""

BACKLOG = 2048

log = get_logger(__name__)


class DrainingServer(uvicorn.Server):
    """
    A server that lets clients leave before it closes their connections.

    Args:
        config: As for uvicorn.
        services: Whose ``draining`` is set when the end begins.
    """

    def __init__(self, config: uvicorn.Config, services: Services) -> None:
        super().__init__(config)
        self._services = services

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting, linger, then end as uvicorn does."""
        self._services.draining = True
        log.info("draining", connections=len(self.server_state.connections))
        for server in self.servers:
            server.close()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + LINGER_SECONDS
        while self.server_state.connections and loop.time() < deadline and not self.force_exit:
            await asyncio.sleep(0.02)
        await super().shutdown(sockets)


def serve(settings: Settings, sockets: Sequence[socket.socket]) -> None:
    """
    Serve until SIGTERM or SIGINT.

    Args:
        settings: Of this replica.
        sockets: Bound TCP sockets, listening or not; closed at the end.
    """
    configure_logging(settings)
    services = Services(settings)
    config = uvicorn.Config(
        create_app(settings, services),
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="on",
        ws="none",
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACEFUL_SECONDS,
    )
    addresses = ["{}:{}".format(*each.getsockname()[:2]) for each in sockets]
    log.info("listening", addresses=addresses)
    # uvicorn raises the signal again once it has ended in order; that is no failure.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    DrainingServer(config, services).run(sockets=list(sockets))


def inherited_sockets(descriptors: Sequence[int]) -> list[socket.socket]:
    """Return sockets that the parent opened; raises OSError for what is none."""
    sockets = [socket.socket(fileno=descriptor) for descriptor in descriptors]
    for each in sockets:
        each.setblocking(False)
        each.set_inheritable(False)
    return sockets


def own_socket(host: str, port: int) -> socket.socket:
    """Open a listening socket; port 0 for any free one. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_STREAM)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        opened.bind((host, port))
        opened.listen(BACKLOG)
    except OSError:
        opened.close()
        raise
    opened.setblocking(False)
    return opened
