"""Listening sockets that outlive the processes which accept on them."""

from __future__ import annotations

import socket

HOST = "127.0.0.1"
BACKLOG = 1024


def listen(port: int) -> socket.socket:
    """
    Open a listening socket on loopback.

    Args:
        port: 0 for one that the kernel chooses.

    Raises:
        OSError: When the port is in use or not allowed.
    """
    opened = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        # A port whose last connections linger in TIME_WAIT may be bound again.
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind((HOST, port))
        opened.listen(BACKLOG)
        opened.setblocking(False)
    except OSError:
        opened.close()
        raise
    return opened


def port_of(opened: socket.socket) -> int:
    """Return the port a socket listens on."""
    return int(opened.getsockname()[1])


class SharedSockets:
    """
    Sockets that several replicas accept on, by port.

    The supervisor keeps them open while any replica wants them, so that clients
    queue for a moment rather than being refused while processes change.
    """

    def __init__(self) -> None:
        self._sockets: dict[int, socket.socket] = {}

    def get(self, port: int) -> socket.socket:
        """Return the socket of *port*, opened at the first call; raises OSError."""
        if port not in self._sockets:
            self._sockets[port] = listen(port)
        return self._sockets[port]

    def keep_only(self, ports: set[int]) -> None:
        """Close what nobody wants any more."""
        for port in self._sockets.keys() - ports:
            self._sockets.pop(port).close()
