"""
Take one worker out of rotation and back, without stopping it.

``drain`` makes a worker cancel its consumer: what it has in hand is finished, nothing
more is taken.  The order goes over Celery's own remote control to that one worker and
is answered by it; the heartbeat shows the result.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from backend.contracts.settings import SettingsError, load_settings
from backend.contracts.tasks import Queue, heartbeat_key, shared_url
from workers.connections import redis_client

DONE, FAILED, UNREACHABLE = 0, 1, 5

_REPLY_TIMEOUT_SECONDS = 5.0
_CONNECT_TIMEOUT_SECONDS = 3.0
_COMMANDS = {"drain": "cancel_consumer", "undrain": "add_consumer"}


def node_name(replica: str) -> str:
    """Return the Celery node name of a replica; the same on every host."""
    return f"{replica}@fragrance"


def order(action: str, replica: str) -> int:
    """
    Carry out ``drain`` or ``undrain`` and say on standard output what came of it.

    Args:
        action: ``drain`` or ``undrain``.
        replica: Name as in REPLICA_NAME.

    Returns:
        0 when the worker confirmed, 1 when it refused or nothing by that name lives,
        5 when the broker or the worker cannot be reached.
    """
    try:
        redis_url = load_settings().redis_dsn
    except SettingsError as error:
        return _fail(FAILED, str(error))
    try:
        heartbeat = _read_heartbeat(redis_url, replica)
    except ConnectionError as error:
        return _fail(UNREACHABLE, f"redis cannot be reached ({error}); nothing was changed")
    if heartbeat is None:
        return _fail(FAILED, f"no worker named {replica} is alive; nothing was changed")
    try:
        reply = _send(redis_url, _COMMANDS[action], replica, str(heartbeat["queue"]))
    except OSError as error:
        return _fail(UNREACHABLE, f"redis cannot be reached ({type(error).__name__})")
    if reply is None:
        return _fail(UNREACHABLE, f"{replica} did not answer; try again when it has started")
    if "ok" not in reply:
        return _fail(FAILED, f"{replica} refused: {reply.get('error', reply)}")
    if not _shows(redis_url, replica, accepting=action == "undrain"):
        return _fail(FAILED, f"{replica} agreed but its heartbeat does not show it")
    print(f"{replica}: {reply['ok']}")
    return DONE


def _shows(redis_url: str, replica: str, *, accepting: bool) -> bool:
    """Wait until the heartbeat confirms the order; it is written once a second."""
    deadline = time.monotonic() + _REPLY_TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        try:
            heartbeat = _read_heartbeat(redis_url, replica)
        except ConnectionError:
            heartbeat = None
        if heartbeat is not None and heartbeat["accepting"] is accepting:
            return True
        time.sleep(0.1)
    return False


def _fail(code: int, message: str) -> int:
    print(f"error: {message}", file=sys.stderr)
    return code


def _read_heartbeat(redis_url: str, replica: str) -> dict[str, Any] | None:
    import redis

    client = redis_client(shared_url(redis_url), _CONNECT_TIMEOUT_SECONDS)
    try:
        raw: Any = client.get(heartbeat_key(replica))
    except redis.RedisError as error:
        raise ConnectionError(type(error).__name__) from error
    finally:
        client.close()
    content: dict[str, Any] | None = json.loads(raw) if raw else None
    return content


def _send(redis_url: str, command: str, replica: str, queue: str) -> dict[str, Any] | None:
    """Return the worker's answer, or None when it gave none in time."""
    from workers.base import create_app

    app = create_app(Queue(queue), redis_url)
    with app.connection_for_write() as connection:
        connection.ensure_connection(max_retries=1, timeout=_CONNECT_TIMEOUT_SECONDS)
        replies = app.control.broadcast(
            command,
            arguments={"queue": queue},
            destination=[node_name(replica)],
            connection=connection,
            reply=True,
            timeout=_REPLY_TIMEOUT_SECONDS,
            limit=1,
        )
    for reply in replies or []:
        answer: dict[str, Any] = reply.get(node_name(replica)) or {}
        return answer
    return None
