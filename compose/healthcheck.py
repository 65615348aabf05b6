"""
What Docker asks in our containers: ``healthcheck.py http PORT PATH | heartbeat``.

Run every few seconds in each replica, hence nothing but the standard library
(``python -IS``, 20 ms): importing the product would cost more than most requests.
One line on standard output says why not; Docker keeps it.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

TIMEOUT_SECONDS = 2.5
#: The keys of :mod:`backend.contracts.tasks`.
SHARED_DATABASE = 3
HEARTBEAT_KEY = "fragrance:heartbeat:{replica}"


def ask_http(port: int, path: str) -> str:
    """Return why the server of this container is not well, empty when it is."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read(500).decode(errors="replace")
    finally:
        connection.close()
    return "" if answer.status == 200 else f"{path} answered {answer.status}: {body}"


def ask_heartbeat() -> str:
    """Return why this worker cannot take tasks, empty when it can."""
    secret = Path(os.environ.get("SECRETS_DIR", "/run/secrets")) / "redis_url"
    url = urlsplit(os.environ.get("REDIS_URL") or secret.read_text().strip())
    replica = os.environ["REPLICA_NAME"].replace("%h", socket.gethostname())
    commands = [
        ("SELECT", str(SHARED_DATABASE)),
        ("GET", HEARTBEAT_KEY.format(replica=replica)),
    ]
    if url.password:
        user = [unquote(url.username)] if url.username else []
        commands.insert(0, ("AUTH", *user, unquote(url.password)))
    address = (url.hostname or "localhost", url.port or 6379)
    with _connected(address, tls=url.scheme == "rediss") as connection:
        lines = connection.makefile("rb")
        for command in commands:
            words = [word.encode() for word in command]
            sent = b"*%d\r\n" % len(words)
            sent += b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)
            connection.sendall(sent)
            answer = lines.readline().decode(errors="replace").strip()
            if answer.startswith("-") or not answer:
                return f"redis refused {command[0]}: {answer or 'connection closed'}"
        if answer == "$-1":
            return f"no heartbeat of {replica}"
        phase = json.loads(lines.readline())["phase"]
    return "" if phase == "running" else f"{replica} is {phase}"


def _connected(address: tuple[str, int], *, tls: bool) -> socket.socket:
    plain = socket.create_connection(address, TIMEOUT_SECONDS)
    if not tls:
        return plain
    import ssl

    return ssl.create_default_context().wrap_socket(plain, server_hostname=address[0])


def main(arguments: list[str]) -> int:
    """Ask; 0 when well, 1 when not."""
    try:
        if arguments[0] == "http":
            problem = ask_http(int(arguments[1]), arguments[2])
        else:
            problem = ask_heartbeat()
    except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
        problem = f"{type(error).__name__}: {error}"
    if problem:
        print(problem)
    return 1 if problem else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
